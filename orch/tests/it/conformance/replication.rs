//! `test/e2e/apps/rc.go` and `replica_set.go`.

use super::world::{
    PODS, REPLICA_SETS, World, all_ready, controller, has_condition, has_image, image, is_ready, name, template,
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
async fn adopts_and_releases(here: &World, of: &Gvr, kind: &str, object: Value) {
    let label = name(&object);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "namespace": "default",
        "labels": {"name": label}}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}});
    here.of(&PODS).create(pod).await;
    here.of(of).create(object).await;
    let owner = Some((kind.to_owned(), label.clone()));
    here.of(&PODS).until_one("the adoption", "stray", |pod| controller(pod) == owner).await;
    here.of(&PODS).patch("stray", json!({"metadata": {"labels": {"name": "not-matching"}}})).await;
    here.of(&PODS).until_one("the release", "stray", |pod| controller(pod).is_none()).await;
    let selector = format!("name={label}");
    here.of(&PODS)
        .until("another pod in its place", &selector, |pods| pods.iter().filter(|pod| is_ready(pod)).count() == 1)
        .await;
}

/// The scale is read, replaced and patched, and followed.
async fn scales(here: &World, of: &Gvr, object: Value) {
    let label = name(&object);
    here.of(of).create(object).await;
    let scale = here.of(of).sub("scale").get(&label).await;
    assert_eq!(scale["spec"]["replicas"], 1);
    here.of(of).sub("scale").update(&label, |scale| scale["spec"]["replicas"] = 2.into()).await;
    assert_eq!(here.of(of).get(&label).await["spec"]["replicas"], 2);
    here.of(of).sub("scale").patch(&label, json!({"spec": {"replicas": 4}})).await;
    assert_eq!(here.of(of).get(&label).await["spec"]["replicas"], 4);
    here.of(&PODS).until("four pods", &format!("name={label}"), all_ready(4)).await;
    let counted = |object: &Value| object["status"]["replicas"] == 4;
    here.of(of).until_one("a count of four", &label, counted).await;
    assert_eq!(here.of(of).sub("scale").get(&label).await["status"]["replicas"], 4);
}

/// [sig-apps] ReplicationController should adopt matching pods on creation [Conformance]
///
/// [sig-apps] ReplicationController should release no longer matching pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replication_controller_adopts_and_releases() {
    let here = World::with_nodes(1).await;
    adopts_and_releases(&here, &CONTROLLERS, "ReplicationController", replication_controller("pod-adoption", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replica_set_adopts_and_releases() {
    let here = World::with_nodes(1).await;
    adopts_and_releases(&here, &REPLICA_SETS, "ReplicaSet", replica_set("pod-adoption-release", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_replication_controller_is_served() {
    let here = World::with_nodes(1).await;
    scales(&here, &CONTROLLERS, replication_controller("e2e-rc", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_replica_set_is_served() {
    let here = World::with_nodes(1).await;
    scales(&here, &REPLICA_SETS, replica_set("test-rs", 1)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]
#[tokio::test(start_paused = true)]
async fn a_refused_pod_becomes_a_condition_until_there_is_room() {
    let here = World::with_nodes(1).await;
    here.of(&QUOTAS)
        .create(json!({"apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "condition-test", "namespace": "default"}, "spec": {"hard": {"pods": "2"}}}))
        .await;
    here.of(&QUOTAS)
        .sub("status")
        .patch("condition-test", json!({"status": {"hard": {"pods": "2"}, "used": {"pods": "0"}}}))
        .await;
    here.of(&CONTROLLERS).create(replication_controller("condition-test", 3)).await;
    let refused = |object: &Value| has_condition(object, "ReplicaFailure");
    let told = here.of(&CONTROLLERS).until_one("the condition", "condition-test", refused).await;
    let conditions = told["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["reason"] == "FailedCreate" && c["status"] == "True"), "{told}");
    here.of(&CONTROLLERS).update("condition-test", |object| object["spec"]["replicas"] = 2.into()).await;
    here.of(&CONTROLLERS).until_one("no condition", "condition-test", |object| !refused(object)).await;
    here.stop().await;
}

/// [sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replication_controller_lives() {
    let here = World::with_nodes(1).await;
    here.of(&CONTROLLERS).create(replication_controller("rc-test", 1)).await;
    let ready = |count: i64| {
        move |object: &Value| object["status"]["replicas"] == count && object["status"]["readyReplicas"] == count
    };
    here.of(&CONTROLLERS).until_one("a ready replica", "rc-test", ready(1)).await;
    let patched = here.of(&CONTROLLERS).patch("rc-test", json!({"metadata": {"labels": {"test-rc": "patched"}}})).await;
    assert_eq!(patched["metadata"]["labels"]["test-rc"], "patched");
    let status = json!({"status": {"readyReplicas": 0, "availableReplicas": 0}});
    let status = here.of(&CONTROLLERS).sub("status").patch("rc-test", status).await;
    assert!(status["status"]["readyReplicas"].as_i64().unwrap_or(0) == 0);
    here.of(&CONTROLLERS).until_one("the count of what is there", "rc-test", ready(1)).await;
    assert_eq!(here.of(&CONTROLLERS).sub("status").get("rc-test").await["status"]["replicas"], 1);
    here.of(&CONTROLLERS).sub("scale").patch("rc-test", json!({"spec": {"replicas": 2}})).await;
    let scaled = here.of(&CONTROLLERS).until_one("two ready replicas", "rc-test", ready(2)).await;
    assert_eq!(scaled["metadata"]["labels"]["test-rc"], "patched");
    here.of(&CONTROLLERS)
        .sub("status")
        .update("rc-test", |object| {
            object["status"]["availableReplicas"] = 1.into();
            object["status"]["readyReplicas"] = 1.into();
        })
        .await;
    here.of(&CONTROLLERS).until_one("the count of what is there", "rc-test", ready(2)).await;
    assert_eq!(here.of(&CONTROLLERS).list("name=rc-test,test-rc=patched").await.len(), 1);
    here.of(&CONTROLLERS).delete_all("name=rc-test").await;
    here.of(&CONTROLLERS).until("the end", "name=rc-test", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet Replace and Patch tests [Conformance]
#[tokio::test(start_paused = true)]
async fn a_replica_set_is_replaced_and_patched() {
    let here = World::with_nodes(1).await;
    here.of(&REPLICA_SETS).create(replica_set("test-rs", 1)).await;
    here.of(&PODS).until("one pod", "name=test-rs", all_ready(1)).await;
    here.of(&REPLICA_SETS).update("test-rs", |object| object["spec"]["replicas"] = 2.into()).await;
    here.of(&PODS).until("two pods", "name=test-rs", all_ready(2)).await;
    let mut patch = image("app:2");
    patch["metadata"] = json!({"labels": {"test-rs": "patched"}});
    patch["spec"]["replicas"] = 3.into();
    let patched = here.of(&REPLICA_SETS).patch("test-rs", patch).await;
    assert_eq!(patched["metadata"]["labels"]["test-rs"], "patched");
    assert_eq!(patched["spec"]["template"]["spec"]["containers"][0]["image"], "app:2");
    let pods = here.of(&PODS).until("three pods", "name=test-rs", all_ready(3)).await;
    // Only what is made from now on is of the new template.
    assert_eq!(pods.iter().filter(|pod| has_image(pod, "app:2")).count(), 1);
    here.stop().await;
}

/// [sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]
#[tokio::test(start_paused = true)]
async fn replica_sets_are_listed_and_deleted_together() {
    let here = World::with_nodes(1).await;
    here.of(&REPLICA_SETS).create(replica_set("test-rs", 3)).await;
    here.of(&PODS).until("three pods", "name=test-rs", all_ready(3)).await;
    assert_eq!(here.of(&REPLICA_SETS).list("name=test-rs").await.len(), 1);
    here.of(&REPLICA_SETS).delete_all("name=test-rs").await;
    here.of(&REPLICA_SETS).until("the end", "name=test-rs", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_replica_set_is_served() {
    let here = World::with_nodes(1).await;
    here.of(&REPLICA_SETS).create(replica_set("test-rs", 1)).await;
    here.of(&PODS).until("one pod", "name=test-rs", all_ready(1)).await;
    here.of(&REPLICA_SETS).status_is_served("test-rs").await;
    here.stop().await;
}
