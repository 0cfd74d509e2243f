//! Loops that have to do with the same objects and could fight over them: each pair in one cluster, so that each is put to the test
//! while the other acts.

use super::{
    batch::{JOB, job},
    core::{DEPLOYMENT, REPLICA_SET, config_map, deployment, image, replica_set},
    life::{BUDGET, QUOTA, autoscaler, busy, object, uses},
    sets::{DAEMON_SET, daemon_set},
};
use crate::sim::{Change, Edit, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

/// The scenarios of pairs.
pub(super) fn all() -> Vec<Scenario> {
    [scaling(), evictions(), garbage(), quotas(), traffic()].concat()
}

const AUTOSCALER: &str = "horizontal-pod-autoscaler-controller";
const BUDGETS: &str = "disruption-controller";
const TAINTS: &str = "taint-eviction-controller";
const GARBAGE: &str = "garbage-collector-controller";
const QUOTAS: &str = "resourcequota-controller";
const SERVICE: &str = "v1 Service";
const NODE: &str = "v1 Node";
const POD: &str = "v1 Pod";

/// When a deletion is over whatever goes wrong.
const AFTERWARDS: u64 = 70_000;

fn web() -> Key {
    Key::new("default", "web")
}

/// Who says how many: an autoscaler, a user and a rollout.
fn scaling() -> Vec<Scenario> {
    let replicas =
        |at_ms, replicas: u32| Change::patch(at_ms, DEPLOYMENT, &web(), json!({"spec": {"replicas": replicas}}));
    vec![
        Scenario::new(
            "scaled-rollout",
            "A Deployment gets another image while it is scaled up, a user scales it against the autoscaler, its load falls.",
            &[AUTOSCALER, "deployment", "replicaset"],
        )
        .with([
            Change::given(busy(1)),
            Change::given(autoscaler(4)),
            Change::patch(33_000, DEPLOYMENT, &web(), image("app:2")),
            replicas(50_000, 2),
            Change::patch(80_000, DEPLOYMENT, &web(), uses("100m")),
        ])
        .timed(),
        Scenario::new(
            "scaled-budget",
            "Pods of a Deployment that is scaled by itself are evicted as far as a part of them may be missing.",
            &[AUTOSCALER, BUDGETS],
        )
        .with([
            Change::given(busy(2)),
            Change::given(autoscaler(3)),
            Change::given(budget(json!({"maxUnavailable": 1}))),
            Change::at(20_000, Edit::Evict { app: "web".into(), nth: 0 }),
            Change::at(32_000, Edit::Evict { app: "web".into(), nth: 1 }),
            Change::at(32_100, Edit::Evict { app: "web".into(), nth: 2 }),
            Change::patch(60_000, DEPLOYMENT, &web(), uses("100m")),
        ])
        .timed(),
    ]
}

/// Who ends Pods, and who makes them.
fn evictions() -> Vec<Scenario> {
    let (node, other) = (Key::cluster("node-0"), Key::cluster("node-1"));
    let cordon =
        |at_ms, cordoned: bool| Change::patch(at_ms, NODE, &node, json!({"spec": {"unschedulable": cordoned}}));
    let drain = |at_ms| Change::at(at_ms, Edit::Drain { node: "node-0".into() });
    let taint = |at_ms, node: &Key, effect: &str| Change::patch(at_ms, NODE, node, taints(effect));
    let no_taint = |at_ms, node: &Key| Change::patch(at_ms, NODE, node, json!({"spec": {"taints": null}}));
    let tolerates = json!([{"key": "busy", "operator": "Exists"}]);
    vec![
        Scenario::new(
            "drained",
            "A node is drained while a budget keeps two of three Pods.",
            &[BUDGETS, "deployment", "replicaset"],
        )
        .with([
            Change::given(deployment(3, "app:1")),
            Change::given(budget(json!({"minAvailable": 2}))),
            cordon(5_000, true),
            drain(6_000),
            drain(8_000),
            drain(10_000),
            drain(14_000),
            cordon(18_000, false),
        ])
        .about_object(DEPLOYMENT, web()),
        Scenario::new(
            "drained-rollout",
            "A node is drained in the middle of a rollout, and the budget becomes stricter.",
            &[BUDGETS, "deployment"],
        )
        .with([
            Change::given(deployment(4, "app:1")),
            Change::given(budget(json!({"maxUnavailable": 2}))),
            cordon(5_000, true),
            Change::patch(5_100, DEPLOYMENT, &web(), image("app:2")),
            drain(5_800),
            Change::patch(7_000, BUDGET, &web(), json!({"spec": {"maxUnavailable": 1}})),
            drain(7_500),
            drain(12_000),
            drain(16_000),
            cordon(20_000, false),
        ]),
        Scenario::new(
            "tainted-daemons",
            "A node gets a taint that evicts, its daemons learn to tolerate it, and the other node gets it as well.",
            &[TAINTS, "daemonset"],
        )
        .with([
            Change::given(daemon_set()),
            taint(5_000, &node, "NoExecute"),
            Change::patch(
                11_000,
                DAEMON_SET,
                &web(),
                json!({"spec": {"template": {"spec": {"tolerations": tolerates}}}}),
            ),
            taint(18_000, &other, "NoExecute"),
            no_taint(26_000, &node),
        ])
        .about_object(DAEMON_SET, web())
        .with_a_past(),
        Scenario::new(
            "tainted-job",
            "The Pods of a Job are evicted from a node that gets a taint, and none counts twice.",
            &[TAINTS, "job"],
        )
        .with([
            Change::given(job(json!({"completions": 4, "parallelism": 4}), json!({"run": "6"}))),
            taint(4_000, &node, "NoExecute"),
            no_taint(16_000, &node),
        ])
        .about_object(JOB, Key::new("default", "work")),
    ]
}

/// Who keeps an object, and who wants it gone.
fn garbage() -> Vec<Scenario> {
    let held = Key::new("default", "held");
    let release = |at_ms| Change::patch(at_ms, POD, &held, json!({"metadata": {"finalizers": null}}));
    let mut shop_web = deployment(2, "app:1");
    shop_web["metadata"]["namespace"] = json!("shop");
    vec![
        Scenario::new(
            "held",
            "A ReplicaSet is deleted in the foreground, and one of its Pods has a finalizer; then there is another set.",
            &[GARBAGE, "replicaset"],
        )
        .with([
            Change::given(held_pod()),
            Change::given(replica_set(2)),
            Change::delete(6_000, REPLICA_SET, &web(), Some("Foreground")),
            release(14_000),
            Change::at(AFTERWARDS, Edit::Put { object: replica_set(2) }),
        ]),
        Scenario::new(
            "held-back",
            "A Pod with a finalizer is deleted, replaced, and goes much later; its set is left behind by its Deployment.",
            &[GARBAGE, "replicaset", "deployment"],
        )
        .with([
            Change::given(held_pod()),
            Change::given(deployment(2, "app:1")),
            Change::delete(5_000, POD, &held, None),
            Change::delete(9_000, DEPLOYMENT, &web(), Some("Orphan")),
            release(15_000),
            Change::at(AFTERWARDS, Edit::Put { object: deployment(2, "app:1") }),
        ]),
        Scenario::new(
            "namespace-at-work",
            "A Namespace is deleted while a Deployment in it is rolled out, under a quota.",
            &["namespace", "deployment", "replicaset", QUOTAS],
        )
        .with([
            Change::given(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
            Change::at(500, Edit::Put { object: in_shop(object("v1", "ResourceQuota", "few", hard(3))) }),
            Change::at(600, Edit::Put { object: shop_web }),
            Change::at(700, Edit::Put { object: config_map("shop", "menu") }),
            Change::patch(5_000, DEPLOYMENT, &Key::new("shop", "web"), image("app:2")),
            Change::delete(5_300, "v1 Namespace", &Key::cluster("shop"), None),
        ]),
    ]
}

/// Who makes Pods, and who says how many there may be.
fn quotas() -> Vec<Scenario> {
    let more = |at_ms, pods| Change::patch(at_ms, QUOTA, &Key::new("default", "few"), hard(pods));
    vec![
        Scenario::new(
            "quota-job",
            "A Job wants more Pods at a time than a quota allows, which becomes larger later.",
            &[QUOTAS, "job"],
        )
        .with([
            Change::given(object("v1", "ResourceQuota", "few", hard(1))),
            Change::at(
                1_000,
                Edit::Put { object: job(json!({"completions": 5, "parallelism": 3}), json!({"run": "3"})) },
            ),
            more(12_000, 4),
        ]),
        Scenario::new(
            "quota-rollout",
            "A rollout needs a Pod more than a quota allows, until that becomes larger.",
            &[QUOTAS, "deployment", "replicaset"],
        )
        .with([
            Change::given(object("v1", "ResourceQuota", "few", hard(2))),
            Change::at(1_000, Edit::Put { object: deployment(2, "app:1") }),
            Change::patch(5_000, DEPLOYMENT, &web(), image("app:2")),
            more(15_000, 4),
        ]),
    ]
}

/// Who says where a Service leads.
fn traffic() -> Vec<Scenario> {
    let selector =
        |at_ms, selector: Value| Change::patch(at_ms, SERVICE, &web(), json!({"spec": {"selector": selector}}));
    let service =
        object("v1", "Service", "web", json!({"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}));
    vec![
        Scenario::new(
            "mirrored",
            "A Service ceases to select Pods, so that its Endpoints are mirrored, and selects them again.",
            &["endpoints-controller", "endpointslice", "endpointslice-mirroring-controller"],
        )
        .with([
            Change::given(replica_set(2)),
            Change::given(service),
            selector(5_000, Value::Null),
            selector(10_000, json!({"app": "web"})),
            Change::patch(14_000, REPLICA_SET, &web(), json!({"spec": {"replicas": 1}})),
        ]),
    ]
}

fn budget(mut spec: Value) -> Value {
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    object("policy/v1", "PodDisruptionBudget", "web", json!({ "spec": spec }))
}

fn taints(effect: &str) -> Value {
    json!({"spec": {"taints": [{"key": "busy", "value": "yes", "effect": effect}]}})
}

fn hard(pods: u32) -> Value {
    json!({"spec": {"hard": {"pods": pods.to_string()}}})
}

fn in_shop(mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!("shop");
    object
}

/// A Pod like those of `web`, which somebody wants to be told of before it goes.
fn held_pod() -> Value {
    let spec = json!({"terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": "app:1"}]});
    let mut pod = object("v1", "Pod", "held", json!({ "spec": spec }));
    pod["metadata"]["labels"] = json!({"app": "web"});
    pod["metadata"]["finalizers"] = json!(["example.com/held"]);
    pod
}
