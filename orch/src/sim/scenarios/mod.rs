//! The built-in scenarios, a row for every controller, in a file for each family of them.

mod core;
mod sets;

pub use self::{
    core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set},
    sets::{DAEMON_SET, REPLICATION_CONTROLLER, STATEFUL_SET},
};

use super::Scenario;

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    [core::all(), sets::all()].concat()
}
