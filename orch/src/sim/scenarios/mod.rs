//! The built-in scenarios, a row for every controller, in a file for each family of them.

mod core;
mod life;

pub use self::core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set};

use super::Scenario;

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    [core::all(), life::all()].concat()
}
