//! The built-in scenarios, a row for every controller, in a file for each family of them.

mod batch;
mod core;

pub use self::core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set};
pub use batch::{CRON_JOB, JOB, cron_job, job};

use super::Scenario;

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    [core::all(), batch::all()].concat()
}
