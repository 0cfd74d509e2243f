//! `test/e2e/common/node/runtimeclass.go`.

use super::*;
use orch::store::client::WriteOptions;

const CLASSES: Gvr = Gvr::of("node.k8s.io", "v1", "runtimeclasses");

/// A pod of a class, which is scheduled even where no node can run it.
fn of_class(class: &str) -> Value {
    json!({"metadata": {"generateName": "test-runtimeclass-"}, "spec": {"runtimeClassName": class,
        "containers": [{"name": "test", "image": "busybox", "command": ["true"]}], "restartPolicy": "Never",
        "automountServiceAccountToken": false}})
}

async fn is_rejected(here: &World, class: &str) {
    let dry = WriteOptions { dry_run: true, ..WriteOptions::default() };
    let refused = here.of(&PODS).create_with(of_class(class), &dry).await.unwrap_err();
    assert_eq!(refused.code(), 403, "{refused}");
    assert!(refused.message().contains(&format!("RuntimeClass \"{class}\" not found")), "{refused}");
}

/// The pod of a class, once it has a node.
async fn scheduled(here: &World, class: Value) -> Value {
    let class = name(&here.of(&CLASSES).create(class).await);
    let made = here.of(&PODS).create(of_class(&class)).await;
    let placed = |pods: &[Value]| pods.len() == 1 && pods[0]["spec"]["nodeName"].is_string();
    let pods = here.of(&PODS).until("a pod with a node", "", placed).await;
    assert_eq!(name(&pods[0]), name(&made));
    pods[0].clone()
}

/// [sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [Conformance] [NodeConformance]
#[tokio::test(start_paused = true)]
async fn a_class_that_is_not_there_is_refused() {
    let here = World::start().await;
    is_rejected(&here, "nonexistent").await;
}

/// [sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass [Conformance] [NodeConformance]
#[tokio::test(start_paused = true)]
async fn a_class_that_was_deleted_is_refused() {
    let here = World::start().await;
    here.of(&CLASSES).create(json!({"metadata": {"name": "delete-me"}, "handler": "runc"})).await;
    here.of(&CLASSES).end("delete-me").await;
    is_rejected(&here, "delete-me").await;
}

/// [sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead [Conformance] [NodeConformance]
#[tokio::test(start_paused = true)]
async fn a_pod_of_a_class_is_scheduled() {
    let here = World::start().await;
    let pod = scheduled(&here, json!({"metadata": {"name": "preconfigured"}, "handler": "test-handler"})).await;
    assert!(pod["spec"]["overhead"].is_null());
}

/// [sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead [Conformance] [NodeConformance]
#[tokio::test(start_paused = true)]
async fn a_pod_gets_the_overhead_of_its_class() {
    let here = World::start().await;
    let fixed = json!({"cpu": "10m", "memory": "1Mi"});
    let class =
        json!({"metadata": {"name": "preconfigured"}, "handler": "test-handler", "overhead": {"podFixed": fixed}});
    assert_eq!(scheduled(&here, class).await["spec"]["overhead"], fixed);
}
