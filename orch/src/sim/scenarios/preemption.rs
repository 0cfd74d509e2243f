//! The scheduler makes room.

use super::{
    core::{REPLICA_SET, replica_set},
    life::object,
};
use crate::sim::{Change, Edit, Scenario, host::SCHEDULER};
use orch_api::Key;
use serde_json::{Value, json};

const BUDGETS: &str = "disruption-controller";

/// A node has 32 CPUs: two Pods that ask for 14 fill it for a third, and leave 4.
pub(super) fn all() -> Vec<Scenario> {
    let important = Key::new("default", "important");
    let (web, batch) = (Key::new("default", "web"), Key::new("default", "batch"));
    vec![
        Scenario::new(
            "preemption",
            "A critical Pod meets a full cluster: one of a ReplicaSet without a budget makes room, and comes back when the \
             critical one has gone.",
            &[SCHEDULER, "replicaset", BUDGETS],
        )
        .with([
            Change::given(set("web", 2)),
            Change::given(set("batch", 2)),
            Change::given(budget("web", 2)),
            Change::at(9_000, Edit::Put { object: pod("important", "system-cluster-critical", "12") }),
            Change::delete(24_000, "v1 Pod", &important, None),
        ]),
        Scenario::new(
            "preemption-wide",
            "A Pod for which two have to go on the node where it asks to run meets their budget, and is outbid while they go.",
            &[SCHEDULER, "replicaset"],
        )
        .beside(&[BUDGETS])
        .with([
            Change::given(class("high", 1_000)),
            Change::given(on_node(slow(set("web", 2)), "node-0")),
            Change::given(budget("web", 1)),
            Change::at(9_000, Edit::Put { object: on_node(pod("important", "high", "30"), "node-0") }),
            Change::at(11_000, Edit::Put { object: on_node(pod("vital", "system-node-critical", "20"), "node-0") }),
            Change::delete(25_000, "v1 Pod", &Key::new("default", "vital"), None),
            Change::delete(32_000, "v1 Pod", &important, None),
            Change::patch(40_000, REPLICA_SET, &web, json!({"spec": {"replicas": 1}})),
        ]),
        Scenario::new(
            "preemption-not",
            "A Pod that never preempts, and one that is not more important, wait until there is room.",
            &[SCHEDULER],
        )
        .with([
            Change::given(json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "polite"},
                "value": 1_000, "preemptionPolicy": "Never"})),
            Change::given(set("batch", 4)),
            Change::at(9_000, Edit::Put { object: pod("important", "polite", "12") }),
            Change::at(9_500, Edit::Put { object: pod("equal", "", "12") }),
            Change::patch(15_000, REPLICA_SET, &batch, json!({"spec": {"replicas": 2}})),
        ]),
    ]
}

/// A ReplicaSet whose Pods ask for 14 CPUs.
fn set(name: &str, replicas: u32) -> Value {
    let mut set = replica_set(replicas);
    set["metadata"]["name"] = name.into();
    set["spec"]["selector"]["matchLabels"] = json!({"app": name});
    set["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    set["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "14"}});
    set
}

fn pod(name: &str, class: &str, cpu: &str) -> Value {
    let container = json!({"name": "main", "image": "app:1", "resources": {"requests": {"cpu": cpu}}});
    let class = Some(class).filter(|class| !class.is_empty());
    object(
        "v1",
        "Pod",
        name,
        json!({"spec": {"priorityClassName": class, "terminationGracePeriodSeconds": 2,
        "containers": [container]}}),
    )
}

/// The Pods of the set take four seconds to stop.
fn slow(mut set: Value) -> Value {
    set["spec"]["template"]["metadata"]["annotations"] = json!({"simulated.orch.dev/stop": "4"});
    set
}

/// The Pod, or the Pods of the set, that asks for a node by its name.
fn on_node(mut object: Value, node: &str) -> Value {
    let selector = json!({"kubernetes.io/hostname": node});
    match object["kind"] == "Pod" {
        true => object["spec"]["nodeSelector"] = selector,
        false => object["spec"]["template"]["spec"]["nodeSelector"] = selector,
    }
    object
}

fn class(name: &str, value: i32) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value})
}

fn budget(app: &str, least: u32) -> Value {
    let spec = json!({"spec": {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}});
    object("policy/v1", "PodDisruptionBudget", app, spec)
}
