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

#[test]
#[ignore = "prints a history for people"]
fn print_a_history() {
    let begun = std::time::Instant::now();
    let outcome = rollout(7, "lossy");
    println!("{}\n{outcome}{:#?}\n{:?}", outcome.history, outcome.tally, begun.elapsed());
    println!("{}", outcome.normal);
}
