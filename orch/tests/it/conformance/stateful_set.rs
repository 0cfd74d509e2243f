//! `test/e2e/apps/statefulset.go`. Tests that upstream runs with real containers run here with simulated ones and do not
//! count as ported; what they ask of the controller is the same.

use super::world::{PODS, REVISIONS, World, all_ready, has_image, image, is_ready, name, template};
use orch::api::Gvr;
use serde_json::{Value, json};
use std::time::Duration;

const STATEFUL_SETS: Gvr = Gvr::of("apps", "v1", "statefulsets");
const PODS_OF: &str = "name=ss";

fn stateful_set(replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ss", "namespace": "default",
        "labels": {"name": "ss"}},
        "spec": {"replicas": replicas, "serviceName": "test", "selector": {"matchLabels": {"name": "ss"}},
            "template": template("ss", "app:1")}})
}

async fn running(here: &World, set: Value, replicas: usize) {
    here.of(&STATEFUL_SETS).create(set).await;
    here.of(&PODS).until("ready pods", PODS_OF, all_ready(replicas)).await;
}

fn scale(replicas: u32) -> Value {
    json!({"spec": {"replicas": replicas}})
}

/// Whether the pods with the ordinals, in order, have these images and are ready.
fn images(images: &'static [&'static str]) -> impl Fn(&[Value]) -> bool {
    move |pods| {
        pods.len() == images.len() && pods.iter().zip(images).all(|(pod, image)| is_ready(pod) && has_image(pod, image))
    }
}

/// Whether the set says that all its pods are of its newest revision.
fn is_rolled_out(set: &Value) -> bool {
    let status = &set["status"];
    status["observedGeneration"] == set["metadata"]["generation"]
        && status["updatedReplicas"] == set["spec"]["replicas"]
        && status["currentRevision"] == status["updateRevision"]
}

/// [sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource [Conformance]
#[tokio::test(start_paused = true)]
async fn the_scale_of_a_stateful_set_is_served() {
    let here = World::with_nodes(1).await;
    running(&here, stateful_set(1), 1).await;
    assert_eq!(here.of(&STATEFUL_SETS).sub("scale").get("ss").await["spec"]["replicas"], 1);
    here.of(&STATEFUL_SETS).sub("scale").update("ss", |scale| scale["spec"]["replicas"] = 2.into()).await;
    assert_eq!(here.of(&STATEFUL_SETS).get("ss").await["spec"]["replicas"], 2);
    here.of(&STATEFUL_SETS).sub("scale").patch("ss", scale(4)).await;
    here.of(&PODS).until("four pods", PODS_OF, all_ready(4)).await;
    here.stop().await;
}

/// [sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets [Conformance]
#[tokio::test(start_paused = true)]
async fn stateful_sets_are_listed_patched_and_deleted_together() {
    let here = World::with_nodes(1).await;
    running(&here, stateful_set(1), 1).await;
    let mut patch = image("app:2");
    patch["metadata"] = json!({"labels": {"test-ss": "patched"}});
    patch["spec"]["replicas"] = 2.into();
    let patched = here.of(&STATEFUL_SETS).patch("ss", patch).await;
    assert_eq!(patched["spec"]["replicas"], 2);
    here.of(&PODS).until("new pods", PODS_OF, images(&["app:2", "app:2"])).await;
    assert_eq!(here.of(&STATEFUL_SETS).list("test-ss=patched").await.len(), 1);
    here.of(&STATEFUL_SETS).delete_all("test-ss=patched").await;
    here.of(&STATEFUL_SETS).until("the end", "test-ss=patched", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_stateful_set_is_served() {
    let here = World::with_nodes(1).await;
    running(&here, stateful_set(1), 1).await;
    here.of(&STATEFUL_SETS).status_is_served("ss").await;
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications [Conformance]
#[tokio::test(start_paused = true)]
async fn a_template_is_rolled_out_and_back() {
    let here = World::with_nodes(2).await;
    running(&here, stateful_set(3), 3).await;
    let before = here.of(&STATEFUL_SETS).until_one("the first rollout", "ss", is_rolled_out).await;
    let first = before["status"]["currentRevision"].as_str().unwrap().to_owned();
    // A pod that is not of the set's doing is made again at its revision.
    here.of(&PODS).delete("ss-1").await;
    here.of(&PODS).until("all pods", PODS_OF, images(&["app:1"; 3])).await;
    here.of(&STATEFUL_SETS).patch("ss", image("app:2")).await;
    let rolls = |set: &Value| set["status"]["updateRevision"] != first.as_str();
    let middle = here.of(&STATEFUL_SETS).until_one("an update", "ss", rolls).await;
    assert_eq!(middle["status"]["currentRevision"], first.as_str());
    here.of(&STATEFUL_SETS).until_one("the second rollout", "ss", |set| rolls(set) && is_rolled_out(set)).await;
    here.of(&PODS).until("new pods", PODS_OF, images(&["app:2"; 3])).await;
    // Back, as `kubectl rollout undo` goes: by the data of the old revision.
    let data = here.of(&REVISIONS).get(&first).await["data"].clone();
    here.of(&STATEFUL_SETS).patch("ss", data).await;
    let back = |set: &Value| is_rolled_out(set) && set["status"]["currentRevision"] == first.as_str();
    here.of(&STATEFUL_SETS).until_one("the rollback", "ss", back).await;
    let pods = here.of(&PODS).until("old pods", PODS_OF, images(&["app:1"; 3])).await;
    assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == first.as_str()));
    assert_eq!(here.of(&REVISIONS).get(&first).await["revision"], 3);
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications [Conformance]
#[tokio::test(start_paused = true)]
async fn a_partition_makes_canaries_and_phases() {
    let here = World::with_nodes(2).await;
    let partition = |partition: u32| json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}});
    let mut set = stateful_set(3);
    set["spec"]["updateStrategy"] = partition(3)["spec"]["updateStrategy"].clone();
    running(&here, set, 3).await;
    here.of(&STATEFUL_SETS).patch("ss", image("app:2")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    here.of(&PODS).until("no update above the replicas", PODS_OF, images(&["app:1"; 3])).await;
    here.of(&STATEFUL_SETS).patch("ss", partition(2)).await;
    here.of(&PODS).until("a canary", PODS_OF, images(&["app:1", "app:1", "app:2"])).await;
    // Pods come back as what they were.
    here.of(&PODS).delete("ss-0").await;
    here.of(&PODS).delete("ss-2").await;
    here.of(&PODS).until("the canary again", PODS_OF, images(&["app:1", "app:1", "app:2"])).await;
    here.of(&STATEFUL_SETS).patch("ss", partition(1)).await;
    here.of(&PODS).until("the second phase", PODS_OF, images(&["app:1", "app:2", "app:2"])).await;
    here.of(&STATEFUL_SETS).patch("ss", partition(0)).await;
    here.of(&PODS).until("the last phase", PODS_OF, images(&["app:2"; 3])).await;
    here.of(&STATEFUL_SETS).until_one("the rollout", "ss", is_rolled_out).await;
    here.stop().await;
}

/// Makes a pod unready, or ready again, as a probe would see it.
fn unready(set: &mut Value) {
    set["spec"]["template"]["metadata"]["annotations"] = json!({"simulated.orch.dev/unhealthy-after": "20"});
    set["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["true"]}, "periodSeconds": 1, "failureThreshold": 1});
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Conformance] [Slow]
#[tokio::test(start_paused = true)]
async fn scaling_is_in_order_and_halts_for_an_unhealthy_pod() {
    let here = World::with_nodes(1).await;
    let mut set = stateful_set(1);
    unready(&mut set);
    running(&here, set, 1).await;
    here.of(&PODS).until("an unhealthy pod", PODS_OF, |pods| !is_ready(&pods[0])).await;
    here.of(&STATEFUL_SETS).patch("ss", scale(3)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(here.of(&PODS).list(PODS_OF).await.len(), 1);
    // A template that is well: its pods come in order, each when the one before is ready.
    let mut well = stateful_set(3);
    well["spec"]["template"]["metadata"]["annotations"] =
        json!({"simulated.orch.dev/unhealthy-after": null, "simulated.orch.dev/stop": "1"});
    let template = json!({"spec": {"template": well["spec"]["template"]}});
    here.of(&STATEFUL_SETS).patch("ss", template).await;
    here.of(&PODS).delete("ss-0").await;
    let pods = here.of(&PODS).until("three pods", PODS_OF, all_ready(3)).await;
    let created: Vec<_> = pods.iter().map(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap()).collect();
    assert!(created.is_sorted(), "{created:?}");
    here.of(&STATEFUL_SETS).patch("ss", scale(0)).await;
    let mut seen = vec![3];
    while seen.last() != Some(&0) {
        let pods = here.of(&PODS).list(PODS_OF).await;
        assert!(pods.iter().enumerate().all(|(at, pod)| name(pod) == format!("ss-{at}")), "the highest goes first");
        if seen.last() != Some(&pods.len()) {
            seen.push(pods.len());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen, [3, 2, 1, 0]);
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Conformance] [Slow]
#[tokio::test(start_paused = true)]
async fn burst_scaling_does_not_wait_for_unhealthy_pods() {
    let here = World::with_nodes(1).await;
    let mut set = stateful_set(1);
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    unready(&mut set);
    running(&here, set, 1).await;
    here.of(&PODS).until("an unhealthy pod", PODS_OF, |pods| !is_ready(&pods[0])).await;
    here.of(&STATEFUL_SETS).patch("ss", scale(3)).await;
    here.of(&PODS).until("three pods", PODS_OF, |pods| pods.len() == 3).await;
    here.of(&STATEFUL_SETS).patch("ss", scale(0)).await;
    here.of(&PODS).until("none", PODS_OF, <[Value]>::is_empty).await;
    here.of(&STATEFUL_SETS).until_one("the count", "ss", |set| set["status"]["replicas"] == 0).await;
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_that_was_evicted_is_made_again() {
    let here = World::with_nodes(1).await;
    running(&here, stateful_set(1), 1).await;
    let before = here.of(&PODS).get("ss-0").await["metadata"]["uid"].clone();
    here.of(&PODS).sub("status").patch("ss-0", json!({"status": {"phase": "Failed", "reason": "Evicted"}})).await;
    here.of(&PODS)
        .until("another pod of the name", PODS_OF, |pods| all_ready(1)(pods) && pods[0]["metadata"]["uid"] != before)
        .await;
    here.stop().await;
}
