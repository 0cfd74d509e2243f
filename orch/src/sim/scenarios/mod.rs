//! The built-in scenarios, a row for every controller, in a file for each family of them.

mod batch;
mod core;
mod life;
mod policies;
mod sets;
mod volumes;

pub use self::{
    batch::{CRON_JOB, JOB, cron_job, job},
    core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set},
    sets::{DAEMON_SET, REPLICATION_CONTROLLER, STATEFUL_SET},
};

use super::Scenario;

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    [core::all(), batch::all(), life::all(), policies::all(), sets::all(), volumes::all()].concat()
}
