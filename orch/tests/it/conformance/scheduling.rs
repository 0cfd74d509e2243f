//! `test/e2e/scheduling/predicates.go`.

use super::world::*;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use orch::api::quantity::Quantity;
use serde_json::{Value, json};

fn milli_cpu(amount: &Value) -> i64 {
    Quantity::of(amount).unwrap().millis()
}

fn asking(name: &str, milli: i64) -> Value {
    let mut pod = pod(name, json!({"name": name}));
    let cpu = json!({"cpu": format!("{milli}m")});
    pod["spec"]["containers"][0]["resources"] = json!({"limits": cpu, "requests": cpu});
    pod
}

/// Waits until the scheduler has said that it finds no node for a pod, and returns what it said.
async fn refused(here: &World, pod: &str) -> String {
    let about = |event: &Value| event["involvedObject"]["name"] == pod && event["reason"] == "FailedScheduling";
    let events = here.kind::<Event>().until("a refusal", "", |events| events.iter().any(about)).await;
    let pod = here.kind::<Pod>().get(pod).await;
    assert!(pod["spec"]["nodeName"].is_null() && pod["status"]["phase"] == "Pending", "{pod}");
    events.iter().find(|event| about(event)).unwrap()["message"].as_str().unwrap().to_owned()
}

/// How many pods have a node, and how many have none.
async fn scheduled(here: &World) -> (usize, usize) {
    let pods = here.kind::<Pod>().list("").await;
    let placed = pods.iter().filter(|pod| !pod["spec"]["nodeName"].is_null());
    let told = placed.filter(|pod| has_condition(pod, "PodScheduled")).count();
    (told, pods.len() - told)
}

/// [sig-scheduling] SchedulerPredicates validates resource limits of pods that are allowed to run [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_node_takes_no_more_than_it_has() {
    let here = World::start().await;
    here.nodes_are_ready().await;
    let mut largest = 0;
    for node in here.kind::<Node>().list("").await {
        let name = name(&node);
        let free = milli_cpu(&node["status"]["allocatable"]["cpu"]);
        largest = largest.max(free);
        here.kind::<Node>().merge(&name, json!({"metadata": {"labels": {"node": name}}})).await;
        let mut filler = asking(&format!("filler-pod-{name}"), free * 7 / 10);
        filler["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": [{"key": "node", "operator": "In", "values": [name]}]}]}}});
        here.kind::<Pod>().create(filler).await;
        here.running(&format!("filler-pod-{name}")).await;
    }
    here.kind::<Pod>().create(asking("additional-pod", largest / 2)).await;
    let why = refused(&here, "additional-pod").await;
    assert!(why.starts_with("0/2 nodes are available: 2 Insufficient cpu."), "{why}");
    assert_eq!(scheduled(&here).await, (2, 1));
}

/// [sig-scheduling] SchedulerPredicates validates that NodeSelector is respected if not matching [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_selector_that_no_node_matches_is_respected() {
    let here = World::start().await;
    here.nodes_are_ready().await;
    let mut choosy = pod("restricted-pod", json!({"name": "restricted"}));
    choosy["spec"]["nodeSelector"] = json!({"label": "nonempty"});
    here.kind::<Pod>().create(choosy).await;
    let why = refused(&here, "restricted-pod").await;
    assert!(why.starts_with("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."), "{why}");
    assert_eq!(scheduled(&here).await, (0, 1));
}

/// [sig-scheduling] SchedulerPredicates validates that NodeSelector is respected if matching [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_selector_that_a_node_matches_is_respected() {
    let here = World::start().await;
    here.nodes_are_ready().await;
    let node = name(&here.kind::<Node>().list("").await[1]);
    here.kind::<Node>().merge(&node, json!({"metadata": {"labels": {"kubernetes.io/e2e-label": "42"}}})).await;
    let mut choosy = pod("with-labels", json!({}));
    choosy["spec"]["nodeSelector"] = json!({"kubernetes.io/e2e-label": "42"});
    here.kind::<Pod>().create(choosy).await;
    assert_eq!(here.running("with-labels").await["spec"]["nodeName"], node);
}

/// [sig-scheduling] SchedulerPredicates validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_port_on_all_addresses_is_a_port_on_each() {
    let here = World::start().await;
    here.nodes_are_ready().await;
    let node = here.kind::<Node>().list("").await.remove(0);
    let label = json!({"metadata": {"labels": {"kubernetes.io/e2e-port": "95"}}});
    here.kind::<Node>().merge(&name(&node), label).await;
    let on_port = |name: &str, ip: Value| {
        let mut pod = pod(name, json!({}));
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/e2e-port": "95"});
        pod["spec"]["containers"][0]["ports"] =
            json!([{"hostPort": 54322, "containerPort": 8080, "protocol": "TCP", "hostIP": ip}]);
        pod
    };
    here.kind::<Pod>().create(on_port("pod4", "".into())).await;
    here.running("pod4").await;
    let address = node["status"]["addresses"][0]["address"].clone();
    here.kind::<Pod>().create(on_port("pod5", address)).await;
    let why = refused(&here, "pod5").await;
    assert!(why.contains("1 node(s) didn't have free ports for the requested pod ports"), "{why}");
}
