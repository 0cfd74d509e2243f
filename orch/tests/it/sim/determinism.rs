use orch::sim::{FaultPlan, Outcome, Sim};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn deployment(replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }})
}

fn rollout(seed: u64, plan: &str) -> Outcome {
    Sim::new(seed).faults(FaultPlan::preset(plan).unwrap()).run(async |world| {
        world.put(deployment(4, "app:1")).await?;
        world.sleep(Duration::from_secs(5)).await;
        world.put(deployment(6, "app:2")).await?;
        world.sleep(Duration::from_secs(20)).await;
        Ok(())
    })
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for plan in ["none", "lossy", "watches", "server"] {
        let (one, two) = (rollout(7, plan), rollout(7, plan));
        if let Some(difference) = one.history.differs(&two.history) {
            panic!("{plan}: {difference}");
        }
        one.assert();
    }
}

/// Prints the fingerprint of one run: what the test below compares between two processes.
#[test]
fn a_run_has_a_fingerprint() {
    println!("fingerprint {:016x}", rollout(9, "contended").history.fingerprint());
}

#[test]
fn two_processes_give_the_same_history() {
    let run = || {
        let mut this = std::process::Command::new(std::env::current_exe().unwrap());
        let output =
            this.args(["sim::determinism::a_run_has_a_fingerprint", "--exact", "--nocapture"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split("fingerprint ").nth(1).map(|rest| rest[..16].to_owned())
    };
    let (one, two) = (run(), run());
    assert!(one.is_some(), "no fingerprint");
    assert_eq!(one, two);
}
