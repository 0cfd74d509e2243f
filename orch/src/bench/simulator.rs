//! How fast the simulator's time is.

use super::{Result, Row, Unit, objects};
use crate::sim::{Patience, Sim};
use std::time::Duration;

const NODES: u32 = 100;
const PODS: u32 = 1_000;
/// How long the cluster is left alone, in virtual time.
const REST: Duration = Duration::from_secs(600);

/// Virtual seconds for each real one of a cluster at rest, whose nodes go on with their leases.
pub(super) async fn speed(show: &mut dyn FnMut(Row)) -> Result<()> {
    let (started, rested) = tokio::task::spawn_blocking(run).await??;
    let rate = REST.as_secs_f64() / rested.as_secs_f64();
    let detail = format!("until all pods run: {:.1} s of this machine", started.as_secs_f64());
    let name = format!("simulator: seconds of {NODES} nodes with {PODS} pods");
    show(Row::new(name, rate, Unit::PerSecond).detail(detail));
    Ok(())
}

fn run() -> Result<(Duration, Duration), String> {
    let patience = Patience { quiet: Duration::from_secs(400), ..Patience::default() };
    let mut deployment = objects::deployment("web", PODS, "default-scheduler");
    deployment["metadata"]["namespace"] = "default".into();
    let began = real_time();
    let mut took = None;
    let times = &mut took;
    let outcome = Sim::new(1).nodes(NODES).patience(patience).most_writes(100_000).run(async |world| {
        world.put(deployment).await?;
        world.settle().await?;
        let (started, rest) = (began.elapsed(), real_time());
        world.sleep(REST).await;
        *times = Some((started, rest.elapsed()));
        Ok(())
    });
    took.ok_or_else(|| format!("the simulation failed: {:?}", outcome.failures))
}

#[allow(clippy::disallowed_methods)] // The clock of tokio is the simulated one.
fn real_time() -> std::time::Instant {
    std::time::Instant::now()
}
