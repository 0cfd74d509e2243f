use super::{
    Guard,
    plugins::default_profile,
    state::{State, Work},
};
use jiff::{SignedDuration, Timestamp};
use orch_runtime::scheduler::PodInfo;
use orch_store::{Chance, Stored};
use serde_json::{Value, json};

pub(super) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

pub(super) fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

pub(super) fn pod(name: &str, spec: Value) -> PodInfo {
    let mut object = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "schedulerName": "default-scheduler", "containers": [{ "image": "a" }] },
    });
    merge(&mut object["spec"], spec);
    PodInfo::read(&Stored::from_json(object.to_string().into()).unwrap()).unwrap()
}

pub(super) fn wants(cpu: &str) -> Value {
    json!({ "containers": [{ "image": "a", "resources": { "requests": { "cpu": cpu } } }] })
}

pub(super) fn node(name: &str, spec: Value) -> k8s_openapi::api::core::v1::Node {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "spec": spec,
        "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "3" } },
    }))
    .unwrap()
}

fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

pub(super) fn state(nodes: &[(&str, Value)]) -> State {
    let mut state = State::new(vec![default_profile()], Chance::from_seed(1), Guard::default());
    for (name, spec) in nodes {
        state.node_set(&node(name, spec.clone()), now());
    }
    state
}

pub(super) fn run(state: &mut State, at: Timestamp) -> String {
    let mut out = String::new();
    while let Some(work) = state.step(at) {
        out += &match work {
            Work::Bind(a) => format!("{} -> {}\n", a.queued.pod.key.name, a.node),
            Work::Refuse(pod, refusal, _) => format!("{}: {}\n", pod.key.name, refusal.message),
        };
    }
    out
}

#[track_caller]
fn check(nodes: &[(&str, Value)], pods: &[(&str, Value)], expected: &str) {
    let mut state = state(nodes);
    for (name, spec) in pods {
        state.pod_set(pod(name, spec.clone()), now());
    }
    let expected: String = expected.lines().map(|l| format!("{}\n", l.trim())).collect();
    assert_eq!(run(&mut state, now()), expected);
}

#[test]
fn pods_spread_to_where_most_is_left() {
    check(&[("a", json!({})), ("b", json!({}))], &[("1", wants("400m")), ("2", wants("400m"))], &{
        // Which node is first is left to chance; the second pod goes to the other one.
        let mut s = state(&[("a", json!({})), ("b", json!({}))]);
        s.pod_set(pod("1", wants("400m")), now());
        let first = run(&mut s, now());
        let (one, two) = if first.contains("-> a") { ("a", "b") } else { ("b", "a") };
        format!("1 -> {one}\n2 -> {two}")
    });
}

#[test]
fn higher_priority_goes_first() {
    check(
        &[("a", json!({}))],
        &[("low", wants("600m")), ("high", json!({ "priority": 5, "containers": wants("600m")["containers"] }))],
        "high -> a
         low: 0/1 nodes are available: 1 Insufficient cpu. \
         preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    );
}

#[test]
fn every_reason_is_counted_over_the_nodes() {
    let taint = json!({ "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] });
    check(
        &[("a", json!({})), ("b", taint), ("c", json!({ "unschedulable": true })), ("d", json!({}))],
        &[("big", wants("2"))],
        "big: 0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu. \
         preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn no_nodes_has_words_of_its_own() {
    check(&[], &[("p", json!({}))], "p: no nodes available to schedule pods");
}

#[test]
fn a_node_selector_is_obeyed() {
    check(
        &[("a", json!({})), ("b", json!({}))],
        &[
            ("p", json!({ "nodeSelector": { "kubernetes.io/hostname": "b" } })),
            ("q", json!({ "nodeSelector": { "disk": "ssd" } })),
        ],
        "p -> b
         q: 0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
    );
}

#[test]
fn a_host_port_is_given_once_per_node() {
    let port = json!({ "containers": [{ "image": "a", "ports": [{ "hostPort": 80 }] }] });
    check(
        &[("a", json!({}))],
        &[("p", port.clone()), ("q", port)],
        "p -> a
         q: 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. \
         preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    );
}

#[test]
fn the_number_of_pods_is_limited() {
    let pods: Vec<(String, Value)> = (0..4).map(|i| (i.to_string(), json!({}))).collect();
    let mut state = state(&[("a", json!({}))]);
    for (name, spec) in &pods {
        state.pod_set(pod(name, spec.clone()), now());
    }
    assert!(run(&mut state, now()).contains("\n3: 0/1 nodes are available: 1 Too many pods. preemption: "));
}

#[test]
fn soft_taints_are_avoided_but_not_feared() {
    let soft = json!({ "taints": [{ "key": "k", "effect": "PreferNoSchedule" }] });
    check(&[("a", soft.clone()), ("b", json!({}))], &[("p", json!({}))], "p -> b");
    check(&[("a", soft)], &[("p", json!({}))], "p -> a");
}

#[test]
fn a_gated_pod_waits_until_its_gates_are_gone() {
    let mut state = state(&[("a", json!({}))]);
    state.pod_set(pod("p", json!({ "schedulingGates": [{ "name": "x" }] })), now());
    assert_eq!(run(&mut state, now()), "");
    state.pod_set(pod("p", json!({})), now());
    assert_eq!(run(&mut state, now()), "p -> a\n");
}

#[test]
fn a_refused_pod_is_tried_again_when_an_event_helps_and_not_before() {
    let mut state = state(&[("a", json!({}))]);
    state.pod_set(pod("p", wants("2")), now());
    assert!(run(&mut state, now()).starts_with("p: 0/1"));
    state.node_set(&node("b", json!({ "unschedulable": true })), later(20));
    assert_eq!(run(&mut state, later(20)), "", "the new node is too small");
    let mut large = node("c", json!({}));
    large.status.as_mut().unwrap().allocatable = serde_json::from_value(json!({ "cpu": "4", "pods": "9" })).unwrap();
    state.node_set(&large, later(21));
    assert_eq!(run(&mut state, later(21)), "p -> c\n");
}

#[test]
fn freed_resources_wake_waiting_pods_after_their_backoff() {
    let mut state = state(&[("a", json!({}))]);
    state.pod_set(PodInfo { node: "a".into(), ..pod("old", wants("800m")) }, now());
    state.pod_set(pod("p", wants("500m")), now());
    assert!(run(&mut state, now()).contains("1 Insufficient cpu"));
    state.pod_gone("old", now());
    assert_eq!(run(&mut state, now()), "", "one second of back-off");
    assert_eq!(state.queue().next_deadline(), Some(later(1)));
    assert_eq!(run(&mut state, later(1)), "p -> a\n");
}

#[test]
fn the_schedulers_own_condition_does_not_wake_a_pod() {
    let mut state = state(&[("a", json!({}))]);
    state.pod_set(pod("p", wants("2")), now());
    run(&mut state, now());
    state.pod_set(PodInfo { refusal: "0/1 nodes".into(), ..pod("p", wants("2")) }, later(60));
    assert_eq!(run(&mut state, later(60)), "");
}

#[test]
fn a_pod_that_could_not_be_bound_takes_nothing_and_is_tried_again() {
    let mut state = state(&[("a", json!({}))]);
    state.pod_set(pod("p", wants("800m")), now());
    let Some(Work::Bind(assumed)) = state.step(now()) else { panic!("it fits") };
    assert_eq!(state.cluster().node("a").unwrap().requested.cpu_millis, 800);
    state.unbind(assumed, true, now());
    assert_eq!(state.cluster().node("a").unwrap().requested.cpu_millis, 0);
    assert_eq!(run(&mut state, later(2)), "p -> a\n");
}

#[test]
fn pods_of_other_schedulers_are_left_alone() {
    check(&[("a", json!({}))], &[("p", json!({ "schedulerName": "mine" }))], "");
}

#[test]
fn init_containers_and_sidecars_count_as_they_run() {
    let spec = json!({
        "containers": [{ "resources": { "requests": { "cpu": "100m" } } }],
        "initContainers": [
            { "restartPolicy": "Always", "resources": { "requests": { "cpu": "50m" } } },
            { "resources": { "requests": { "cpu": "300m" } } },
        ],
    });
    assert_eq!(pod("p", spec).requests.cpu_millis, 350);
}

/// Where the next pod goes, or why not, without what preemption has to say.
pub(super) fn next(state: &mut State, at: Timestamp) -> String {
    match state.step(at) {
        None => "nobody".into(),
        Some(Work::Bind(assumed)) => assumed.node.to_string(),
        Some(Work::Refuse(_, refusal, _)) => refusal.message.split(" preemption: ").next().unwrap().to_owned(),
    }
}
