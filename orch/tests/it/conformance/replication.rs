//! `test/e2e/apps/rc.go` and `replica_set.go`.

use super::workload::{
    Here, PODS, REPLICA_SETS, all_ready, controller, has_condition, has_image, image, is_ready, name, template,
};
use orch::api::Gvr;
use serde_json::{Value, json};

const CONTROLLERS: Gvr = Gvr::of("", "v1", "replicationcontrollers");
const QUOTAS: Gvr = Gvr::of("", "v1", "resourcequotas");

fn replication_controller(name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name, "namespace": "default",
        "labels": {"name": name}},
        "spec": {"replicas": replicas, "selector": {"name": name}, "template": template(name, "app:1")}})
}

fn replica_set(name: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "default",
        "labels": {"name": name}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"name": name}}, "template": template(name, "app:1")}})
}

/// A pod that nobody controls is adopted by what selects it, and let go when its label changes.
async fn adopts_and_releases(here: &Here, of: &Gvr, kind: &str, object: Value) {
    let label = name(&object);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "namespace": "default",
        "labels": {"name": label}}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}});
    here.create(&PODS, pod).await;
    here.create(of, object).await;
    let owner = Some((kind.to_owned(), label.clone()));
    here.until_one("the adoption", &PODS, "stray", |pod| controller(pod) == owner).await;
    here.patch(&PODS, "stray", None, json!({"metadata": {"labels": {"name": "not-matching"}}})).await;
    here.until_one("the release", &PODS, "stray", |pod| controller(pod).is_none()).await;
    let selector = format!("name={label}");
    here.until("another pod in its place", &PODS, &selector, |pods| {
        pods.iter().filter(|pod| is_ready(pod)).count() == 1
    })
    .await;
}

/// The scale is read, replaced and patched, and followed.
async fn scales(here: &Here, of: &Gvr, object: Value) {
    let label = name(&object);
    here.create(of, object).await;
    let scale = here.get(of, &label, Some("scale")).await;
    assert_eq!(scale["spec"]["replicas"], 1);
    here.update(of, &label, Some("scale"), |scale| scale["spec"]["replicas"] = 2.into()).await;
    assert_eq!(here.get(of, &label, None).await["spec"]["replicas"], 2);
    here.patch(of, &label, Some("scale"), json!({"spec": {"replicas": 4}})).await;
    assert_eq!(here.get(of, &label, None).await["spec"]["replicas"], 4);
    here.until("four pods", &PODS, &format!("name={label}"), all_ready(4)).await;
    let counted = |object: &Value| object["status"]["replicas"] == 4;
    here.until_one("a count of four", of, &label, counted).await;
    assert_eq!(here.get(of, &label, Some("scale")).await["status"]["replicas"], 4);
}

/// [sig-apps] ReplicationController should adopt matching pods on creation [Conformance]
///
/// [sig-apps] ReplicationController should release no longer matching pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replication_controller_adopts_and_releases() {
    let here = Here::start(1).await;
    adopts_and_releases(&here, &CONTROLLERS, "ReplicationController", replication_controller("pod-adoption", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replica_set_adopts_and_releases() {
    let here = Here::start(1).await;
    adopts_and_releases(&here, &REPLICA_SETS, "ReplicaSet", replica_set("pod-adoption-release", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_replication_controller_is_served() {
    let here = Here::start(1).await;
    scales(&here, &CONTROLLERS, replication_controller("e2e-rc", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_replica_set_is_served() {
    let here = Here::start(1).await;
    scales(&here, &REPLICA_SETS, replica_set("test-rs", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]
#[tokio::test(start_paused = true)]
async fn a_refused_pod_becomes_a_condition_until_there_is_room() {
    let here = Here::start(1).await;
    here.create(
        &QUOTAS,
        json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "condition-test", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}}),
    )
    .await;
    here.patch(
        &QUOTAS,
        "condition-test",
        Some("status"),
        json!({"status": {"hard": {"pods": "2"}, "used": {"pods": "0"}}}),
    )
    .await;
    here.create(&CONTROLLERS, replication_controller("condition-test", 3)).await;
    let refused = |object: &Value| has_condition(object, "ReplicaFailure");
    let told = here.until_one("the condition", &CONTROLLERS, "condition-test", refused).await;
    let conditions = told["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["reason"] == "FailedCreate" && c["status"] == "True"), "{told}");
    here.update(&CONTROLLERS, "condition-test", None, |object| object["spec"]["replicas"] = 2.into()).await;
    here.until_one("no condition", &CONTROLLERS, "condition-test", |object| !refused(object)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replication_controller_lives() {
    let here = Here::start(1).await;
    here.create(&CONTROLLERS, replication_controller("rc-test", 1)).await;
    let ready = |count: i64| {
        move |object: &Value| object["status"]["replicas"] == count && object["status"]["readyReplicas"] == count
    };
    here.until_one("a ready replica", &CONTROLLERS, "rc-test", ready(1)).await;
    let patched =
        here.patch(&CONTROLLERS, "rc-test", None, json!({"metadata": {"labels": {"test-rc": "patched"}}})).await;
    assert_eq!(patched["metadata"]["labels"]["test-rc"], "patched");
    let status = json!({"status": {"readyReplicas": 0, "availableReplicas": 0}});
    let status = here.patch(&CONTROLLERS, "rc-test", Some("status"), status).await;
    assert!(status["status"]["readyReplicas"].as_i64().unwrap_or(0) == 0);
    here.until_one("the count of what is there", &CONTROLLERS, "rc-test", ready(1)).await;
    assert_eq!(here.get(&CONTROLLERS, "rc-test", Some("status")).await["status"]["replicas"], 1);
    here.patch(&CONTROLLERS, "rc-test", Some("scale"), json!({"spec": {"replicas": 2}})).await;
    let scaled = here.until_one("two ready replicas", &CONTROLLERS, "rc-test", ready(2)).await;
    assert_eq!(scaled["metadata"]["labels"]["test-rc"], "patched");
    here.update(&CONTROLLERS, "rc-test", Some("status"), |object| {
        object["status"]["availableReplicas"] = 1.into();
        object["status"]["readyReplicas"] = 1.into();
    })
    .await;
    here.until_one("the count of what is there", &CONTROLLERS, "rc-test", ready(2)).await;
    assert_eq!(here.list(&CONTROLLERS, "name=rc-test,test-rc=patched").await.len(), 1);
    here.delete_all(&CONTROLLERS, "name=rc-test").await;
    here.until("the end", &CONTROLLERS, "name=rc-test", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet Replace and Patch tests [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replica_set_is_replaced_and_patched() {
    let here = Here::start(1).await;
    here.create(&REPLICA_SETS, replica_set("test-rs", 1)).await;
    here.until("one pod", &PODS, "name=test-rs", all_ready(1)).await;
    here.update(&REPLICA_SETS, "test-rs", None, |object| object["spec"]["replicas"] = 2.into()).await;
    here.until("two pods", &PODS, "name=test-rs", all_ready(2)).await;
    let mut patch = image("app:2");
    patch["metadata"] = json!({"labels": {"test-rs": "patched"}});
    patch["spec"]["replicas"] = 3.into();
    let patched = here.patch(&REPLICA_SETS, "test-rs", None, patch).await;
    assert_eq!(patched["metadata"]["labels"]["test-rs"], "patched");
    assert_eq!(patched["spec"]["template"]["spec"]["containers"][0]["image"], "app:2");
    let pods = here.until("three pods", &PODS, "name=test-rs", all_ready(3)).await;
    // Only what is made from now on is of the new template.
    assert_eq!(pods.iter().filter(|pod| has_image(pod, "app:2")).count(), 1);
    here.stop().await;
}

/// [sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]
#[tokio::test(start_paused = true)]
async fn replica_sets_are_listed_and_deleted_together() {
    let here = Here::start(1).await;
    here.create(&REPLICA_SETS, replica_set("test-rs", 3)).await;
    here.until("three pods", &PODS, "name=test-rs", all_ready(3)).await;
    assert_eq!(here.list(&REPLICA_SETS, "name=test-rs").await.len(), 1);
    here.delete_all(&REPLICA_SETS, "name=test-rs").await;
    here.until("the end", &REPLICA_SETS, "name=test-rs", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_replica_set_is_served() {
    let here = Here::start(1).await;
    here.create(&REPLICA_SETS, replica_set("test-rs", 1)).await;
    here.until("one pod", &PODS, "name=test-rs", all_ready(1)).await;
    here.status_is_served(&REPLICA_SETS, "test-rs").await;
    here.stop().await;
}
