//! `statefulset`: keeps pods that are somebody, each with its name and its volumes (`pkg/controller/statefulset`).
//!
//! A plan goes through the steps of upstream's `updateStatefulSet` in order and stops at the first that has to wait:
//! the living pods from the lowest ordinal up, those to be given up from the highest down, then the update.

mod claims;
mod identity;
mod pass;
mod status;
#[cfg(test)]
mod tests;
mod update;
mod volumes;

use crate::common::{
    claim,
    facts::{ORPHANS, PodFacts, orphan_index},
    history::{History, Proposed},
    selector::selects,
    time::until,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{PersistentVolumeClaim, Pod},
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches, view::Known};
use orch_store::{Stored, informer::Delta};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Keeps pods that are somebody.
pub struct StatefulSetController;

/// A StatefulSet, its pods, its history and the claims of its pods.
pub struct World {
    set: Arc<StatefulSet>,
    /// Pods that the set controls, and pods without a controller that are called and labelled as its own.
    pods: Vec<Known<PodFacts>>,
    history: History,
    update: Proposed,
    /// By name.
    claims: HashMap<Arc<str>, Arc<Stored>>,
}

/// The label that holds the hash of a revision (`ControllerRevisionHashLabel`); that of pods holds the whole name.
const HASH: &str = "controller.kubernetes.io/hash";

impl Controller for StatefulSetController {
    const NAME: &'static str = "statefulset";
    const ABOUT: &'static str = "Keeps the pods of a StatefulSet, each with its name and its volumes.";
    const COMPONENT: &'static str = "statefulset-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<StatefulSet>()
            .owns::<Pod>()
            .index(ORPHANS, orphan_index)
            .maps::<Pod>(claim::owners_that_want(|set: &StatefulSet| Cow::Borrowed(&set.spec.selector)))
            .only(claim::is_orphan)
            // As upstream, a set does not stir when somebody else changes its history.
            .maps::<ControllerRevision>(claim::owners_that_want(|set: &StatefulSet| Cow::Borrowed(&set.spec.selector)))
            .index(ORPHANS, orphan_index)
            .only(claim::is_orphan)
            .maps::<PersistentVolumeClaim>(sets_that_wait_for_the_end_of_a_claim)
            .only(|delta| delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let set: Arc<StatefulSet> = view.get(key)?;
        let mut pods = claim::candidates(&*set, &set.spec.selector, view);
        pods.retain(|pod| pod.stored.controller().is_some() || identity::is_member(&set, &pod.stored.key.name));
        let history = History::observe(&*set, &set.spec.selector, view);
        let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let update = history.propose(&*set, &set.spec.template, HASH, Some(collisions), view);
        let claims = claims::observe(&set, &pods, view);
        Some(World { set, pods, history, update, claims })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let set = &*world.set;
        let mut plan = Plan::default();
        world.history.claim(set, &mut plan);
        let is_own = |pod: &Known<PodFacts>| {
            selects(&set.spec.selector, &pod.stored.meta.labels) && identity::is_member(set, &pod.stored.key.name)
        };
        let pods = claim::claim(set, &world.pods, is_own, |_| true, &mut plan);
        if !set.is_deleting() {
            world.update.write(&mut plan);
        }
        let next = pods.iter().filter_map(|pod| pod.facts.available_at(min_ready(set))).filter(|at| *at > now).min();
        let mut pass = pass::Pass::new(world, &pods, now, plan);
        pass.proceed();
        let mut plan = pass.finish();
        if let Some(at) = next {
            plan.requeue_within(until(at, now));
        }
        plan
    }
}

fn min_ready(set: &StatefulSet) -> i32 {
    set.spec.min_ready_seconds.unwrap_or(0)
}

fn wanted(set: &StatefulSet) -> i32 {
    set.spec.replicas.unwrap_or(1).max(0)
}

/// The first ordinal (`spec.ordinals.start`).
fn start(set: &StatefulSet) -> i32 {
    set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0).max(0)
}

/// A pod is not made while an old claim of its name is still going.
fn sets_that_wait_for_the_end_of_a_claim(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(claim) = &delta.old else { return Vec::new() };
    let Some((rest, _)) = identity::split(&claim.key.name) else { return Vec::new() };
    let sets = view.list_stored(&StatefulSet::gvr(), &claim.key.namespace);
    let is_of = |name: &str| rest.strip_suffix(name).is_some_and(|template| template.ends_with('-'));
    sets.iter().filter(|set| is_of(&set.key.name)).map(|set| set.key.clone()).collect()
}
