//! `test/e2e/apps/statefulset.go`. Tests that upstream runs with real containers run here with simulated ones and do not
//! count as ported; what they ask of the controller is the same.

use super::workload::{Here, PODS, REVISIONS, all_ready, has_image, image, is_ready, name, template};
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

async fn running(here: &Here, set: Value, replicas: usize) {
    here.create(&STATEFUL_SETS, set).await;
    here.until("ready pods", &PODS, PODS_OF, all_ready(replicas)).await;
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
    let here = Here::start(1).await;
    running(&here, stateful_set(1), 1).await;
    assert_eq!(here.get(&STATEFUL_SETS, "ss", Some("scale")).await["spec"]["replicas"], 1);
    here.update(&STATEFUL_SETS, "ss", Some("scale"), |scale| scale["spec"]["replicas"] = 2.into()).await;
    assert_eq!(here.get(&STATEFUL_SETS, "ss", None).await["spec"]["replicas"], 2);
    here.patch(&STATEFUL_SETS, "ss", Some("scale"), scale(4)).await;
    here.until("four pods", &PODS, PODS_OF, all_ready(4)).await;
    here.stop().await;
}

/// [sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets [Conformance]
#[tokio::test(start_paused = true)]
async fn stateful_sets_are_listed_patched_and_deleted_together() {
    let here = Here::start(1).await;
    running(&here, stateful_set(1), 1).await;
    let mut patch = image("app:2");
    patch["metadata"] = json!({"labels": {"test-ss": "patched"}});
    patch["spec"]["replicas"] = 2.into();
    let patched = here.patch(&STATEFUL_SETS, "ss", None, patch).await;
    assert_eq!(patched["spec"]["replicas"], 2);
    here.until("new pods", &PODS, PODS_OF, images(&["app:2", "app:2"])).await;
    assert_eq!(here.list(&STATEFUL_SETS, "test-ss=patched").await.len(), 1);
    here.delete_all(&STATEFUL_SETS, "test-ss=patched").await;
    here.until("the end", &STATEFUL_SETS, "test-ss=patched", <[Value]>::is_empty).await;
    here.stop().await;
}

/// [sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_stateful_set_is_served() {
    let here = Here::start(1).await;
    running(&here, stateful_set(1), 1).await;
    here.status_is_served(&STATEFUL_SETS, "ss").await;
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications [Conformance]
#[tokio::test(start_paused = true)]
async fn a_template_is_rolled_out_and_back() {
    let here = Here::start(2).await;
    running(&here, stateful_set(3), 3).await;
    let before = here.until_one("the first rollout", &STATEFUL_SETS, "ss", is_rolled_out).await;
    let first = before["status"]["currentRevision"].as_str().unwrap().to_owned();
    // A pod that is not of the set's doing is made again at its revision.
    here.delete(&PODS, "ss-1").await;
    here.until("all pods", &PODS, PODS_OF, images(&["app:1"; 3])).await;
    here.patch(&STATEFUL_SETS, "ss", None, image("app:2")).await;
    let rolls = |set: &Value| set["status"]["updateRevision"] != first.as_str();
    let middle = here.until_one("an update", &STATEFUL_SETS, "ss", rolls).await;
    assert_eq!(middle["status"]["currentRevision"], first.as_str());
    here.until_one("the second rollout", &STATEFUL_SETS, "ss", |set| rolls(set) && is_rolled_out(set)).await;
    here.until("new pods", &PODS, PODS_OF, images(&["app:2"; 3])).await;
    // Back, as `kubectl rollout undo` goes: by the data of the old revision.
    let data = here.get(&REVISIONS, &first, None).await["data"].clone();
    here.patch(&STATEFUL_SETS, "ss", None, data).await;
    let back = |set: &Value| is_rolled_out(set) && set["status"]["currentRevision"] == first.as_str();
    here.until_one("the rollback", &STATEFUL_SETS, "ss", back).await;
    let pods = here.until("old pods", &PODS, PODS_OF, images(&["app:1"; 3])).await;
    assert!(pods.iter().all(|pod| pod["metadata"]["labels"]["controller-revision-hash"] == first.as_str()));
    assert_eq!(here.get(&REVISIONS, &first, None).await["revision"], 3);
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications [Conformance]
#[tokio::test(start_paused = true)]
async fn a_partition_makes_canaries_and_phases() {
    let here = Here::start(2).await;
    let partition = |partition: u32| json!({"spec": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}});
    let mut set = stateful_set(3);
    set["spec"]["updateStrategy"] = partition(3)["spec"]["updateStrategy"].clone();
    running(&here, set, 3).await;
    here.patch(&STATEFUL_SETS, "ss", None, image("app:2")).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    here.until("no update above the replicas", &PODS, PODS_OF, images(&["app:1"; 3])).await;
    here.patch(&STATEFUL_SETS, "ss", None, partition(2)).await;
    here.until("a canary", &PODS, PODS_OF, images(&["app:1", "app:1", "app:2"])).await;
    // Pods come back as what they were.
    here.delete(&PODS, "ss-0").await;
    here.delete(&PODS, "ss-2").await;
    here.until("the canary again", &PODS, PODS_OF, images(&["app:1", "app:1", "app:2"])).await;
    here.patch(&STATEFUL_SETS, "ss", None, partition(1)).await;
    here.until("the second phase", &PODS, PODS_OF, images(&["app:1", "app:2", "app:2"])).await;
    here.patch(&STATEFUL_SETS, "ss", None, partition(0)).await;
    here.until("the last phase", &PODS, PODS_OF, images(&["app:2"; 3])).await;
    here.until_one("the rollout", &STATEFUL_SETS, "ss", is_rolled_out).await;
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
    let here = Here::start(1).await;
    let mut set = stateful_set(1);
    unready(&mut set);
    running(&here, set, 1).await;
    here.until("an unhealthy pod", &PODS, PODS_OF, |pods| !is_ready(&pods[0])).await;
    here.patch(&STATEFUL_SETS, "ss", None, scale(3)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(here.list(&PODS, PODS_OF).await.len(), 1);
    // A template that is well: its pods come in order, each when the one before is ready.
    let mut well = stateful_set(3);
    well["spec"]["template"]["metadata"]["annotations"] =
        json!({"simulated.orch.dev/unhealthy-after": null, "simulated.orch.dev/stop": "1"});
    let template = json!({"spec": {"template": well["spec"]["template"]}});
    here.patch(&STATEFUL_SETS, "ss", None, template).await;
    here.delete(&PODS, "ss-0").await;
    let pods = here.until("three pods", &PODS, PODS_OF, all_ready(3)).await;
    let created: Vec<_> = pods.iter().map(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap()).collect();
    assert!(created.is_sorted(), "{created:?}");
    here.patch(&STATEFUL_SETS, "ss", None, scale(0)).await;
    let mut seen = vec![3];
    while seen.last() != Some(&0) {
        let pods = here.list(&PODS, PODS_OF).await;
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
    let here = Here::start(1).await;
    let mut set = stateful_set(1);
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    unready(&mut set);
    running(&here, set, 1).await;
    here.until("an unhealthy pod", &PODS, PODS_OF, |pods| !is_ready(&pods[0])).await;
    here.patch(&STATEFUL_SETS, "ss", None, scale(3)).await;
    here.until("three pods", &PODS, PODS_OF, |pods| pods.len() == 3).await;
    here.patch(&STATEFUL_SETS, "ss", None, scale(0)).await;
    here.until("none", &PODS, PODS_OF, <[Value]>::is_empty).await;
    here.until_one("the count", &STATEFUL_SETS, "ss", |set| set["status"]["replicas"] == 0).await;
    here.stop().await;
}

/// With simulated pods: StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_that_was_evicted_is_made_again() {
    let here = Here::start(1).await;
    running(&here, stateful_set(1), 1).await;
    let before = here.get(&PODS, "ss-0", None).await["metadata"]["uid"].clone();
    here.patch(&PODS, "ss-0", Some("status"), json!({"status": {"phase": "Failed", "reason": "Evicted"}})).await;
    here.until("another pod of the name", &PODS, PODS_OF, |pods| {
        all_ready(1)(pods) && pods[0]["metadata"]["uid"] != before
    })
    .await;
    here.stop().await;
}
