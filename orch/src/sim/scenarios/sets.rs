//! StatefulSets, DaemonSets and ReplicationControllers.

use super::core::image;
use crate::sim::{Change, Edit, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

/// `apps/v1 StatefulSet`
pub const STATEFUL_SET: &str = "apps/v1 StatefulSet";
/// `apps/v1 DaemonSet`
pub const DAEMON_SET: &str = "apps/v1 DaemonSet";
/// `v1 ReplicationController`
pub const REPLICATION_CONTROLLER: &str = "v1 ReplicationController";

/// The scenarios of the kinds whose Pods are somebody, and of the oldest that keeps a number of them.
pub(super) fn all() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    let kill = |at_ms| Change::at(at_ms, Edit::Kill { app: "web".into(), nth: 0 });
    let node = Key::cluster("node-1");
    let taint = |effect: &str| json!({"spec": {"taints": [{"key": "busy", "value": "yes", "effect": effect}]}});
    vec![
        Scenario::new(
            "ordered",
            "A StatefulSet gets another image, loses a Pod, is scaled down and up.",
            &["statefulset"],
        )
        .with([
            Change::given(stateful_set(3, "OrderedReady")),
            Change::patch(9_000, STATEFUL_SET, &web, image("app:2")),
            kill(14_000),
            Change::patch(30_000, STATEFUL_SET, &web, json!({"spec": {"replicas": 1}})),
            Change::patch(38_000, STATEFUL_SET, &web, json!({"spec": {"replicas": 2}})),
        ])
        .about_object(STATEFUL_SET, web.clone()),
        Scenario::new("parallel", "A StatefulSet in parallel, with a partition that is moved.", &["statefulset"]).with(
            [
                Change::given(stateful_set(3, "Parallel")),
                Change::patch(5_000, STATEFUL_SET, &web, partition(2)),
                Change::patch(6_000, STATEFUL_SET, &web, image("app:2")),
                Change::patch(14_000, STATEFUL_SET, &web, partition(0)),
                Change::patch(26_000, STATEFUL_SET, &web, json!({"spec": {"ordinals": {"start": 2}}})),
            ],
        ),
        Scenario::new(
            "claims",
            "A StatefulSet whose Pods have volumes loses a Pod, is scaled down and up, and keeps its claims or not.",
            &["statefulset", "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller"],
        )
        .beside(&super::volumes::LOOPS)
        .with([
            Change::given(super::volumes::local_class()),
            Change::given(set_with_claims(2)),
            kill(6_000),
            Change::patch(14_000, STATEFUL_SET, &web, json!({"spec": {"replicas": 1}})),
            Change::patch(24_000, STATEFUL_SET, &web, json!({"spec": {"replicas": 3}})),
            Change::patch(34_000, STATEFUL_SET, &web, retention("Retain")),
            Change::patch(36_000, STATEFUL_SET, &web, json!({"spec": {"replicas": 2}})),
        ])
        .about_object(STATEFUL_SET, web.clone()),
        Scenario::new(
            "claims-deleted",
            "A StatefulSet is deleted, and the claims of its Pods with it.",
            &["statefulset", "garbage-collector-controller", "persistentvolumeclaim-protection-controller"],
        )
        .beside(&super::volumes::LOOPS)
        .with([
            Change::given(super::volumes::local_class()),
            Change::given(set_with_claims(2)),
            Change::delete(9_000, STATEFUL_SET, &web, None),
        ]),
        Scenario::new(
            "daemons",
            "A DaemonSet gets another image, and a node gets a taint and loses it.",
            &["daemonset", "taint-eviction-controller"],
        )
        .with([
            Change::given(daemon_set()),
            Change::patch(5_000, DAEMON_SET, &web, image("app:2")),
            kill(9_000),
            Change::patch(14_000, "v1 Node", &node, taint("NoExecute")),
            Change::patch(22_000, "v1 Node", &node, json!({"spec": {"taints": null}})),
        ])
        .about_object(DAEMON_SET, web.clone()),
        Scenario::new("surge", "A DaemonSet makes new Pods beside the old ones.", &["daemonset"]).with([
            Change::given(daemon_set()),
            Change::patch(
                4_000,
                DAEMON_SET,
                &web,
                json!({"spec": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}}),
            ),
            Change::patch(5_000, DAEMON_SET, &web, image("app:2")),
            Change::patch(9_000, DAEMON_SET, &web, image("app:1")),
        ]),
        Scenario::new(
            "history",
            "The Pods of a StatefulSet are left behind, and taken up by another one of its name.",
            &["statefulset", "garbage-collector-controller"],
        )
        .with([
            Change::given(stateful_set(2, "OrderedReady")),
            Change::delete(8_000, STATEFUL_SET, &web, Some("Orphan")),
            Change::at(40_000, Edit::Put { object: stateful_set(2, "OrderedReady") }),
        ]),
        Scenario::new("controller", "A ReplicationController loses a Pod and is scaled.", &["replicationcontroller"])
            .with([
                Change::given(replication_controller(2)),
                kill(4_000),
                Change::patch(8_000, REPLICATION_CONTROLLER, &web, json!({"spec": {"replicas": 3}})),
            ])
            .about_object(REPLICATION_CONTROLLER, web),
    ]
}

fn stateful_set(replicas: u32, policy: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": replicas, "serviceName": "web", "podManagementPolicy": policy,
        "selector": {"matchLabels": {"app": "web"}}, "template": template()}})
}

/// A StatefulSet `default/web` with a claim for each Pod, which goes with it.
fn set_with_claims(replicas: u32) -> Value {
    let mut set = stateful_set(replicas, "OrderedReady");
    set["spec"]["volumeClaimTemplates"] =
        json!([{"metadata": {"name": "data"}, "spec": super::volumes::spec("local")}]);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenScaled": "Delete", "whenDeleted": "Delete"});
    set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    set
}

fn retention(when_scaled: &str) -> Value {
    json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": when_scaled}}})
}

pub(super) fn daemon_set() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": template()}})
}

fn replication_controller(replicas: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "ReplicationController",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"app": "web"}, "template": template()}})
}

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {
        "terminationGracePeriodSeconds": 2, "containers": [{"name": "main", "image": "app:1"}]}})
}

fn partition(partition: u32) -> Value {
    json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}})
}
