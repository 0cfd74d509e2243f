//! Replicas and their rollouts, Services, namespaces, garbage, accounts, taints.

use crate::sim::{Change, Edit, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

/// The scenarios of the controllers that every cluster needs.
pub(super) fn all() -> Vec<Scenario> {
    let web = Key::new("default", "web");
    vec![
        Scenario::new(
            "rollout",
            "A Deployment is created, gets another image, is scaled up and down.",
            &["deployment", "replicaset"],
        )
        .with([
            Change::given(deployment(2, "app:1")),
            Change::patch(4_000, DEPLOYMENT, &web, image("app:2")),
            Change::patch(9_000, DEPLOYMENT, &web, json!({"spec": {"replicas": 3}})),
            Change::patch(14_000, DEPLOYMENT, &web, json!({"spec": {"replicas": 1}})),
        ])
        .about_object(DEPLOYMENT, web.clone()),
        Scenario::new("replicas", "A ReplicaSet loses a Pod and is scaled.", &["replicaset"])
            .with([
                Change::given(replica_set(2)),
                Change::at(4_000, Edit::Kill { app: "web".into(), nth: 0 }),
                Change::patch(8_000, REPLICA_SET, &web, json!({"spec": {"replicas": 3}})),
            ])
            .about_object(REPLICA_SET, web.clone()),
        Scenario::new("service", "A Service leads to the Pods of a ReplicaSet that is scaled.", &["endpointslice"])
            .with([
                Change::given(replica_set(2)),
                Change::given(service()),
                Change::patch(5_000, REPLICA_SET, &web, json!({"spec": {"replicas": 1}})),
            ])
            .about_object("v1 Service", web.clone()),
        Scenario::new(
            "namespace",
            "A Namespace with something in it is deleted.",
            &["namespace", "serviceaccount", "root-ca-certificate-publisher"],
        )
        .with([
            Change::given(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})),
            Change::at(1_000, Edit::Put { object: config_map("shop", "menu") }),
            Change::delete(4_000, "v1 Namespace", &Key::cluster("shop"), None),
        ]),
        Scenario::new("collect", "A Deployment is deleted, in the foreground.", &["garbage-collector-controller"])
            .with([Change::given(deployment(2, "app:1")), Change::delete(5_000, DEPLOYMENT, &web, Some("Foreground"))]),
        Scenario::new(
            "orphans",
            "A Deployment is deleted and leaves its ReplicaSet behind.",
            &["garbage-collector-controller", "replicaset"],
        )
        .with([Change::given(deployment(2, "app:1")), Change::delete(5_000, DEPLOYMENT, &web, Some("Orphan"))]),
        Scenario::new(
            "account",
            "A token account is deleted and comes back.",
            &["serviceaccount", "root-ca-certificate-publisher"],
        )
        .with([
            Change::delete(1_000, "v1 ServiceAccount", &Key::new("default", "default"), None),
            Change::patch(
                2_000,
                "v1 ConfigMap",
                &Key::new("default", "kube-root-ca.crt"),
                json!({"data": {"ca.crt": "x"}}),
            ),
        ]),
        Scenario::new(
            "taint",
            "A node gets a taint that its Pods do not tolerate.",
            &["taint-eviction-controller", "node-lifecycle"],
        )
        .with([
            Change::given(replica_set(2)),
            Change::patch(
                5_000,
                "v1 Node",
                &Key::cluster("node-0"),
                json!({"spec": {"taints": [
                    {"key": "broken", "value": "yes", "effect": "NoExecute"}]}}),
            ),
        ]),
    ]
}

/// `apps/v1 Deployment`
pub const DEPLOYMENT: &str = "apps/v1 Deployment";
/// `apps/v1 ReplicaSet`
pub const REPLICA_SET: &str = "apps/v1 ReplicaSet";

/// A Deployment `default/web`.
pub fn deployment(replicas: u32, image: &str) -> Value {
    workload("Deployment", replicas, image)
}

/// A ReplicaSet `default/web`.
pub fn replica_set(replicas: u32) -> Value {
    workload("ReplicaSet", replicas, "app:1")
}

fn workload(kind: &str, replicas: u32, image: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "default"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "terminationGracePeriodSeconds": 5, "containers": [{"name": "main", "image": image}]}},
    }})
}

pub(super) fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
}

pub(super) fn config_map(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"a": "1"}})
}
