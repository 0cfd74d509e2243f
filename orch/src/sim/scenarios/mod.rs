//! The built-in scenarios, a row for every controller, in a file for each family of them.

mod batch;
mod core;
mod life;
mod pairs;
mod policies;
mod preemption;
mod sets;
mod volumes;

pub use self::{
    batch::{CRON_JOB, JOB, cron_job, job},
    core::{DEPLOYMENT, REPLICA_SET, deployment, replica_set},
    sets::{DAEMON_SET, REPLICATION_CONTROLLER, STATEFUL_SET},
};

use super::{Patience, Scenario, Sim};

/// Every built-in scenario. A new controller gets its runs (by hand, enumerated, explored) by a row here.
pub fn all() -> Vec<Scenario> {
    let families = [
        core::all(),
        batch::all(),
        life::all(),
        policies::all(),
        preemption::all(),
        sets::all(),
        volumes::all(),
        pairs::all(),
    ];
    families.concat().into_iter().map(lean).collect()
}

/// Loops without which nothing runs, or nothing goes away.
const COMMON: [&str; 6] =
    ["serviceaccount", "deployment", "replicaset", "node-lifecycle", "namespace", "garbage-collector-controller"];

/// A cluster with the loops that the scenario tests and those that it needs: each costs time, and what they are to each
/// other is for the runs with all of them ([`Case::whole`](super::Case::whole)).
fn lean(scenario: Scenario) -> Scenario {
    let (tested, beside) = (scenario.controllers.clone(), scenario.beside.clone());
    scenario.on(move |seed| {
        let named = tested.iter().chain(&beside).map(String::as_str);
        let names: Vec<&str> = COMMON.into_iter().chain(named).collect();
        Sim::new(seed).nodes(2).patience(Patience::short()).only(&names)
    })
}
