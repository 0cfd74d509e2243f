//! More than there may be, or than there is: quotas, volumes, metrics.

use super::*;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{PersistentVolume, PersistentVolumeClaim, ResourceQuota},
};

/// A world that may have so many pods.
async fn with_quota(pods: &str) -> World {
    let world = World::start(2).await;
    world.add::<ResourceQuota>(json!({"metadata": named("few"), "spec": {"hard": {"pods": pods}}})).await;
    world
        .until::<ResourceQuota>(&key("few"), |q| q.is_some_and(|q| json!(q).pointer("/status/used/pods").is_some()))
        .await;
    world
}

async fn raise(world: &World, pods: &str) {
    world.patch::<ResourceQuota>(&key("few"), None, json!({"spec": {"hard": {"pods": pods}}})).await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_beyond_a_quota_says_so_and_goes_on_when_there_is_room() {
    let world = with_quota("3").await;
    world.add::<ReplicaSet>(replica_set("web", "web", 6)).await;
    let failed = |set: Option<&ReplicaSet>| set.is_some_and(|set| condition(set, "ReplicaFailure").is_some());
    let set = world.until::<ReplicaSet>(&key("web"), failed).await.unwrap();
    let (status, reason, message) = condition(&*set, "ReplicaFailure").unwrap();
    assert_eq!((&*status, &*reason), ("True", "FailedCreate"));
    let words = "is forbidden: exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3";
    assert!(message.starts_with("pods \"web-") && message.ends_with(words), "{message}");
    let event = world.event("FailedCreate").await;
    assert!(event.starts_with("Error creating: pods \"web-") && event.ends_with(words), "{event}");
    assert_eq!(world.pods_of("web").await, 3);
    // It is tried again ever later, and the object is written when something about it changes alone.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let writes = world.writes(&[Pod::gvr(), ReplicaSet::gvr(), ResourceQuota::gvr()], HOUR).await;
    assert!(writes <= 24, "{writes} writes in an hour");
    raise(&world, "10").await;
    let whole = |set: Option<&ReplicaSet>| {
        set.is_some_and(|set| {
            let ready = set.status.as_ref().and_then(|status| status.ready_replicas);
            ready == Some(6) && condition(set, "ReplicaFailure").is_none()
        })
    };
    world.until::<ReplicaSet>(&key("web"), whole).await;
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_beyond_a_quota_runs_what_it_may_and_the_rest_when_there_is_room() {
    let world = with_quota("2").await;
    let mut template = template("work");
    template["spec"]["restartPolicy"] = json!("Never");
    template["metadata"]["annotations"] = json!({"simulated.orch.dev/run": "10"});
    let job = json!({"metadata": named("work"), "spec": {"parallelism": 5, "completions": 5, "template": template}});
    world.add::<Job>(job).await;
    let event = world.event("FailedCreate").await;
    let words = "is forbidden: exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(event.starts_with("Error creating: pods \"work-") && event.ends_with(words), "{event}");
    assert!(world.pods_of("work").await <= 2);
    let complete = |job: Option<&Job>| job.is_some_and(|job| condition(job, "Complete").is_some());
    let job = world.until::<Job>(&key("work"), complete).await.unwrap();
    let status = job.status.as_ref().unwrap();
    assert_eq!((status.succeeded, status.failed), (Some(5), None));
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_no_volume_fits_waits_says_why_and_is_bound_when_one_comes() {
    let world = World::start(2).await;
    let claim = json!({"metadata": named("data"), "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
        "resources": {"requests": {"storage": "1Ti"}}}});
    world.add::<PersistentVolumeClaim>(claim).await;
    let volume = |name: &str, size: &str| json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/data"}}});
    world.add::<PersistentVolume>(volume("small", "1Gi")).await;
    let words = "no persistent volumes available for this claim and no storage class is set";
    assert_eq!(world.event("FailedBinding").await, words);
    let mut pod = template("reads");
    pod["metadata"] = named("reads");
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    world.add::<Pod>(pod).await;
    let refused = |pod: Option<&Pod>| pod.is_some_and(|pod| condition(pod, "PodScheduled").is_some());
    let pod = world.until::<Pod>(&key("reads"), refused).await.unwrap();
    let (status, reason, message) = condition(&*pod, "PodScheduled").unwrap();
    assert_eq!((&*status, &*reason), ("False", "Unschedulable"));
    assert!(message.contains("pod has unbound immediate PersistentVolumeClaims"), "{message}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.writes(&[Pod::gvr(), PersistentVolumeClaim::gvr()], HOUR).await, 0);
    world.add::<PersistentVolume>(volume("large", "2Ti")).await;
    world
        .until::<Pod>(&key("reads"), |pod| {
            pod.is_some_and(|pod| condition(pod, "Ready").is_some_and(|(ready, ..)| ready == "True"))
        })
        .await;
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_whose_metrics_are_missing_says_so_and_scales_nothing() {
    let world = World::start(2).await;
    let deployment = json!({"metadata": named("web"), "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("web")}});
    world.add::<Deployment>(deployment).await;
    let metric = json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let autoscaler = json!({"metadata": named("web"), "spec": {"minReplicas": 1, "maxReplicas": 9, "scaleTargetRef": target, "metrics": [metric]}});
    world.add::<HorizontalPodAutoscaler>(autoscaler).await;
    let inactive =
        |hpa: Option<&HorizontalPodAutoscaler>| hpa.is_some_and(|hpa| condition(hpa, "ScalingActive").is_some());
    let hpa = world.until::<HorizontalPodAutoscaler>(&key("web"), inactive).await.unwrap();
    let (status, reason, message) = condition(&*hpa, "ScalingActive").unwrap();
    assert_eq!((&*status, &*reason), ("False", "FailedGetExternalMetric"));
    assert!(message.starts_with("the HPA was unable to compute the replica count: "), "{message}");
    assert_eq!(condition(&*hpa, "AbleToScale").unwrap().0, "True");
    world.event("FailedGetExternalMetric").await;
    world.event("FailedComputeMetricsReplicas").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.writes(&[HorizontalPodAutoscaler::gvr(), Deployment::gvr(), Pod::gvr()], HOUR).await, 0);
    let deployment = world.0.client().read::<Deployment>(&key("web")).await.unwrap();
    assert_eq!(deployment.spec.replicas, Some(2));
    world.0.stop().await;
}
