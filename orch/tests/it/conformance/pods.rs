//! `test/e2e/common/node/pods.go` and the part of `test/e2e/node/pods.go` about generations.

use super::world::*;
use k8s_openapi::api::core::v1::Pod;
use orch::store::client::DeleteOptions;
use serde_json::{Value, json};

/// [sig-node] Pods should delete a collection of pods [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_are_deleted_together() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    for name in ["test-pod-1", "test-pod-2", "test-pod-3"] {
        let mut pod = pod(name, json!({"type": "Testing"}));
        pod["spec"]["restartPolicy"] = "Never".into();
        pods.create(pod).await;
    }
    pods.until("three ready pods", "type=Testing", all_ready(3)).await;
    pods.end_all("type=Testing").await;
}

/// [sig-node] Pods should run through the lifecycle of Pods and PodStatus [Conformance]
#[tokio::test(start_paused = true)]
async fn a_pod_and_its_status_are_changed_and_deleted() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    let made = pods.create(pod("pod-test", json!({"test-pod-static": "true"}))).await;
    let mut events = pods.watch("test-pod-static=true", revision(&made)).await;
    events.until("MODIFIED", |pod| pod["status"]["phase"] == "Running").await;
    let running = here.running("pod-test").await;

    let patch = json!({"metadata": {"labels": {"test-pod": "patched"}}, "spec": {"terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "app:2"}]}});
    pods.patch("pod-test", patch).await;
    events.until("MODIFIED", |pod| pod["metadata"]["labels"]["test-pod"] == "patched").await;
    let patched = pods.get("pod-test").await;
    assert_eq!(patched["metadata"]["labels"]["test-pod"], "patched");
    assert!(has_image(&patched, "app:2"));
    assert!(revision(&patched) > revision(&running));

    let readiness = |pod: &Value, status: &str| {
        let conditions = pod["status"]["conditions"].as_array().unwrap().iter();
        let of = |c: &&Value| (c["type"] == "Ready" || c["type"] == "ContainersReady") && c["status"] == status;
        conditions.filter(of).count()
    };
    let updated = loop {
        let mut pod = pods.until_one("a ready pod", "pod-test", |pod| readiness(pod, "True") == 2).await;
        for condition in pod["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" || condition["type"] == "ContainersReady" {
                condition["status"] = "False".into();
            }
        }
        match pods.sub("status").try_replace(pod).await {
            Err(error) if error.is_conflict() => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(readiness(&updated, "False"), 2);

    pods.delete_all("test-pod-static=true").await;
    events.until("DELETED", |pod| pod["metadata"]["labels"]["test-pod-static"] == "true").await;
    assert!(pods.try_get("pod-test").await.unwrap_err().is_not_found());
}

/// [sig-node] Pods should patch a pod status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_pod_is_patched() {
    let here = World::start().await;
    here.kind::<Pod>().create(pod("pod", json!({"e2e": "pod"}))).await;
    here.running("pod").await;
    let patch = json!({"metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"message": "Patched by e2e test", "reason": "E2E"}});
    let patched = here.kind::<Pod>().sub("status").merge("pod", patch).await;
    assert_eq!(patched["status"]["message"], "Patched by e2e test");
    assert_eq!(patched["status"]["reason"], "E2E");
}

/// Waits until the node has seen a generation of a pod.
async fn observed(here: &World, name: &str, generation: u64) {
    let seen = |pod: &Value| pod["status"]["observedGeneration"].as_u64() == Some(generation);
    here.kind::<Pod>().until_one(&format!("generation {generation} observed"), name, seen).await;
}

/// What is done to a Pod.
type Change<'a> = &'a dyn Fn(&mut Value);

/// [sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34] [Conformance]
#[tokio::test(start_paused = true)]
async fn the_generation_of_a_pod_counts_changes_of_its_spec() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    let mut two = pod("generation", json!({}));
    two["metadata"]["annotations"] = json!({"simulated.orch.dev/run.init-container": "1"});
    two["spec"]["initContainers"] = json!([{"name": "init-container", "image": "busybox:1"}]);
    assert_eq!(pods.create(two).await["metadata"]["generation"], 1);
    here.running("generation").await;
    let toleration = json!({"key": "foo", "operator": "Equal", "value": "bar", "effect": "NoSchedule"});
    let changes: [(Change<'_>, bool); 7] = [
        (&|_| {}, false),
        (&|pod| pod["spec"]["tolerations"].as_array_mut().unwrap().push(toleration.clone()), true),
        (&|pod| pod["spec"]["activeDeadlineSeconds"] = 5000.into(), true),
        (&|pod| pod["spec"]["containers"][0]["image"] = "nginx:1".into(), true),
        (&|pod| pod["spec"]["initContainers"][0]["image"] = "pause:1".into(), true),
        (&|pod| pod["metadata"]["annotations"] = json!({"key": "value"}), false),
        (&|pod| pod["metadata"]["generation"] = 1.into(), false),
    ];
    let mut generation = 1;
    for (number, (change, counts)) in changes.into_iter().enumerate() {
        pods.update("generation", change).await;
        generation += u64::from(counts);
        assert_eq!(pods.get("generation").await["metadata"]["generation"], generation, "change {number}");
        observed(&here, "generation", generation).await;
    }
}

/// [sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete [Conformance]
#[tokio::test(start_paused = true)]
async fn a_graceful_deletion_counts_as_a_change() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    let mut claimed = pod("generation", json!({}));
    claimed["metadata"]["generation"] = 100.into();
    claimed["metadata"]["annotations"] = json!({"simulated.orch.dev/stop": "60"});
    assert_eq!(pods.create(claimed).await["metadata"]["generation"], 1);
    here.running("generation").await;
    let in_a_minute = DeleteOptions { grace_period_seconds: Some(60), ..DeleteOptions::default() };
    pods.delete_with("generation", &in_a_minute).await;
    assert_eq!(pods.get("generation").await["metadata"]["generation"], 2);
}

/// [sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually converge [MinimumKubeletVersion:1.34] [Conformance]
#[tokio::test(start_paused = true)]
async fn five_hundred_changes_are_counted_and_observed() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    let mut limited = pod("generation", json!({}));
    limited["spec"]["activeDeadlineSeconds"] = 5000.into();
    pods.create(limited).await;
    here.running("generation").await;
    for left in (4501..5000).rev() {
        pods.update("generation", |pod| pod["spec"]["activeDeadlineSeconds"] = left.into()).await;
    }
    observed(&here, "generation", 500).await;
    assert_eq!(pods.get("generation").await["metadata"]["generation"], 500);
}
