//! `replicaset`: keeps the number of pods that a ReplicaSet asks for
//! (`pkg/controller/replicaset/replica_set.go`).

mod ranking;
mod status;
#[cfg(test)]
mod tests;

use crate::common::{
    facts::{ORPHANS, PodFacts, is_active, orphan_index},
    owner,
    selector::selects,
    time::{plus_seconds, until},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{
    Announce, Controller, Plan, Target, View, Watches,
    executor::BURST,
    view::{Failure, Known},
};
use orch_store::{Stored, informer::Delta};
use std::{collections::HashMap, sync::Arc};

/// Keeps the number of pods that a ReplicaSet asks for.
pub struct ReplicaSetController;

/// A ReplicaSet and what there is of pods.
pub struct World {
    set: Arc<ReplicaSet>,
    /// Pods that the set controls, and pods without a controller that its selector selects.
    pods: Vec<Known<PodFacts>>,
    /// Active pods per node, of this set and of those that share its owner. Read only to scale down.
    neighbours: HashMap<Box<str>, usize>,
    failure: Option<Failure>,
}

impl Controller for ReplicaSetController {
    const NAME: &'static str = "replicaset";
    const ABOUT: &'static str = "Keeps the number of pods that a ReplicaSet asks for.";
    const COMPONENT: &'static str = "replicaset-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<ReplicaSet>()
            .owns::<Pod>()
            .index(ORPHANS, orphan_index)
            .maps::<Pod>(sets_that_want_an_orphan)
            .only(|delta| delta.new.as_ref().is_some_and(|new| new.controller().is_none()))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let set: Arc<ReplicaSet> = view.get(key)?;
        let mut pods = view.owned_known::<PodFacts>(set.uid());
        pods.retain(|pod| owner::is_controlled_by(&pod.stored, set.uid()));
        let orphans = view.known_by_index::<PodFacts>(ORPHANS, &key.namespace);
        pods.extend(orphans.into_iter().filter(|pod| selects(&set.spec.selector, &pod.stored.meta.labels)));
        let surplus = pods.iter().filter(|pod| is_active(pod)).count() > wanted(&set);
        let neighbours = if surplus { neighbours(&set, &pods, view) } else { HashMap::new() };
        Some(World { set, pods, neighbours, failure: view.failure().cloned() })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let claimed = claim(world, &mut plan);
        let active: Vec<&Known<PodFacts>> = claimed.iter().copied().filter(|pod| is_active(pod)).collect();
        if !world.set.is_deleting() {
            scale(world, &active, now, &mut plan);
        }
        let mut set = (*world.set).clone();
        set.status = Some(status::status(world, &claimed, &active, now));
        plan.update_status(&*world.set, &set);
        if let Some(at) = active.iter().filter_map(|pod| available_at(pod, &set)).filter(|at| *at > now).min() {
            plan.requeue_within(until(at, now));
        }
        plan
    }
}

/// The pods that are the set's: adopts orphans that match, releases pods that no longer do.
fn claim<'a>(world: &'a World, plan: &mut Plan) -> Vec<&'a Known<PodFacts>> {
    let set = &world.set;
    let mut claimed = Vec::with_capacity(world.pods.len());
    for pod in &world.pods {
        let matches = selects(&set.spec.selector, &pod.stored.meta.labels);
        match (owner::is_controlled_by(&pod.stored, set.uid()), matches) {
            (true, true) => claimed.push(pod),
            (true, false) if is_active(pod) && !set.is_deleting() => {
                plan.patch(Target::stored::<Pod>(&pod.stored), None, owner::release(&pod.stored, set.uid()));
            }
            (false, true) if is_active(pod) && !set.is_deleting() => {
                plan.patch(Target::stored::<Pod>(&pod.stored), None, owner::adopt(&pod.stored, &**set));
                claimed.push(pod);
            }
            _ => {}
        }
    }
    claimed
}

fn scale(world: &World, active: &[&Known<PodFacts>], now: Timestamp, plan: &mut Plan) {
    let (set, wanted) = (&world.set, wanted(&world.set));
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        let template = set.spec.template.clone().unwrap_or_default();
        plan.create_many(&pod_of(&**set, &template), missing, &Announce::created(&**set, "Created pod: {}"));
    } else {
        let surplus = (active.len() - wanted).min(BURST);
        for pod in ranking::victims(active, &world.neighbours, surplus, now) {
            let announce = Announce::deleted(&**set, "Deleted pod: {}");
            plan.delete_announced(Target::stored::<Pod>(&pod.stored), pod.stored.meta.uid.clone(), announce);
        }
    }
}

/// A pod made from a template for the object that controls it.
pub fn pod_of<K: Object>(owner: &K, template: &PodTemplateSpec) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.key().name)),
            namespace: owner.meta().namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner::controller_ref(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// When a ready pod counts as available.
fn available_at(pod: &Known<PodFacts>, set: &ReplicaSet) -> Option<Timestamp> {
    let seconds = set.spec.min_ready_seconds.unwrap_or(0);
    pod.facts.ready_since.map(|since| if seconds == 0 { Timestamp::MIN } else { plus_seconds(since, seconds.into()) })
}

fn wanted(set: &ReplicaSet) -> usize {
    usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0)
}

/// Counts the active pods per node of all sets that share the owner, so that doubled-up pods go first.
fn neighbours(set: &ReplicaSet, own: &[Known<PodFacts>], view: &View<'_>) -> HashMap<Box<str>, usize> {
    let owners = set.metadata.owner_references.iter().flatten();
    let controller = owners.filter(|o| o.controller == Some(true)).map(|o| o.uid.as_str()).next();
    let siblings = controller.map(|uid| view.owned_stored(&ReplicaSet::gvr(), uid)).unwrap_or_default();
    let others = siblings.iter().filter(|s| *s.meta.uid != *set.uid());
    let others = others.flat_map(|s| view.owned_known::<PodFacts>(&s.meta.uid));
    let mut counts = HashMap::new();
    for pod in own.iter().cloned().chain(others).filter(is_active) {
        *counts.entry(pod.facts.node.clone()).or_insert(0) += 1;
    }
    counts
}

/// The sets of the namespace whose selector selects a pod without a controller.
fn sets_that_want_an_orphan(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(pod): Option<&Arc<Stored>> = delta.new.as_ref() else { return Vec::new() };
    if delta.old.as_ref().is_some_and(|old| old.controller().is_none() && old.meta.labels == pod.meta.labels) {
        return Vec::new();
    }
    let sets = view.list::<ReplicaSet>(&pod.key.namespace);
    sets.iter().filter(|set| selects(&set.spec.selector, &pod.meta.labels)).map(|set| set.key()).collect()
}
