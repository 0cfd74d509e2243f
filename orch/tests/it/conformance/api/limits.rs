//! `test/e2e/scheduling/limit_range.go`.

use super::*;
use orch::store::client::DeleteOptions;

const LIMITS: Gvr = Gvr::of("", "v1", "limitranges");

fn amounts(cpu: &str, memory: &str, storage: &str) -> Value {
    json!({"cpu": cpu, "memory": memory, "ephemeral-storage": storage})
}

fn limit_range(name: &str, label: &str) -> Value {
    let most = amounts("500m", "500Mi", "500Gi");
    json!({"metadata": {"name": name, "labels": {label: "yes"}}, "spec": {"limits": [{"type": "Container",
        "min": amounts("50m", "100Mi", "100Gi"), "max": most, "default": most,
        "defaultRequest": amounts("100m", "200Mi", "200Gi")}]}})
}

fn asking(name: &str, requests: Value, limits: Value) -> Value {
    let mut pod = pod(name, json!({}));
    pod["spec"]["containers"][0]["resources"] = json!({"requests": requests, "limits": limits});
    pod
}

/// [sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_get_the_limits_that_they_do_not_name() {
    let here = World::start().await;
    let (ranges, pods) = (here.of(&LIMITS), here.of(&PODS));
    assert!(ranges.list("time=yes").await.is_empty());
    let mut events = ranges.watch("time=yes", 0).await;
    ranges.create(limit_range("limit-range", "time")).await;
    assert_eq!(events.next().await.0, "ADDED");
    let range = ranges.get("limit-range").await;
    let (most, request) = (amounts("500m", "500Mi", "500Gi"), amounts("100m", "200Mi", "200Gi"));
    let limits = &range["spec"]["limits"][0];
    assert_eq!((&limits["default"], &limits["defaultRequest"]), (&most, &request));

    let resources = async |name: &str| pods.get(name).await["spec"]["containers"][0]["resources"].clone();
    pods.create(asking("pod-no-resources", json!({}), json!({}))).await;
    assert_eq!(resources("pod-no-resources").await, json!({"requests": request, "limits": most}));
    // A limit without a request is the request as well, before the default of requests is looked at.
    let partial = json!({"memory": "150Mi", "ephemeral-storage": "150Gi"});
    pods.create(asking("pod-partial-resources", partial, json!({"cpu": "300m"}))).await;
    let merged = json!({"requests": amounts("300m", "150Mi", "150Gi"), "limits": amounts("300m", "500Mi", "500Gi")});
    assert_eq!(resources("pod-partial-resources").await, merged);

    let little = asking("pfpod", amounts("10m", "50Mi", "50Gi"), json!({}));
    let much = |name: &str| asking(name, amounts("600m", "600Mi", "600Gi"), json!({}));
    assert_eq!(pods.try_create(little.clone()).await.unwrap_err().code(), 403);
    pods.try_create(much("pfpod")).await.unwrap_err();

    let less = amounts("9m", "49Mi", "49Gi");
    ranges.update("limit-range", |range| range["spec"]["limits"][0]["min"] = less.clone()).await;
    assert_eq!(ranges.get("limit-range").await["spec"]["limits"][0]["min"], less);
    pods.create(little).await;
    pods.try_create(much("pfpod-3")).await.unwrap_err();

    let soon = DeleteOptions { grace_period_seconds: Some(30), ..DeleteOptions::default() };
    ranges.delete_with("limit-range", &soon).await;
    ranges.until("the end of the range", "", <[Value]>::is_empty).await;
    pods.create(much("pfpod2")).await;
}

/// [sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection [Conformance]
#[tokio::test(start_paused = true)]
async fn ranges_are_listed_patched_and_deleted_together() {
    let here = World::start().await;
    here.namespace("e2e-limitrange").await;
    let ranges = here.of(&LIMITS);
    let made = ranges.create(limit_range("e2e-limitrange", "e2e-limitrange")).await;
    ranges.within("e2e-limitrange").create(limit_range("e2e-limitrange", "e2e-limitrange")).await;
    let labelled = ranges.everywhere();
    assert_eq!(labelled.list("e2e-limitrange").await.len(), 2);
    let mut limits = made["spec"]["limits"].clone();
    limits[0]["min"] = amounts("9m", "49Mi", "49Gi");
    let patch = json!({"metadata": {"labels": {"e2e-limitrange-state": "patched"}}, "spec": {"limits": limits}});
    let patched = ranges.patch("e2e-limitrange", patch.clone()).await;
    assert!(contains(&patched, &patch), "{patched}");
    assert!(revision(&patched) > revision(&made));
    ranges.end_all("e2e-limitrange-state=patched").await;
    assert_eq!(labelled.list("e2e-limitrange").await.len(), 1);
}
