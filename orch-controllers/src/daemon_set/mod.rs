//! `daemonset`: keeps a pod on every node that it is for (`pkg/controller/daemon`).
//!
//! The controller chooses the nodes; each pod names its own in its node affinity, and the scheduler binds it, so that
//! resources and ports are counted.

mod failures;
mod manage;
mod pass;
mod placement;
mod pods;
mod status;
#[cfg(test)]
mod tests;
mod update;

use crate::common::{
    claim,
    facts::{ORPHANS, PodFacts, orphan_index},
    history::{self, History, Proposed},
    selector::{is_empty, selects},
    time::until,
};
use failures::Failures;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet},
    core::v1::{Node, Pod},
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches, view::Known};
use placement::{Daemon, Place};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// Keeps a pod on every node that it is for.
#[derive(Default)]
pub struct DaemonSetController {
    failures: Arc<Failures>,
}

/// A DaemonSet, the nodes, its pods and its history.
pub struct World {
    set: Arc<DaemonSet>,
    daemon: Arc<Daemon>,
    nodes: Vec<Known<Place>>,
    /// Pods that the set controls, and pods without a controller that its selector selects.
    pods: Vec<Known<PodFacts>>,
    history: History,
    current: Proposed,
    /// When failed pods may be deleted, by UID.
    failed: HashMap<Arc<str>, Timestamp>,
}

impl Controller for DaemonSetController {
    const NAME: &'static str = "daemonset";
    const ABOUT: &'static str = "Keeps a pod of a DaemonSet on every node that it is for.";
    const COMPONENT: &'static str = "daemonset-controller";
    type World = World;

    fn watches(&self) -> Watches {
        let failures = self.failures.clone();
        Watches::root::<DaemonSet>()
            .owns::<Pod>()
            .index(ORPHANS, orphan_index)
            // Failures are counted before the change asks for its set, so that the plan knows of them.
            .only(move |delta| {
                failures.note(delta);
                true
            })
            .maps::<Pod>(claim::owners_that_want(|set: &DaemonSet| Cow::Borrowed(&set.spec.selector)))
            .only(claim::is_orphan)
            // As upstream, a set does not stir when somebody else changes its history.
            .maps::<ControllerRevision>(claim::owners_that_want(|set: &DaemonSet| Cow::Borrowed(&set.spec.selector)))
            .index(ORPHANS, orphan_index)
            .only(claim::is_orphan)
            .maps::<Node>(placement::sets_that_come_or_go)
            .only(placement::has_moved)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let set: Arc<DaemonSet> = view.get(key)?;
        // While a set is being deleted its pods and revisions may be going or be left behind: nothing can be said.
        if set.is_deleting() || is_empty(&set.spec.selector) {
            return None;
        }
        let daemon = view.known::<Daemon>(key)?.facts;
        let nodes = view.list_known::<Place>("");
        let pods = claim::candidates(&*set, &set.spec.selector, view);
        let history = History::observe(&*set, &set.spec.selector, view);
        let collisions = set.status.as_ref().and_then(|status| status.collision_count);
        let current = history.propose(&*set, &set.spec.template, history::LABEL, collisions, view);
        let failed = self.failures.deadlines(&pods);
        Some(World { set, daemon, nodes, pods, history, current, failed })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let set = &*world.set;
        let mut plan = Plan::default();
        world.history.claim(set, &mut plan);
        let wants = |pod: &Known<PodFacts>| selects(&set.spec.selector, &pod.stored.meta.labels);
        let pods = claim::claim(set, &world.pods, wants, |_| true, &mut plan);
        let relabelled = pods::relabel(world, &pods, &mut plan);
        world.current.write(&mut plan);
        let next = pods.iter().filter_map(|pod| pod.facts.available_at(min_ready(set))).filter(|at| *at > now).min();
        let mut pass = pass::Pass::new(world, &pods, now, plan);
        // What is begun is seen through before more is taken on.
        if !manage::proceed(&mut pass) && !relabelled && !update::is_on_delete(set) {
            update::proceed(&mut pass);
        }
        let mut plan = pass.finish();
        if let Some(at) = next {
            plan.requeue_within(until(at, now));
        }
        plan
    }
}

fn min_ready(set: &DaemonSet) -> i32 {
    set.spec.min_ready_seconds.unwrap_or(0)
}
