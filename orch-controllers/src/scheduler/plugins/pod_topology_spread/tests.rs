use crate::scheduler::{
    state::{State, Work},
    tests::{later, next, node, now},
};
use orch_runtime::scheduler::PodInfo;
use orch_store::Stored;
use serde_json::{Value, json};

const ZONE: &str = "zone";
const NO: &str = "node(s) didn't match pod topology spread constraints";

/// A pod of the app that is spread, perhaps on a node.
fn web(name: &str, on: &str, constraints: Value) -> PodInfo {
    of_app("web", name, on, constraints)
}

fn of_app(app: &str, name: &str, on: &str, constraints: Value) -> PodInfo {
    let object = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name, "labels": { "app": app, "rev": "2" } },
        "spec": { "schedulerName": "default-scheduler", "nodeName": on, "containers": [{ "image": "a" }],
            "topologySpreadConstraints": constraints },
    });
    PodInfo::read(&Stored::from_json(object.to_string().into()).unwrap()).unwrap()
}

fn spread(max_skew: u32, topology: &str, when: &str, more: Value) -> Value {
    let mut one = json!({ "maxSkew": max_skew, "topologyKey": topology, "whenUnsatisfiable": when,
        "labelSelector": { "matchLabels": { "app": "web" } } });
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([one])
}

fn hard(max_skew: u32, topology: &str) -> Value {
    spread(max_skew, topology, "DoNotSchedule", json!({}))
}

fn soft(topology: &str) -> Value {
    spread(1, topology, "ScheduleAnyway", json!({}))
}

/// Nodes `a1`, `a2` in zone `a`, and so on; `-1` has none. All of them have room for many.
fn with(nodes: &[&str], pods: &[&str]) -> State {
    let mut state = crate::scheduler::tests::state(&[]);
    nodes.iter().for_each(|name| state.node_set(&in_zone(name), now()));
    for (number, on) in pods.iter().enumerate() {
        state.pod_set(web(&format!("there-{number}"), on, json!([])), now());
    }
    state
}

fn in_zone(name: &str) -> k8s_openapi::api::core::v1::Node {
    let mut node = node(name, json!({}));
    if !name.starts_with('-') {
        node.metadata.labels.get_or_insert_default().insert(ZONE.into(), name[..1].into());
    }
    let allocatable = json!({ "cpu": "100", "memory": "100Gi", "pods": "100" });
    node.status.as_mut().unwrap().allocatable = serde_json::from_value(allocatable).unwrap();
    node
}

#[track_caller]
fn check(nodes: &[&str], pods: &[&str], pod: PodInfo, expected: &str) {
    let mut state = with(nodes, pods);
    state.pod_set(pod, now());
    assert_eq!(next(&mut state, now()), expected);
}

#[test]
fn no_topology_gets_more_than_its_share() {
    let nodes = ["a1", "b1"];
    check(&nodes, &["a1"], web("p", "", hard(1, ZONE)), "b1");
    check(&nodes, &["a1", "a1", "b1"], web("p", "", hard(1, ZONE)), "b1");
    check(&["a1", "a2", "b1"], &["a1", "a2"], web("p", "", hard(1, ZONE)), "b1");
    // The pod itself does not count where the selector does not match it.
    let mut state = with(&nodes, &["a1"]);
    state.node_set(&node("b1", json!({ "unschedulable": true })), now());
    state.pod_set(of_app("other", "p", "", hard(1, "kubernetes.io/hostname")), now());
    assert_eq!(next(&mut state, now()), "a1");
}

#[test]
fn a_skew_that_is_too_large_or_a_missing_label_keeps_a_pod_waiting() {
    let mut cordoned = in_zone("b1");
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    let mut state = with(&["a1", "-1"], &["a1"]);
    state.node_set(&cordoned, now());
    state.pod_set(web("p", "", hard(1, ZONE)), now());
    let words =
        format!("0/3 nodes are available: 1 {NO}, 1 {NO} (missing required label), 1 node(s) were unschedulable.");
    assert_eq!(next(&mut state, now()), words);
    state.pod_set(web("q", "", hard(2, ZONE)), now());
    assert_eq!(next(&mut state, now()), "a1");
}

#[test]
fn with_too_few_topologies_the_fewest_are_none() {
    let with_domains = |count: u32| spread(1, ZONE, "DoNotSchedule", json!({ "minDomains": count }));
    check(&["a1", "b1"], &["a1", "b1"], web("p", "", with_domains(3)), &format!("0/2 nodes are available: 2 {NO}."));
    let mut state = with(&["a1", "b1"], &["a1", "b1"]);
    state.pod_set(web("p", "", with_domains(2)), now());
    assert!(["a1", "b1"].contains(&&*next(&mut state, now())));
}

#[test]
fn nodes_count_as_the_policies_say() {
    let tainted = |mut node: k8s_openapi::api::core::v1::Node| {
        let taints = json!([{ "key": "k", "effect": "NoSchedule" }]);
        node.spec.as_mut().unwrap().taints = serde_json::from_value(taints).unwrap();
        node
    };
    let ask = |policies: Value| {
        let mut state = with(&["a1"], &["a1"]);
        state.node_set(&tainted(in_zone("b1")), now());
        state.pod_set(web("p", "", spread(1, ZONE, "DoNotSchedule", policies)), now());
        next(&mut state, now())
    };
    assert!(ask(json!({})).contains(NO), "an empty zone counts though its taint is not tolerated");
    assert_eq!(ask(json!({ "nodeTaintsPolicy": "Honor" })), "a1");
    let only = |policy: &str| {
        let mut pod = web("p", "", spread(1, ZONE, "DoNotSchedule", json!({ "nodeAffinityPolicy": policy })));
        pod.affinity.selector.insert(ZONE.into(), "a".into());
        let mut state = with(&["a1", "b1"], &["a1"]);
        state.pod_set(pod, now());
        next(&mut state, now())
    };
    assert_eq!(only("Honor"), "a1");
    assert!(only("Ignore").contains(NO));
}

#[test]
fn pods_that_go_do_not_count_nor_do_other_revisions() {
    let mut state = with(&["a1", "b1"], &["b1"]);
    state.pod_set(PodInfo { deleting: true, ..web("going", "a1", json!([])) }, now());
    state.pod_set(web("p", "", hard(1, ZONE)), now());
    assert_eq!(next(&mut state, now()), "a1");
    let by_revision = spread(1, ZONE, "DoNotSchedule", json!({ "matchLabelKeys": ["rev"] }));
    let mut old = web("old", "a1", json!([]));
    old.labels = [("app", "web"), ("rev", "1")].into_iter().collect();
    let mut state = with(&["a1", "b1"], &["b1"]);
    state.pod_set(old, now());
    state.pod_set(web("p", "", by_revision), now());
    assert_eq!(next(&mut state, now()), "a1");
}

#[test]
fn the_emptier_topology_is_preferred() {
    check(&["a1", "b1"], &["a1", "a1"], web("p", "", soft(ZONE)), "b1");
    check(&["a1", "a2"], &["a1", "a1"], web("p", "", soft("kubernetes.io/hostname")), "a2");
    // A node without the label gets nothing for it, and takes the pod only if no other can.
    check(&["a1", "-1"], &[], web("p", "", soft(ZONE)), "a1");
    check(&["-1"], &[], web("p", "", soft(ZONE)), "-1");
}

#[test]
fn the_least_crowded_scores_all() {
    let normalized = |mut scores: Vec<i64>| {
        super::score::normalize(&mut scores);
        scores
    };
    assert_eq!(normalized(vec![0, 5, 10]), [100, 50, 0]);
    assert_eq!(normalized(vec![5, 10]), [100, 50]);
    assert_eq!(normalized(vec![-1, 0, 0]), [0, 100, 100]);
    assert_eq!(normalized(vec![-1]), [0]);
}

#[test]
fn a_waiting_pod_is_woken_when_the_counts_change() {
    let mut state = with(&["a1", "-1"], &["a1"]);
    let mut cordoned = in_zone("b1");
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    state.node_set(&cordoned, now());
    state.pod_set(web("p", "", hard(1, ZONE)), now());
    assert!(next(&mut state, now()).contains(NO));
    state.pod_set(of_app("other", "o", "b1", json!([])), later(20));
    assert_eq!(next(&mut state, later(20)), "nobody", "others do not count");
    state.pod_set(web("more", "b1", json!([])), later(21));
    assert_eq!(next(&mut state, later(21)), "a1");
    let mut state = with(&["a1"], &["a1"]);
    state.node_set(&cordoned, now());
    state.pod_set(web("p", "", hard(1, ZONE)), now());
    assert!(next(&mut state, now()).contains(NO));
    state.node_gone("b1", later(20));
    assert_eq!(next(&mut state, later(20)), "a1", "the empty zone is gone");
}

#[test]
fn preemption_counts_whom_it_has_go() {
    let mut state = with(&["a1"], &["a1"]);
    let mut cordoned = in_zone("b1");
    cordoned.spec.as_mut().unwrap().unschedulable = Some(true);
    state.node_set(&cordoned, now());
    state.pod_set(PodInfo { priority: 10, ..web("p", "", hard(1, ZONE)) }, now());
    let Some(Work::Refuse(_, _, Some(eviction))) = state.step(now()) else { panic!("room can be made") };
    assert_eq!(&*eviction.room.victims[0].key.name, "there-0");
}
