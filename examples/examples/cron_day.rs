//! How do I test what takes a day? In virtual time: `cargo test -p examples --example cron_day`.
//! It costs what happens in the day, the node's nine thousand heartbeats for the most part.
//!
//! A CronJob that should run every two hours, but not at night, in Zurich, on the day on which summer time ends there.

use k8s_openapi::{
    api::batch::v1::{CronJob, Job},
    jiff::{SignedDuration, Timestamp},
};
use orch::{
    Cluster,
    store::{Ambient, ClientExt, ambient::Clock},
};
use serde_json::{from_value, json};
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// When the Jobs of a whole day began and ended, by the real controllers on a real API server.
async fn day_of(schedule: &str, zone: &str, midnight: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>> {
    let clock = Clock::starting_at(midnight - SignedDuration::from_mins(1));
    let ambient = Ambient { clock, ..Ambient::seeded(1) };
    let cluster = Cluster::builder().ambient(ambient).simulated_nodes(1).build().await?;
    let client = cluster.client();
    let cron: CronJob = from_value(json!({
        "metadata": {"name": "report", "namespace": "default"},
        "spec": {"schedule": schedule, "timeZone": zone, "successfulJobsHistoryLimit": 100, "jobTemplate": {"spec": {"template": {
            // How long a Pod works on a simulated node.
            "metadata": {"annotations": {"simulated.orch.dev/run": "90"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.org/report:1"}]}}}}},
    }))?;
    client.add(&cron).await?;
    // Time moves when everybody waits.
    tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
    let jobs = client.read_all::<Job>("default").await?;
    let times = jobs.iter().filter_map(|job| {
        let status = job.status.as_ref()?;
        Some((status.start_time.as_ref()?.0, status.completion_time.as_ref()?.0))
    });
    let mut times: Vec<_> = times.collect();
    times.sort();
    cluster.stop().await;
    Ok(times)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<()> {
    let midnight: Timestamp = "2026-10-24T22:00:00Z".parse()?;
    let times = day_of("0 6-22/2 * * *", "Europe/Zurich", midnight).await?;
    for (start, end) in &times {
        println!("{start} ran for {:#}", end.duration_since(*start));
    }
    let starts: Vec<String> = times.iter().map(|(start, _)| start.strftime("%H:%M").to_string()).collect();
    // Six in the morning is five o'clock UTC, since summer time has ended at three.
    assert_eq!(starts, ["05:00", "07:00", "09:00", "11:00", "13:00", "15:00", "17:00", "19:00", "21:00"]);
    assert!(times.iter().all(|(start, end)| end.duration_since(*start) < SignedDuration::from_secs(120)));
    Ok(())
}

#[test]
fn a_day_of_reports_is_as_planned() {
    assert!(main().is_ok());
}
