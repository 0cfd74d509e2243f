use crate::scheduler::{
    state::{State, Work},
    tests::{later, next, node, now, pod},
};
use orch_runtime::scheduler::PodInfo;
use orch_store::Stored;
use serde_json::{Value, json};

const ZONE: &str = "zone";

/// A pod with a label `app`, perhaps on a node.
fn app(name: &str, app: &str, on: &str, affinity: Value) -> PodInfo {
    in_namespace("default", name, app, on, affinity)
}

fn in_namespace(namespace: &str, name: &str, app: &str, on: &str, affinity: Value) -> PodInfo {
    let object = json!({
        "metadata": { "name": name, "namespace": namespace, "uid": name, "labels": { "app": app } },
        "spec": { "schedulerName": "default-scheduler", "nodeName": on, "containers": [{ "image": "a" }],
            "affinity": affinity },
    });
    PodInfo::read(&Stored::from_json(object.to_string().into()).unwrap()).unwrap()
}

fn term(app: &str, topology: &str) -> Value {
    json!({ "labelSelector": { "matchLabels": { "app": app } }, "topologyKey": topology })
}

fn wants(app: &str, topology: &str) -> Value {
    json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term(app, topology)] } })
}

fn shuns(app: &str, topology: &str) -> Value {
    json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term(app, topology)] } })
}

fn prefers(kind: &str, app: &str) -> Value {
    let weighted = json!([{ "weight": 10, "podAffinityTerm": term(app, ZONE) }]);
    json!({ kind: { "preferredDuringSchedulingIgnoredDuringExecution": weighted } })
}

/// Nodes `a1`, `a2` in zone `a`, and so on.
fn with(nodes: &[&str], pods: impl IntoIterator<Item = PodInfo>) -> State {
    let mut state = crate::scheduler::tests::state(&[]);
    for name in nodes {
        let mut node = node(name, json!({}));
        node.metadata.labels.get_or_insert_default().insert(ZONE.into(), name[..1].into());
        state.node_set(&node, now());
    }
    pods.into_iter().for_each(|pod| state.pod_set(pod, now()));
    state
}

#[track_caller]
fn check(nodes: &[&str], pods: impl IntoIterator<Item = PodInfo>, pod: PodInfo, expected: &str) {
    let mut state = with(nodes, pods);
    state.pod_set(pod, now());
    assert_eq!(next(&mut state, now()), expected);
}

#[test]
fn a_pod_goes_near_those_that_it_wants() {
    let pods = [app("db", "db", "b1", json!({}))];
    check(&["a1", "b1", "b2", "c1"], pods.clone(), app("p", "web", "", wants("db", "kubernetes.io/hostname")), "b1");
    let why = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.";
    check(&["a1", "b1"], pods.clone(), app("p", "web", "", wants("nothing", ZONE)), why);
    check(&["b1"], pods, app("p", "web", "", wants("db", "no-such-label")), &why.replace('2', "1"));
}

#[test]
fn all_terms_must_be_met_by_the_same_pods() {
    let both = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution":
        [term("db", ZONE), term("cache", ZONE)] } });
    let pods = [app("db", "db", "a1", json!({})), app("cache", "cache", "a1", json!({}))];
    let why = "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.";
    check(&["a1"], pods, app("p", "web", "", both), why);
}

#[test]
fn the_first_pod_that_wants_its_like_goes_anywhere_and_the_next_to_it() {
    let mut state = with(&["a1", "b1"], []);
    state.pod_set(app("p", "web", "", wants("web", ZONE)), now());
    let first = next(&mut state, now());
    assert!(["a1", "b1"].contains(&&*first), "{first}");
    state.pod_set(app("q", "web", "", wants("web", ZONE)), now());
    assert_eq!(next(&mut state, now()), first);
    let why = "0/1 nodes are available: 1 node(s) didn't match pod affinity rules.";
    check(&["a1"], [], app("p", "web", "", wants("web", "no-such-label")), why);
}

#[test]
fn a_pod_keeps_away_from_those_that_it_shuns_and_they_from_it() {
    let why = "0/2 nodes are available: 1 node(s) didn't match pod anti-affinity rules, 1 node(s) were unschedulable.";
    let mut state = with(&["a1"], [app("noisy", "noisy", "a1", json!({}))]);
    state.node_set(&node("cordoned", json!({ "unschedulable": true })), now());
    state.pod_set(app("p", "quiet", "", shuns("noisy", ZONE)), now());
    assert_eq!(next(&mut state, now()), why);
    check(&["a1", "a2", "b1"], [app("noisy", "noisy", "a1", json!({}))], app("p", "q", "", shuns("noisy", ZONE)), "b1");
    let why = "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.";
    check(&["a1", "a2"], [app("quiet", "quiet", "a1", shuns("noisy", ZONE))], app("p", "noisy", "", json!({})), why);
}

#[test]
fn replicas_that_shun_each_other_get_a_node_each() {
    let mut state = with(&["a1", "a2"], []);
    for name in ["p", "q", "r"] {
        state.pod_set(app(name, "web", "", shuns("web", "kubernetes.io/hostname")), now());
    }
    let mut found = [next(&mut state, now()), next(&mut state, now())];
    found.sort();
    assert_eq!(found, ["a1", "a2"]);
    assert!(next(&mut state, now()).contains("2 node(s) didn't match pod anti-affinity rules"));
}

#[test]
fn a_term_means_pods_of_its_own_namespace_unless_it_names_others() {
    let db = [in_namespace("other", "db", "db", "b1", json!({}))];
    let why = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.";
    check(&["a1", "b1"], db.clone(), app("p", "web", "", wants("db", ZONE)), why);
    let mut named = term("db", ZONE);
    named["namespaces"] = json!(["other"]);
    let near = |term: &Value| json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [term] } });
    check(&["a1", "b1"], db.clone(), app("p", "web", "", near(&named)), "b1");
    let mut selected = term("db", ZONE);
    selected["namespaceSelector"] = json!({ "matchLabels": { "team": "data" } });
    let mut state = with(&["a1", "b1"], db.clone());
    state.pod_set(app("p", "web", "", near(&selected)), now());
    assert_eq!(next(&mut state, now()), why);
    let mut state = with(&["a1", "b1"], db.clone());
    state.namespace_set("other".into(), Some([("team", "data")].into_iter().collect()));
    state.pod_set(app("p", "web", "", near(&selected)), now());
    assert_eq!(next(&mut state, now()), "b1");
    selected["namespaceSelector"] = json!({});
    check(&["a1", "b1"], db, app("p", "web", "", near(&selected)), "b1");
}

#[test]
fn preferences_of_both_sides_are_weighed() {
    let db = || app("db", "db", "b1", json!({}));
    let nodes = ["a1", "b1"];
    check(&nodes, [db()], app("p", "web", "", prefers("podAffinity", "db")), "b1");
    check(&nodes, [db()], app("p", "web", "", prefers("podAntiAffinity", "db")), "a1");
    check(&nodes, [app("db", "db", "b1", prefers("podAffinity", "web"))], app("p", "web", "", json!({})), "b1");
    check(&nodes, [app("db", "db", "b1", prefers("podAntiAffinity", "web"))], app("p", "web", "", json!({})), "a1");
    let wanting = [app("other", "web", "b1", json!({})), app("db", "db", "b1", wants("web", ZONE))];
    check(&nodes, wanting, app("p", "web", "", json!({})), "b1");
}

#[test]
fn the_lowest_wish_scores_nothing_and_the_highest_all() {
    let normalized = |mut scores: Vec<i64>| {
        super::score::normalize(&mut scores);
        scores
    };
    assert_eq!(normalized(vec![-10, 0, 30]), [0, 25, 100]);
    assert_eq!(normalized(vec![7, 7]), [0, 0]);
    assert_eq!(normalized(vec![]), [0_i64; 0]);
}

#[test]
fn pods_without_terms_are_asked_nothing() {
    let mut state = with(&["a1"], []);
    state.pod_set(pod("p", json!({})), now());
    assert_eq!(next(&mut state, now()), "a1");
    assert!(!state.cluster().has_neighbours());
    state.pod_set(app("quiet", "quiet", "a1", shuns("noisy", ZONE)), now());
    assert!(state.cluster().has_neighbours());
    state.pod_gone("quiet", now());
    assert!(!state.cluster().has_neighbours());
}

#[test]
fn a_waiting_pod_is_woken_by_those_that_matter_to_it() {
    let mut state = with(&["a1"], [app("noisy", "noisy", "a1", json!({}))]);
    state.pod_set(app("p", "web", "", wants("db", ZONE)), now());
    state.pod_set(app("q", "quiet", "", shuns("noisy", ZONE)), now());
    assert!(next(&mut state, now()).contains("pod affinity") && next(&mut state, now()).contains("pod anti-affinity"));
    state.pod_set(app("cache", "cache", "a1", json!({})), later(20));
    assert_eq!(next(&mut state, later(20)), "nobody");
    state.pod_gone("cache", later(21));
    assert_eq!(next(&mut state, later(21)), "nobody");
    state.pod_set(app("db", "db", "a1", json!({})), later(22));
    assert_eq!(next(&mut state, later(22)), "a1");
    state.pod_set(app("noisy", "calm", "a1", json!({})), later(23));
    assert!(next(&mut state, later(23)).contains("Too many pods"), "the label was what stood in its way");
}

#[test]
fn preemption_sees_whom_a_pod_gets_rid_of() {
    let mut state =
        with(&["a1", "b1"], [app("noisy", "noisy", "a1", json!({})), app("wild", "noisy", "b1", json!({}))]);
    let quiet = PodInfo { priority: 10, ..app("p", "quiet", "", shuns("noisy", ZONE)) };
    state.pod_set(quiet, now());
    let Some(Work::Refuse(_, _, Some(eviction))) = state.step(now()) else { panic!("room can be made") };
    assert_eq!(eviction.room.victims.len(), 1);
    // And what is kept for a pod counts as if it were there.
    state.pod_gone(&eviction.room.victims[0].uid.clone(), now());
    state.pod_set(app("late", "noisy", "", json!({})), now());
    let Some(Work::Bind(assumed)) = state.step(now()) else { panic!("one node is left") };
    assert_ne!(assumed.node, eviction.room.node);
}
