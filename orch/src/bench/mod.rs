//! What the cluster costs: the figures behind `orch bench`.
//!
//! ```text
//! local::*   this process: start, creates, watch fan-out, scheduling, memory
//! workloads  this process: Deployments, Jobs, namespaces and garbage at size
//! simulator  how fast virtual time is
//! remote::*  any API server over HTTPS: creates, GET, LIST, watch fan-out, scheduling, a Deployment
//! child      the binary itself on loopback, for the figures of the whole system
//! ```
//!
//! Nothing here is a test: no time is asserted, a [`Row`] says what was measured beside what was hoped for.

mod child;
mod http;
mod local;
mod objects;
mod proc;
mod remote;
mod simulator;
mod stats;
mod table;
mod workloads;

pub use stats::Samples;
pub use table::{Row, Table, Unit};

use child::Child;
use http::Endpoint;
use std::path::Path;

/// Why a measurement failed, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// What a measurement gives.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// The groups of figures, in the order in which they are taken; `--only` names them.
pub const GROUPS: [&str; 17] = [
    "start",
    "many",
    "create-local",
    "watch-local",
    "schedule-local",
    "memory",
    "deploy",
    "roll",
    "job",
    "daemons",
    "garbage",
    "simulator",
    "binary",
    "api",
    "list",
    "schedule",
    "deployment",
];

/// Takes the chosen figures, or all when none is chosen, and hands each to `show` as soon as it is known. With a
/// kubeconfig only what that server can be asked is measured.
pub async fn run(kubeconfig: Option<&Path>, only: &[String], show: &mut dyn FnMut(Row)) -> Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    if let Some(unknown) = only.iter().find(|o| !GROUPS.contains(&o.as_str())) {
        return Err(format!("no figures are called {unknown:?}; there are {}", GROUPS.join(", ")).into());
    }
    match kubeconfig {
        Some(path) => {
            let endpoint = Endpoint::of_kubeconfig(path, None).await?;
            over_http(&endpoint, &wanted, show).await?;
            if wanted("deployment") {
                remote::deployment(&endpoint, false, show).await?;
            }
        }
        None => {
            in_process(&wanted, show).await?;
            the_binary(&wanted, show).await?;
        }
    }
    Ok(())
}

async fn in_process(wanted: &dyn Fn(&str) -> bool, show: &mut dyn FnMut(Row)) -> Result<()> {
    if wanted("start") {
        local::start(show).await?;
    }
    if wanted("many") {
        local::many(show).await?;
    }
    if wanted("create-local") {
        local::creates(show).await?;
    }
    if wanted("watch-local") {
        local::fan_out(show).await?;
    }
    if wanted("schedule-local") {
        local::schedule(1_000, show).await?;
        local::schedule(5_000, show).await?;
    }
    if wanted("memory") {
        local::memory(show).await?;
    }
    if wanted("deploy") {
        workloads::deployment(show).await?;
    }
    if wanted("roll") {
        workloads::rollout(show).await?;
    }
    if wanted("job") {
        workloads::job(show).await?;
    }
    if wanted("daemons") {
        workloads::daemon_set(show).await?;
    }
    if wanted("garbage") {
        workloads::namespace(show).await?;
        workloads::dependents(show).await?;
    }
    if wanted("simulator") {
        simulator::speed(show).await?;
    }
    Ok(())
}

async fn the_binary(wanted: &dyn Fn(&str) -> bool, show: &mut dyn FnMut(Row)) -> Result<()> {
    if wanted("binary") {
        child::figures(show).await?;
    }
    if ["api", "list", "schedule"].into_iter().any(wanted) {
        let child = Child::start(0).await?;
        over_http(&child.endpoint, wanted, show).await?;
        child.stop().await?;
    }
    if wanted("deployment") {
        let child = Child::start(20).await?;
        remote::deployment(&child.endpoint, true, show).await?;
        child.stop().await?;
    }
    Ok(())
}

async fn over_http(endpoint: &Endpoint, wanted: &dyn Fn(&str) -> bool, show: &mut dyn FnMut(Row)) -> Result<()> {
    if wanted("api") {
        remote::creates(endpoint, show).await?;
        remote::fan_out(endpoint, show).await?;
    }
    if wanted("list") {
        remote::list(endpoint, show).await?;
    }
    if wanted("schedule") {
        remote::schedule(endpoint, 1_000, show).await?;
    }
    Ok(())
}
