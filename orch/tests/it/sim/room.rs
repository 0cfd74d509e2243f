//! A planted bug of the scheduler: it lets Pods of the same priority make room for each other.

use super::{
    bugs::base,
    planted::{By, Planted},
};
use orch::{
    controllers::scheduler::default_profile,
    runtime::scheduler::{Misfit, Plugin, Points, PostFilter, PostFiltered, Profile, Room},
    sim::scenarios,
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
