//! How do I find the bugs of my controller? By hand, by enumerating, by exploring: `cargo test -p examples --example simulate`.
//!
//! The controller gives every ConfigMap with the label `copy` a copy in a Secret.

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    jiff::Timestamp,
};
use orch::{
    api::{Key, Object},
    runtime::{Controller, Plan, View, Watches, controller::of},
    sim::{Change, Check, FaultPlan, Scenario, Sim, enumerate, explore},
};
use serde_json::{Value, json};
use std::sync::Arc;

struct Copier;

impl Controller for Copier {
    const NAME: &'static str = "copier";
    const ABOUT: &'static str = "Gives every ConfigMap with the label `copy` a copy in a Secret.";
    type World = (Arc<ConfigMap>, Option<Arc<Secret>>);

    fn watches(&self) -> Watches {
        Watches::root::<ConfigMap>().owns::<Secret>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        let map = view.get::<ConfigMap>(key)?;
        let wants = map.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("copy"));
        wants.then(|| (map, view.get::<Secret>(key)))
    }

    fn plan(&self, (map, copy): &Self::World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let data = map.data.clone().unwrap_or_default();
        let data = Some(data.into_iter().map(|(name, value)| (name, ByteString(value.into_bytes()))).collect());
        match copy {
            _ if map.is_deleting() => {}
            Some(copy) if copy.data == data => {}
            Some(copy) => drop(plan.update(&**copy, &Secret { data, ..Secret::clone(copy) })),
            None => {
                let mut copy = Secret { data, ..Secret::default() };
                copy.metadata.name = map.metadata.name.clone();
                copy.metadata.namespace = map.metadata.namespace.clone();
                copy.metadata.owner_references = Some(vec![orch::api::owner::controller_reference(&**map)]);
                plan.create(&copy);
            }
        }
        plan
    }
}

fn map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "menu", "namespace": "default", "labels": {"copy": "yes"}},
        "data": {"dish": value}})
}

fn scenario() -> Scenario {
    let key = Key::new("default", "menu");
    Scenario::new("copy", "A ConfigMap is made, changed, and its copy lost.", &["copier"])
        .on(|seed| Sim::new(seed).nodes(1).controller("copier", |_| of(Copier)))
        .with([
            Change::given(map("soup")),
            Change::patch(2_000, "v1 ConfigMap", &key, json!({"data": {"dish": "bread"}})),
            Change::delete(4_000, "v1 Secret", &key, None),
        ])
        .about_object("v1 ConfigMap", key)
}

fn main() {
    // By hand: while answers are lost and requests fail.
    let scenario = scenario();
    let (outcome, failures) =
        scenario.judge(&scenario.case(1, Check::Clean, FaultPlan::preset("lossy").unwrap_or_default()));
    assert!(failures.is_empty(), "{outcome}");
    // Enumerated: it dies at every write, sees the past at every write, misses every event.
    let done = enumerate(&scenario, "copier", 1, 1000);
    done.assert();
    // Explored: random edits and faults.
    let failed = (0..3).find_map(|seed| explore(&scenario, seed).failed);
    assert!(failed.is_none(), "{}", failed.map(|failed| failed.to_string()).unwrap_or_default());
    println!("nothing wrong in {} runs and {:.0?} of virtual time", done.runs + 4, done.elapsed);
}

#[test]
fn the_copier_has_no_bug_that_the_simulator_knows() {
    main();
}
