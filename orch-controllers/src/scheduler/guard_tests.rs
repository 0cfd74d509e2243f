use super::{
    guard::{Guard, Panicked, Point},
    plugins::default_profile,
    state::{State, Work},
    tests::{later, node, now, pod},
};
use orch_runtime::{
    metrics::Prometheus,
    scheduler::{
        Cluster, ClusterEvent, Cycle, Filter, Hint, Misfit, NodeIndex, NodeInfo, Nomination, Plugin, PodInfo, Points,
        PostFilter, PostFiltered, PreEnqueue, PreFilter, PreFiltered, PreScore, QueueSort, Queued, Rejection, Reserve,
        Score,
    },
};
use orch_store::Chance;
use serde_json::json;
use std::{
    cmp::Ordering,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// Panics at one extension point for the pod `bad`, as long as it is broken.
struct Broken(Point, Arc<AtomicBool>);

impl Broken {
    fn at(&self, point: Point, pod: &PodInfo) {
        assert!(self.0 != point || *pod.key.name != *"bad" || !self.1.load(Relaxed), "no such {point:?}");
    }
}

impl Plugin for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_enqueue(self.clone()).pre_filter(self.clone()).filter(self.clone()).post_filter(self.clone());
        points.pre_score(self.clone()).score(self.clone(), 1).reserve(self.clone());
        if self.0 == Point::QueueSort {
            points.queue_sort(self);
        }
    }

    fn hint(&self, pod: &PodInfo, _: &ClusterEvent<'_>) -> Hint {
        self.at(Point::QueueingHint, pod);
        Hint::Skip
    }
}

impl PreEnqueue for Broken {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        self.at(Point::PreEnqueue, pod);
        Ok(())
    }
}

impl QueueSort for Broken {
    fn compare(&self, a: &Queued, b: &Queued) -> Ordering {
        self.at(Point::QueueSort, &a.pod);
        b.pod.key.cmp(&a.pod.key)
    }
}

impl PreFilter for Broken {
    fn pre_filter(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster) -> PreFiltered {
        self.at(Point::PreFilter, pod);
        PreFiltered::All
    }
}

impl Filter for Broken {
    fn filter(&self, _: &Cycle, pod: &PodInfo, _: &NodeInfo) -> Result<(), Rejection> {
        self.at(Point::Filter, pod);
        let refuses = matches!(self.0, Point::PostFilter | Point::QueueingHint) && self.1.load(Relaxed);
        if refuses && *pod.key.name == *"bad" { Err(Rejection::unschedulable("is broken")) } else { Ok(()) }
    }
}

impl PostFilter for Broken {
    fn post_filter(&self, misfit: &Misfit<'_>) -> PostFiltered {
        self.at(Point::PostFilter, misfit.pod);
        PostFiltered::Unschedulable { message: String::new(), nomination: Nomination::Keep }
    }
}

impl PreScore for Broken {
    fn pre_score(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster, _: &[NodeIndex]) -> bool {
        self.at(Point::PreScore, pod);
        true
    }
}

impl Score for Broken {
    fn score(&self, _: &Cycle, pod: &PodInfo, _: &NodeInfo, _: &Cluster) -> i64 {
        self.at(Point::Score, pod);
        0
    }

    fn normalize(&self, _: &mut [i64]) {
        // It is not told for which pod.
        assert!(self.0 != Point::Normalize || !self.1.load(Relaxed), "no such Normalize");
    }
}

impl Reserve for Broken {
    fn reserve(&self, _: &mut Cycle, pod: &PodInfo, _: &Arc<str>, _: &mut Cluster) -> Result<(), Rejection> {
        self.at(Point::Reserve, pod);
        let refuses = self.0 == Point::Unreserve && self.1.load(Relaxed) && *pod.key.name == *"bad";
        if refuses { Err(Rejection::unschedulable("is taken")) } else { Ok(()) }
    }

    fn unreserve(&self, _: &Cycle, pod: &PodInfo, _: &Arc<str>, _: &mut Cluster) {
        self.at(Point::Unreserve, pod);
    }
}

/// What happened to the pods, by name.
fn run(state: &mut State, at: i64) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(work) = state.step(later(at)) {
        out.push(match work {
            Work::Bind(assumed) => format!("{} is bound", assumed.queued.pod.key.name),
            Work::Refuse(pod, refusal, _) => format!("{}: {} ({})", pod.key.name, refusal.message, refusal.failed),
        });
    }
    out
}

/// A cluster of two nodes with the broken plugin, and the text of its metrics.
fn broken(point: Point) -> (State, Arc<AtomicBool>, Prometheus) {
    let (is_broken, prometheus) = (Arc::new(AtomicBool::new(true)), Prometheus::new());
    let profile = default_profile().with(Broken(point, is_broken.clone()));
    let guard = Guard::new(Arc::new(prometheus.clone()));
    let mut state = State::new(vec![profile], Chance::from_seed(1), guard);
    ["a", "b"].iter().for_each(|name| state.node_set(&node(name, json!({})), now()));
    (state, is_broken, prometheus)
}

#[test]
fn a_plugin_that_panics_fails_its_pod_by_name_and_point_and_the_others_are_scheduled() {
    let all = [
        (Point::PreEnqueue, "running PreEnqueue plugin \"Broken\": "),
        (Point::PreFilter, "running PreFilter plugin \"Broken\": "),
        (Point::Filter, "running \"Broken\" filter plugin: "),
        (Point::PostFilter, "running PostFilter plugin \"Broken\": "),
        (Point::PreScore, "running PreScore plugin \"Broken\": "),
        (Point::Score, "running Score plugins: plugin \"Broken\" failed with: "),
        (Point::Reserve, "running Reserve plugin \"Broken\": "),
    ];
    for (point, words) in all {
        let (mut state, is_broken, prometheus) = broken(point);
        state.pod_set(pod("bad", json!({})), now());
        state.pod_set(pod("good", json!({})), now());
        let failed = format!("bad: {words}it panicked: no such {point:?} (true)");
        assert_eq!(run(&mut state, 0), [failed.clone(), "good is bound".into()], "{point:?}");
        // After a back-off of a second, and then of two, and so on; nothing has to happen for that.
        assert_eq!(state.queue().next_deadline(), Some(later(1)));
        assert_eq!(run(&mut state, 1), [failed]);
        assert_eq!(state.queue().next_deadline(), Some(later(3)));
        is_broken.store(false, Relaxed);
        assert_eq!(run(&mut state, 3), ["bad is bound"], "{point:?}");
        let counted = format!("scheduler_plugin_panics_total{{plugin=\"Broken\",extension_point=\"{point:?}\"}}");
        assert!(prometheus.text().contains(&counted), "{}", prometheus.text());
    }
}

#[test]
fn a_plugin_that_panics_while_it_normalizes_is_named_too() {
    let (mut state, ..) = broken(Point::Normalize);
    state.pod_set(pod("any", json!({})), now());
    let words =
        "any: running Normalize on Score plugins: plugin \"Broken\" failed with: it panicked: no such Normalize (true)";
    assert_eq!(run(&mut state, 0), [words]);
}

#[test]
fn a_plugin_that_panics_while_it_gives_back_stops_nobody() {
    let (mut state, ..) = broken(Point::Unreserve);
    state.pod_set(pod("bad", json!({})), now());
    state.pod_set(pod("good", json!({})), now());
    assert_eq!(run(&mut state, 0), ["bad: is taken (false)", "good is bound"]);
}

#[test]
fn a_hint_that_panics_may_have_meant_that_it_helps() {
    let (mut state, is_broken, _) = broken(Point::QueueingHint);
    state.pod_set(pod("bad", json!({})), now());
    assert_eq!(
        run(&mut state, 0),
        [
            "bad: 0/2 nodes are available: 2 is broken. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod. (false)"
        ]
    );
    state.node_set(&node("c", json!({})), later(2));
    is_broken.store(false, Relaxed);
    assert_eq!(run(&mut state, 2), ["bad is bound"]);
}

#[test]
fn an_order_that_panics_loses_no_pod() {
    let (mut state, _, prometheus) = broken(Point::QueueSort);
    for name in ["one", "bad", "two", "three"] {
        state.pod_set(pod(name, json!({})), now());
    }
    state.pod_gone("two", now());
    let mut scheduled = run(&mut state, 0);
    scheduled.sort();
    assert_eq!(scheduled, ["bad is bound", "one is bound", "three is bound"]);
    assert!(prometheus.text().contains("extension_point=\"QueueSort\""));
}

#[tokio::test]
async fn a_plugin_that_panics_while_others_wait_for_it_is_an_error() {
    async fn bind() {
        panic!("nothing to bind")
    }
    let error = Guard::default().wait(Point::Bind, "Broken", bind()).await.unwrap_err();
    assert_eq!(error, Panicked { plugin: "Broken", point: Point::Bind, why: "nothing to bind".into() });
    assert_eq!(error.to_string(), "running Bind plugin \"Broken\": it panicked: nothing to bind");
}
