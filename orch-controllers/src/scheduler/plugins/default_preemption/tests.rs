use super::pick::{Candidate, more_important, pick};
use crate::scheduler::{
    state::{State, Work},
    storage::StorageChange,
    tests::{later, node, now, pod, run, state},
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orch_api::{Key, label_selector::Selector};
use orch_runtime::scheduler::{Budget, PodInfo};
use serde_json::{Value, json};
use std::sync::Arc;

/// A pod that asks for so much CPU; a node of these tests has 1000 of it, and room for three pods.
fn asks(name: &str, priority: i32, milli: i64) -> PodInfo {
    let cpu = json!([{ "image": "a", "resources": { "requests": { "cpu": format!("{milli}m") } } }]);
    pod(name, json!({ "priority": priority, "containers": cpu }))
}

/// A pod that has run on a node since that second.
fn runs(name: &str, node: &str, priority: i32, milli: i64, since: i64) -> PodInfo {
    PodInfo { node: node.into(), started: Some(later(since)), ..asks(name, priority, milli) }
}

fn labelled(pod: PodInfo, label: &str) -> PodInfo {
    let labels: std::collections::BTreeMap<_, _> = [("app".to_owned(), label.to_owned())].into();
    let object = json!({ "metadata": { "name": "l", "namespace": "default", "labels": labels } });
    let stored = orch_store::Stored::from_json(object.to_string().into()).unwrap();
    PodInfo { labels: stored.meta.labels.clone(), ..pod }
}

fn budget(app: &str, allowed: i32) -> Budget {
    let selector = Selector::from_labels([("app", app)]);
    Budget { key: Key::new("default", app), selector, allowed, disrupted: [].into() }
}

fn with(nodes: &[&str], pods: impl IntoIterator<Item = PodInfo>) -> State {
    let nodes: Vec<(&str, Value)> = nodes.iter().map(|name| (*name, json!({}))).collect();
    let mut state = state(&nodes);
    pods.into_iter().for_each(|pod| state.pod_set(pod, now()));
    state
}

/// Where room is made for the next pod, and who goes; or what is said of it.
fn next(state: &mut State, at: i64) -> String {
    match state.step(later(at)) {
        None => "nobody".into(),
        Some(Work::Bind(assumed)) => format!("{} -> {}", assumed.queued.pod.key.name, assumed.node),
        Some(Work::Refuse(_, _, Some(eviction))) => {
            let names =
                |pods: &[Arc<PodInfo>]| pods.iter().map(|p| p.key.name.to_string()).collect::<Vec<_>>().join(" ");
            let outbid = names(&eviction.outbid);
            let outbid = if outbid.is_empty() { outbid } else { format!(", and not for {outbid}") };
            format!("room on {} without {}{outbid}", eviction.room.node, names(&eviction.room.victims))
        }
        Some(Work::Refuse(_, refusal, None)) => refusal.message,
    }
}

#[track_caller]
fn check(pods: impl IntoIterator<Item = PodInfo>, preemptor: PodInfo, expected: &str) {
    let mut state = with(&["a", "b"], pods);
    state.pod_set(preemptor, now());
    assert_eq!(next(&mut state, 0), expected);
}

/// Fills the node `b` with what nobody here can have removed.
fn taken() -> PodInfo {
    runs("taken", "b", 1000, 1000, 0)
}

#[test]
fn the_least_important_pods_go_and_no_more_than_have_to() {
    let pods = [runs("low", "a", 1, 300, 0), runs("mid", "a", 5, 300, 0), runs("top", "a", 50, 300, 0), taken()];
    check(pods.clone(), asks("p", 10, 400), "room on a without low");
    check(pods.clone(), asks("p", 10, 700), "room on a without mid low");
    check(pods, asks("p", 100, 1000), "room on a without top mid low");
}

#[test]
fn of_equals_the_younger_goes() {
    let pods = [runs("old", "a", 1, 400, 10), runs("new", "a", 1, 400, 20), taken()];
    check(pods, asks("p", 10, 500), "room on a without new");
}

#[test]
fn a_large_pod_goes_only_if_a_small_one_does_not_do() {
    // The more important one comes back first, so the small one is spared only if it fits beside.
    let pods = [runs("large", "a", 2, 600, 0), runs("small", "a", 1, 300, 0), taken()];
    check(pods.clone(), asks("p", 10, 200), "room on a without small");
    check(pods, asks("p", 10, 500), "room on a without large");
}

#[test]
fn nobody_of_the_same_or_a_higher_priority_goes() {
    let words = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: \
                 2 No preemption victims found for incoming pod.";
    check([runs("same", "a", 10, 800, 0), taken()], asks("p", 10, 500), words);
    check([runs("more", "a", 11, 800, 0), taken()], asks("p", 10, 500), words);
}

#[test]
fn it_says_for_each_node_why_removing_pods_does_not_help() {
    let taint = json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] });
    let mut state = state(&[("a", json!({})), ("b", json!({})), ("tainted", taint)]);
    for pod in [runs("more", "a", 50, 800, 0), runs("low", "a", 1, 100, 0), taken(), asks("p", 10, 500)] {
        state.pod_set(pod, now());
    }
    let words = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: \
                 0/3 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod, \
                 1 Preemption is not helpful for scheduling.";
    assert_eq!(next(&mut state, 0), words);
}

#[test]
fn a_no_of_prefilter_is_beyond_help() {
    let mut state = with(&["a"], [runs("low", "a", 1, 800, 0)]);
    state.pod_set(
        pod("p", json!({"priority": 10, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]})),
        now(),
    );
    let words = "0/1 nodes are available: persistentvolumeclaim \"c\" not found. preemption: 0/1 nodes are available: \
                 1 Preemption is not helpful for scheduling.";
    assert_eq!(next(&mut state, 0), words);
}

#[test]
fn a_pod_of_a_class_that_never_preempts_waits() {
    let never = PodInfo { never_preempts: true, ..asks("p", 10, 500) };
    let words = "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.";
    check([runs("low", "a", 1, 800, 0), taken()], never, words);
}

#[test]
fn the_node_is_taken_where_no_budget_is_violated() {
    let pods = [labelled(runs("guarded", "a", 1, 800, 0), "db"), runs("free", "b", 5, 800, 0)];
    let mut state = with(&["a", "b"], pods);
    state.budget_set(budget("db", 0));
    state.pod_set(asks("p", 10, 500), now());
    assert_eq!(next(&mut state, 0), "room on b without free");
}

#[test]
fn whose_end_would_violate_a_budget_is_spared_before_the_more_important() {
    let pods = || [labelled(runs("guarded", "a", 1, 400, 0), "db"), runs("more", "a", 5, 400, 0), taken()];
    let mut state = with(&["a", "b"], pods());
    state.budget_set(budget("db", 0));
    state.pod_set(asks("p", 10, 500), now());
    assert_eq!(next(&mut state, 0), "room on a without more");
    let mut state = with(&["a", "b"], pods());
    state.budget_set(budget("db", 1));
    state.pod_set(asks("p", 10, 500), now());
    assert_eq!(next(&mut state, 0), "room on a without guarded", "the budget allows one");
    let mut state = with(&["a", "b"], pods());
    state.budget_set(Budget { disrupted: ["guarded".into()].into(), ..budget("db", 0) });
    state.pod_set(asks("p", 10, 500), now());
    assert_eq!(next(&mut state, 0), "room on a without guarded", "it is counted already");
    let mut state = with(&["a", "b"], pods());
    state.budget_set(budget("db", 0));
    state.pod_set(asks("p", 10, 1000), now());
    assert_eq!(next(&mut state, 0), "room on a without more guarded", "a budget does not save it where all have to go");
}

#[test]
fn a_budget_is_used_up_by_the_more_important_first() {
    let pods = ["one", "two", "three"].map(|name| labelled(runs(name, "a", 1, 300, name.len() as i64), "db"));
    let mut state = with(&["a"], pods);
    state.budget_set(budget("db", 2));
    state.pod_set(asks("p", 10, 400), now());
    // The youngest is the one too many, and so the first that is spared.
    assert_eq!(next(&mut state, 0), "room on a without two");
}

#[test]
fn a_budget_that_selects_everything_selects_nothing() {
    let all = Budget { selector: Selector::everything(), ..budget("db", 0) };
    assert!(!all.covers(&labelled(asks("p", 1, 1), "db")));
    assert!(budget("db", 0).covers(&labelled(asks("p", 1, 1), "db")));
    assert!(!budget("db", 0).covers(&asks("p", 1, 1)));
}

/// The better of two candidates, told by violations and victims.
#[track_caller]
fn better(better: (usize, &[PodInfo]), worse: (usize, &[PodInfo])) {
    let candidate = |node: &str, (violations, pods): (usize, &[PodInfo])| {
        let mut victims: Vec<_> = pods.iter().cloned().map(Arc::new).collect();
        victims.sort_by(more_important);
        Candidate { node: node.into(), victims, violations }
    };
    let (one, other) = (candidate("better", better), candidate("worse", worse));
    assert_eq!(&*pick(vec![one.clone(), other.clone()]).unwrap().node, "better");
    assert_eq!(&*pick(vec![other, one]).unwrap().node, "better");
}

#[test]
fn the_node_is_picked_where_it_hurts_least() {
    let p = |priority, since| runs("v", "n", priority, 1, since);
    better((1, &[p(9, 0), p(9, 0)]), (2, &[p(1, 0)]));
    better((0, &[p(4, 0), p(4, 0), p(4, 0)]), (0, &[p(5, 0)]));
    better((0, &[p(5, 0), p(1, 0)]), (0, &[p(5, 0), p(2, 0)]));
    better((0, &[p(-5, 0)]), (0, &[p(-5, 0), p(-9, 0)]));
    better((0, &[p(0, 0)]), (0, &[p(0, 0), p(i32::MIN, 0)]));
    better((0, &[p(5, 20), p(1, 0)]), (0, &[p(5, 10), p(1, 30)]));
    better((0, &[asks("unstarted", 5, 1)]), (0, &[p(5, 10)]));
    assert!(pick(Vec::new()).is_none());
}

#[test]
fn so_many_candidates_are_enough() {
    let plugin = super::DefaultPreemption::default();
    let enough = [1, 99, 150, 2000].map(|potential| plugin.enough(potential));
    assert_eq!(enough, [1, 99, 100, 200]);
}

#[test]
fn the_preemptor_waits_until_its_victims_were_told_and_are_gone() {
    let mut state = with(&["a"], [runs("low", "a", 1, 800, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    assert_eq!(state.cluster().nominations().node_of("p").map(|n| &**n), Some("a"));
    state.pod_gone("low", later(2));
    assert_eq!(next(&mut state, 2), "nobody", "others may still have to be told");
    state.evicted("p", true, later(3));
    assert_eq!(next(&mut state, 3), "p -> a");
    assert!(state.cluster().nominations().is_empty(), "it has its node");
}

#[test]
fn an_eviction_that_failed_is_decided_anew() {
    let mut state = with(&["a"], [runs("low", "a", 1, 800, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.evicted("p", false, later(2));
    assert_eq!(next(&mut state, 2), "room on a without low");
}

#[test]
fn nothing_more_is_done_while_victims_still_go() {
    let mut state = with(&["a", "b"], [runs("low", "a", 1, 800, 0), runs("other", "b", 2, 800, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.pod_set(PodInfo { deleting: true, is_victim: true, ..runs("low", "a", 1, 800, 0) }, now());
    state.evicted("p", true, now());
    // Something else wakes it.
    state.pod_gone("other", later(2));
    state.pod_set(runs("third", "b", 3, 800, 0), later(2));
    let words = "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to a terminating pod on the \
                 nominated node.";
    assert_eq!(next(&mut state, 2), words);
    assert!(state.cluster().nominations().node_of("p").is_some(), "what it waits for stays its own");
    // Unless the node turns out to be no good, whoever goes.
    state.node_set(&node("a", json!({"unschedulable": true})), later(3));
    state.node_set(&node("c", json!({})), later(9));
    state.pod_set(runs("fourth", "c", 4, 800, 0), later(9));
    assert_eq!(next(&mut state, 9), "room on b without third");
}

#[test]
fn a_victim_that_goes_anyway_is_not_told_again() {
    let going = PodInfo { deleting: true, ..runs("going", "a", 1, 400, 0) };
    let mut state = with(&["a"], [going, runs("low", "a", 2, 400, 0), asks("p", 10, 900)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
}

#[test]
fn what_is_kept_for_a_pod_is_not_for_those_that_are_less_important() {
    let mut state = with(&["a"], [runs("low", "a", 1, 800, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.pod_gone("low", now());
    state.pod_set(asks("less", 5, 600), now());
    let words = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: \
                 1 No preemption victims found for incoming pod.";
    assert_eq!(next(&mut state, 0), words, "the node is empty, and kept");
    state.pod_set(asks("beside", 5, 500), now());
    assert_eq!(next(&mut state, 0), "beside -> a");
    state.evicted("p", true, later(2));
    assert_eq!(next(&mut state, 2), "p -> a");
}

#[test]
fn a_more_important_pod_takes_what_is_kept_and_the_other_looks_elsewhere() {
    let mut state = with(&["a", "b"], [runs("low", "a", 1, 900, 0), runs("mid", "b", 7, 900, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.evicted("p", true, now());
    state.pod_set(asks("top", 100, 900), now());
    assert_eq!(next(&mut state, 0), "room on a without low, and not for p");
    assert!(state.cluster().nominations().node_of("p").is_none());
    assert_eq!(next(&mut state, 1), "room on b without mid");
}

#[test]
fn a_nomination_in_the_status_counts_after_a_restart_and_ends_when_it_is_taken_back() {
    let nominated = |node: &str| PodInfo { nominated: node.into(), ..asks("p", 10, 500) };
    let mut state = with(&["a", "b"], [taken(), runs("low", "a", 1, 800, 0), nominated("a")]);
    assert_eq!(state.cluster().nominations().on("a").len(), 1);
    assert_eq!(next(&mut state, 0), "room on a without low", "nobody goes yet");
    state.pod_set(nominated("a"), now());
    assert_eq!(state.cluster().nominations().node_of("p").map(|n| &**n), Some("a"));
    state.pod_set(nominated("b"), now());
    assert_eq!(state.cluster().nominations().node_of("p").map(|n| &**n), Some("b"));
    state.pod_set(nominated(""), now());
    assert!(state.cluster().nominations().is_empty());
}

#[test]
fn a_pod_that_waited_beside_a_kept_node_is_woken_when_that_is_kept_no_more() {
    let mut state = with(&["a"], [PodInfo { nominated: "a".into(), never_preempts: true, ..asks("p", 10, 600) }]);
    // It is scheduled by another, and its status still says so.
    state.pod_set(asks("q", 10, 600), now());
    assert_eq!(next(&mut state, 0), "p -> a");
    assert!(next(&mut state, 0).contains("Insufficient cpu"));
    let mut state = with(&["a"], [PodInfo { nominated: "a".into(), scheduler: "other".into(), ..asks("p", 10, 600) }]);
    state.pod_set(asks("q", 10, 600), now());
    assert_eq!(next(&mut state, 0), "q -> a", "pods of other schedulers have no say");
}

#[test]
fn a_nomination_that_helps_no_more_is_given_up_and_others_are_told() {
    let mut state = with(&["a"], [runs("low", "a", 1, 800, 0), asks("p", 10, 500)]);
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.evicted("p", true, now());
    state.pod_set(asks("q", 5, 600), now());
    assert!(next(&mut state, 0).contains("preemption: 0/1 nodes are available: 1 Insufficient cpu."));
    // Somebody binds a pod past the scheduler, and the victim ends.
    state.pod_set(runs("more", "a", 100, 600, 0), now());
    state.pod_gone("low", later(1));
    assert!(next(&mut state, 1).contains("No preemption victims"));
    assert!(state.cluster().nominations().is_empty());
    state.pod_gone("more", later(3));
    assert_eq!([next(&mut state, 3), next(&mut state, 3)].map(|words| words.contains("->")), [true, false]);
}

#[test]
fn a_claim_for_one_pod_is_free_once_its_pod_has_gone() {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "c", "namespace": "default", "uid": "c", "resourceVersion": "1", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"accessModes": ["ReadWriteOncePod"], "volumeName": "v"}, "status": {"phase": "Bound"}}))
    .unwrap();
    let volume: k8s_openapi::api::core::v1::PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": "v", "resourceVersion": "1"}, "spec": {"accessModes": ["ReadWriteOncePod"], "capacity": {"storage": "1Gi"},
        "claimRef": {"name": "c", "namespace": "default", "uid": "c"}, "hostPath": {"path": "/v"}}, "status": {"phase": "Bound"}}))
    .unwrap();
    let user = |name: &str, priority: i32, node: &str| {
        let spec = json!({"priority": priority, "nodeName": node, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]});
        pod(name, spec)
    };
    let mut state = with(&["a", "b"], []);
    state.storage_set(&StorageChange::of(None, Some(&claim)), now());
    state.storage_set(&StorageChange::of(None, Some(&volume)), now());
    state.pod_set(user("low", 1, "a"), now());
    state.pod_set(user("p", 10, ""), now());
    assert_eq!(next(&mut state, 0), "room on a without low");
    state.pod_gone("low", later(2));
    state.evicted("p", true, later(2));
    assert!(run(&mut state, later(2)).starts_with("p -> "));
}
