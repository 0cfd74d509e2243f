//! `test/e2e/scheduling/preemption.go`.

use super::world::*;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Event, Node, Pod},
    scheduling::v1::PriorityClass,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const FOO: &str = "scheduling.k8s.io/foo";
const FAKE_CPU: &str = "example.com/fakecpu";

/// A pod that asks for so much of a resource.
fn asking(name: &str, class: &str, resource: &str, amount: u32) -> Value {
    let mut pod = pod(name, json!({"name": name}));
    let amounts = json!({resource: amount.to_string()});
    pod["spec"]["containers"][0]["resources"] = json!({"limits": amounts, "requests": amounts});
    pod["spec"]["priorityClassName"] = class.into();
    pod
}

/// The pod, which asks for a node by its name.
fn on(mut pod: Value, node: &str) -> Value {
    pod["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}});
    pod
}

async fn classes(here: &World, classes: &[(&str, i32)]) {
    for (name, value) in classes {
        here.kind::<PriorityClass>().create(json!({"metadata": {"name": name}, "value": value})).await;
    }
}

/// Has a node advertise a resource.
async fn advertise(here: &World, node: &str, resource: &str, amount: u32) {
    let amounts = json!({resource: amount.to_string()});
    let status = json!({"status": {"capacity": amounts, "allocatable": amounts}});
    here.kind::<Node>().sub("status").merge(node, status).await;
}

/// Two nodes that have five of a resource, and on each two pods that ask for two, of which the first is of low priority and
/// the others of medium priority. Returns them.
async fn filled() -> (World, Vec<Value>) {
    let here = World::start().await;
    here.nodes_are_ready().await;
    classes(&here, &[("low", 1), ("medium", 100), ("high", 1000)]).await;
    let mut pods = Vec::new();
    for (i, node) in here.kind::<Node>().list("").await.iter().enumerate() {
        advertise(&here, &name(node), FOO, 5).await;
        for j in 0..2 {
            let class = if pods.is_empty() { "low" } else { "medium" };
            let pod = on(asking(&format!("pod{i}-{j}-{class}"), class, FOO, 2), &name(node));
            pods.push(here.kind::<Pod>().create(pod).await);
        }
    }
    for pod in &pods {
        here.running(&name(pod)).await;
    }
    (here, pods)
}

/// The first pod goes or is gone, and none of the others goes.
async fn only_the_first_goes(here: &World, pods: &[Value]) {
    let first = here.kind::<Pod>().try_get(&name(&pods[0])).await;
    assert!(first.is_ok_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null()) || is_gone(here, &pods[0]).await);
    for pod in &pods[1..] {
        let live = here.kind::<Pod>().get(&name(pod)).await;
        assert!(live["metadata"]["deletionTimestamp"].is_null(), "{live}");
    }
}

async fn is_gone(here: &World, pod: &Value) -> bool {
    here.kind::<Pod>().try_get(&name(pod)).await.is_err_and(|error| error.is_not_found())
}

/// [sig-scheduling] SchedulerPreemption validates basic preemption works [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_pod_of_low_priority_makes_room() {
    let (here, pods) = filled().await;
    here.kind::<Pod>().create(asking("preemptor-pod", "high", FOO, 2)).await;
    let preemptor = here.running("preemptor-pod").await;
    only_the_first_goes(&here, &pods).await;
    // Beyond what the suite asks for: the words, and that the nomination ends with the binding.
    let (uid, node) = (preemptor["metadata"]["uid"].as_str().unwrap(), preemptor["spec"]["nodeName"].as_str().unwrap());
    let about = |event: &Value| event["involvedObject"]["name"] == name(&pods[0]) && event["reason"] == "Preempted";
    let events = here.kind::<Event>().until("an event", "", |events| events.iter().any(about)).await;
    let event = events.iter().find(|event| about(event)).unwrap();
    assert_eq!(event["message"], format!("Preempted by pod {uid} on node {node}"));
    assert!(preemptor["status"]["nominatedNodeName"].is_null(), "{preemptor}");
}

/// [sig-scheduling] SchedulerPreemption validates lower priority pod preemption by critical pod [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_pod_of_low_priority_makes_room_for_a_critical_one() {
    let (here, pods) = filled().await;
    let mut critical = asking("critical-pod", "system-cluster-critical", FOO, 2);
    critical["metadata"]["namespace"] = "kube-system".into();
    let system = here.kind::<Pod>().within("kube-system");
    system.create(critical).await;
    let runs = |pod: &Value| pod["status"]["phase"] == "Running" && is_ready(pod);
    system.until_one("the critical pod runs", "critical-pod", runs).await;
    only_the_first_goes(&here, &pods).await;
    system.delete_now("critical-pod").await;
}

/// [sig-scheduling] SchedulerPreemption validates pod disruption condition is added to the preempted pod [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_preempted_pod_says_why_it_goes() {
    const FINALIZER: &str = "example.com/test-finalizer";
    let here = World::start().await;
    here.nodes_are_ready().await;
    classes(&here, &[("low", 1), ("high", 1000)]).await;
    let node = name(&here.kind::<Node>().list("").await[0]);
    advertise(&here, &node, FOO, 1).await;
    let mut victim = on(asking("victim-pod", "low", FOO, 1), &node);
    victim["metadata"]["finalizers"] = json!([FINALIZER]);
    here.kind::<Pod>().create(victim).await;
    here.running("victim-pod").await;
    here.kind::<Pod>().create(on(asking("preemptor-pod", "high", FOO, 1), &node)).await;
    let goes = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
    let victim = here.kind::<Pod>().until_one("it goes", "victim-pod", goes).await;
    assert!(has_condition(&victim, "DisruptionTarget"), "{victim}");
    // Beyond what the suite asks for: what exactly it says, and what the preemptor says meanwhile.
    let conditions = victim["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|condition| condition["type"] == "DisruptionTarget").unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("PreemptionByScheduler")));
    assert_eq!(condition["message"], "default-scheduler: preempting to accommodate a higher priority pod");
    let nominated = |pod: &Value| pod["status"]["nominatedNodeName"] == node.as_str();
    here.kind::<Pod>().until_one("it has a node in view", "preemptor-pod", nominated).await;
    here.kind::<Pod>().merge("victim-pod", json!({"metadata": {"finalizers": null}})).await;
    here.running("preemptor-pod").await;
}

/// [sig-scheduling] SchedulerPreemption PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn replica_sets_lose_the_pods_that_have_to_go_once() {
    let here = World::start().await;
    here.nodes_are_ready().await;
    let node = here.kind::<Node>().list("").await.remove(0);
    advertise(&here, &name(&node), FAKE_CPU, 1000).await;
    classes(&here, &[("p1", 1), ("p2", 2), ("p3", 3), ("p4", 4)]).await;
    let selector = json!({"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]});
    let placed = |mut pod: Value| {
        pod["spec"]["nodeSelector"] = selector.clone();
        pod
    };
    let mut watch = here.kind::<Pod>().watch("", 0).await;
    for (number, amount) in [(1, 200), (2, 300), (3, 450)] {
        let label = json!({"name": format!("pod{number}")});
        let mut template = placed(asking("", &format!("p{number}"), FAKE_CPU, amount));
        template["metadata"] = json!({"labels": label});
        let set = json!({"metadata": {"name": format!("rs-pod{number}"), "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": label}, "template": template}});
        here.kind::<ReplicaSet>().create(set).await;
        here.kind::<Pod>().until("its pod runs", &format!("name=pod{number}"), all_ready(1)).await;
    }
    here.kind::<Pod>().create(placed(asking("pod4", "p4", FAKE_CPU, 500))).await;
    here.running("pod4").await;
    // The pods of the first two had to go, and were made anew; a while later nothing has changed.
    let mut made: BTreeMap<String, u32> = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(65);
    while let Ok((kind, pod)) = tokio::time::timeout_at(deadline, watch.next()).await {
        if kind == "ADDED" {
            let pod = name(&pod);
            *made.entry(pod.rsplit_once('-').map_or(pod.clone(), |(set, _)| set.to_owned())).or_default() += 1;
        }
    }
    let of = |set: &str| made.get(set).copied().unwrap_or_default();
    assert_eq!([of("rs-pod1"), of("rs-pod2"), of("rs-pod3"), of("pod4")], [2, 2, 1, 1], "{made:?}");
}
