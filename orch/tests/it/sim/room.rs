//! Preemption: whom the scenarios have go when nothing goes wrong, and a planted bug.

use super::planted::{By, Planted, base};
use orch::{
    controllers::scheduler::default_profile,
    runtime::scheduler::{Misfit, Plugin, Points, PostFilter, PostFiltered, Profile, Room},
    sim::{Check, FaultPlan, scenarios},
};
use std::sync::Arc;

/// Preemption that compares with `<=`, as it is easily written.
struct EqualsGo;

impl Plugin for EqualsGo {
    fn name(&self) -> &'static str {
        "EqualsGo"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.post_filter(self);
    }
}

impl PostFilter for EqualsGo {
    fn post_filter(&self, misfit: &Misfit<'_>) -> PostFiltered {
        let resolvable = misfit.rejections.iter().filter(|(_, rejection)| rejection.resolvable);
        let victim = resolvable.filter_map(|(name, _)| misfit.cluster.node(name)).find_map(|node| {
            let goes = |pod: &&Arc<_>| is_weaker(pod, misfit.pod);
            let victims: Vec<_> =
                node.pods.values().filter(goes).min_by_key(|pod| pod.key.clone()).cloned().into_iter().collect();
            (!victims.is_empty()).then(|| Room { plugin: self.name(), node: node.name.clone(), victims })
        });
        let nothing = || PostFiltered::Unschedulable { message: String::new(), nomination: Default::default() };
        victim.map_or_else(nothing, PostFiltered::MakeRoom)
    }
}

fn is_weaker(pod: &orch::runtime::scheduler::PodInfo, than: &orch::runtime::scheduler::PodInfo) -> bool {
    pod.priority <= than.priority && !pod.deleting
}

fn spoilt() -> Profile {
    let mut profile = default_profile();
    profile.points.post_filter.clear();
    profile.with(EqualsGo)
}

pub(super) fn all() -> Vec<Planted> {
    let scenario = scenarios::all().into_iter().find(|known| known.name == "preemption-not");
    let scenario = scenario.into_iter().map(|scenario| scenario.on(|seed| base(seed).scheduler(spoilt)));
    let planted = |scenario| Planted {
        bug: "lets Pods of the same priority make room for each other",
        by: By::Hand("none"),
        seen_by: "preemption",
        scenario,
    };
    scenario.map(planted).collect()
}

/// Whom the scheduler has go, by the first part of their names, in the order of time; at least these, and none if none.
#[track_caller]
fn check(scenario: &str, expected: &[&str]) {
    let scenario = scenarios::all().into_iter().find(|known| known.name == scenario).unwrap();
    for seed in 1..=4 {
        let case = scenario.case(seed, Check::Alone, FaultPlan::none());
        let (outcome, failures) = scenario.judge(&case);
        assert!(failures.is_empty(), "{}", scenario.failed(&case, &outcome, failures));
        let lines = outcome.history.lines().iter().filter(|line| line.contains("by kube-scheduler"));
        let doomed = lines.filter(|line| line.contains("metadata.deletionTimestamp="));
        let names: Vec<&str> =
            doomed.filter_map(|line| line.split_once("Pod default/")?.1.split(['-', ' ']).next()).collect();
        assert!(names.starts_with(expected) && names.is_empty() == expected.is_empty(), "seed {seed}: {names:?}");
    }
}

#[test]
fn a_pod_without_a_budget_goes() {
    check("preemption", &["batch"]);
}

#[test]
fn all_that_have_to_go_go_also_where_a_budget_would_have_one_stay() {
    check("preemption-wide", &["web", "web"]);
}

#[test]
fn nobody_goes_for_the_polite_and_for_equals() {
    check("preemption-not", &[]);
}
