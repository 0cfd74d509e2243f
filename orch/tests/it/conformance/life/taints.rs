//! `test/e2e/node/taints.go`.

use super::*;
use k8s_openapi::api::core::v1::Node;

const TAINT: &str = "kubernetes.io/e2e-evict-taint-key";

fn tolerating(name: &str, seconds: i64) -> Value {
    let mut pod = pod(name, json!({"group": "taint"}));
    pod["spec"]["tolerations"] = json!([{"key": TAINT, "value": "evictTaintVal", "effect": "NoExecute",
        "tolerationSeconds": seconds}]);
    pod
}

async fn taint(here: &World, node: &str, taints: Value) {
    here.kind::<Node>().merge(node, json!({"spec": {"taints": taints}})).await;
}

async fn node_of(here: &World, pod: &str) -> String {
    here.kind::<Pod>().get(pod).await["spec"]["nodeName"].as_str().unwrap().to_owned()
}

fn evicting() -> Value {
    json!([{"key": TAINT, "value": "evictTaintVal", "effect": "NoExecute"}])
}

/// [sig-node] NoExecuteTaintManager Single Pod removing taint cancels eviction [Conformance] [Disruptive] [Serial]
#[tokio::test(start_paused = true)]
async fn a_taint_that_goes_in_time_evicts_nobody() {
    let here = World::start().await;
    here.kind::<Pod>().create(tolerating("taint-eviction-3", 60)).await;
    here.running("taint-eviction-3").await;
    let node = node_of(&here, "taint-eviction-3").await;
    taint(&here, &node, evicting()).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    taint(&here, &node, Value::Null).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(here.kind::<Pod>().get("taint-eviction-3").await["metadata"]["deletionTimestamp"].is_null());
}

/// [sig-node] NoExecuteTaintManager Multiple Pods evicts pods with minTolerationSeconds [Conformance] [Disruptive] [Serial]
#[tokio::test(start_paused = true)]
async fn pods_go_when_their_tolerations_end() {
    let here = World::start().await;
    here.kind::<Pod>().create(tolerating("taint-eviction-b1", 75)).await;
    here.running("taint-eviction-b1").await;
    let node = node_of(&here, "taint-eviction-b1").await;
    let mut second = tolerating("taint-eviction-b2", 375);
    second["spec"]["nodeName"] = node.as_str().into();
    here.kind::<Pod>().create(second).await;
    here.running("taint-eviction-b2").await;
    let begun = tokio::time::Instant::now();
    taint(&here, &node, evicting()).await;
    here.kind::<Pod>().until_gone("taint-eviction-b1").await;
    let first = begun.elapsed();
    assert!(first >= Duration::from_secs(70) && first < Duration::from_secs(150), "{first:?}");
    here.kind::<Pod>().until_gone("taint-eviction-b2").await;
    assert!(begun.elapsed() >= Duration::from_secs(370), "{:?}", begun.elapsed());
}
