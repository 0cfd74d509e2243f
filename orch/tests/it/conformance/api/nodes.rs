//! `test/e2e/node/node_lifecycle.go` and the part of `test/e2e/node/pods.go` about classes of service.

use super::*;

/// [sig-node] Node Lifecycle should run through the lifecycle of a node [Conformance]
#[tokio::test(start_paused = true)]
async fn a_node_is_created_changed_and_deleted() {
    let here = World::start().await;
    let nodes = here.of(&NODES);
    let ready = json!({"type": "Ready", "status": "True", "message": "Set from e2e test", "reason": "E2E"});
    let node = json!({"metadata": {"name": "e2e-fake-node"}, "spec": {"unschedulable": true},
        "status": {"phase": "Running", "conditions": [ready]}});
    let made = nodes.create(node).await;
    assert_eq!(name(&made), "e2e-fake-node");
    assert_eq!(name(&nodes.get("e2e-fake-node").await), "e2e-fake-node");
    let patched = nodes.patch("e2e-fake-node", json!({"metadata": {"labels": {"e2e-fake-node": "patched"}}})).await;
    assert_eq!(patched["metadata"]["labels"]["e2e-fake-node"], "patched");
    assert!(revision(&patched) > revision(&made));
    assert_eq!(nodes.list("e2e-fake-node=patched").await.len(), 1);
    let updated =
        nodes.update("e2e-fake-node", |node| node["metadata"]["labels"]["e2e-fake-node"] = "updated".into()).await;
    assert_eq!(updated["metadata"]["labels"]["e2e-fake-node"], "updated");
    nodes.end("e2e-fake-node").await;
}

/// [sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_that_limits_what_it_asks_for_is_guaranteed_it() {
    let here = World::start().await;
    let mut limited = pod("pod-qos-class", json!({"name": "pod-qos-class"}));
    let resources = json!({"cpu": "100m", "memory": "100Mi"});
    limited["spec"]["containers"][0]["resources"] = json!({"limits": resources, "requests": resources});
    here.of(&PODS).create(limited).await;
    assert_eq!(here.of(&PODS).get("pod-qos-class").await["status"]["qosClass"], "Guaranteed");
}
