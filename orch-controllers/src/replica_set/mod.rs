//! `replicaset` and `replicationcontroller`: keep the number of pods that is asked for
//! (`pkg/controller/replicaset/replica_set.go`).

mod kind;
mod ranking;
mod status;
#[cfg(test)]
mod tests;

pub use kind::Replicas;

use crate::common::{
    claim,
    facts::{ORPHANS, PodFacts, is_active, orphan_index},
    owner,
    selector::selects,
    time::until,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Pod, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{
    Announce, Controller, Plan, Target, View, Watches,
    executor::BURST,
    view::{Failure, Known},
};
use std::{collections::HashMap, marker::PhantomData, sync::Arc};

/// Keeps the number of pods that an object of one of the kinds asks for.
pub struct ReplicaSetController<K>(PhantomData<K>);

impl<K> Default for ReplicaSetController<K> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// A set and what there is of pods.
pub struct World<K> {
    set: Arc<K>,
    /// Pods that the set controls, and pods without a controller that its selector selects.
    pods: Vec<Known<PodFacts>>,
    /// Active pods per node, of this set and of those that share its owner. Read only to scale down.
    neighbours: HashMap<Box<str>, usize>,
    failure: Option<Failure>,
}

impl<K: Replicas> Controller for ReplicaSetController<K> {
    const NAME: &'static str = K::NAME;
    const ABOUT: &'static str = K::ABOUT;
    const COMPONENT: &'static str = K::COMPONENT;
    type World = World<K>;

    fn watches(&self) -> Watches {
        Watches::root::<K>()
            .owns::<Pod>()
            .index(ORPHANS, orphan_index)
            .maps::<Pod>(claim::owners_that_want(K::selector))
            .only(claim::is_orphan)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World<K>> {
        let set: Arc<K> = view.get(key)?;
        let pods = claim::candidates(&*set, &set.selector(), view);
        let surplus = pods.iter().filter(|pod| is_active(pod)).count() > wanted(&*set);
        let neighbours = if surplus { neighbours(&*set, &pods, view) } else { HashMap::new() };
        Some(World { set, pods, neighbours, failure: view.failure().cloned() })
    }

    fn plan(&self, world: &World<K>, now: Timestamp) -> Plan {
        let (set, mut plan) = (&*world.set, Plan::default());
        let selector = set.selector();
        let wants = |pod: &Known<PodFacts>| selects(&selector, &pod.stored.meta.labels);
        let claimed = claim::claim(set, &world.pods, wants, is_active, &mut plan);
        let active: Vec<&Known<PodFacts>> = claimed.iter().copied().filter(|pod| is_active(pod)).collect();
        if !set.is_deleting() {
            scale(world, &active, now, &mut plan);
        }
        plan.update_status(set, &set.with_status(status::status(world, &claimed, &active, now)));
        let available = active.iter().filter_map(|pod| pod.facts.available_at(set.min_ready_seconds()));
        if let Some(at) = available.filter(|at| *at > now).min() {
            plan.requeue_within(until(at, now));
        }
        plan
    }
}

fn scale<K: Replicas>(world: &World<K>, active: &[&Known<PodFacts>], now: Timestamp, plan: &mut Plan) {
    let (set, wanted) = (&*world.set, wanted(&*world.set));
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        let template = set.template().cloned().unwrap_or_default();
        plan.create_many(&pod_of(set, &template), missing, &Announce::created(set, "Created pod: {}"));
    } else {
        let surplus = (active.len() - wanted).min(BURST);
        for pod in ranking::victims(active, &world.neighbours, surplus, now) {
            let announce = Announce::deleted(set, "Deleted pod: {}");
            plan.delete_announced(Target::stored::<Pod>(&pod.stored), pod.stored.meta.uid.clone(), announce);
        }
    }
}

/// A pod made from a template for the object that controls it.
pub fn pod_of<K: Object>(of: &K, template: &PodTemplateSpec) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", of.key().name)),
            namespace: of.meta().namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner::controller_ref(of)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

fn wanted<K: Replicas>(set: &K) -> usize {
    usize::try_from(set.wanted()).unwrap_or(0)
}

/// Counts the active pods per node of all sets that share the owner, so that doubled-up pods go first.
fn neighbours<K: Replicas>(set: &K, own: &[Known<PodFacts>], view: &View<'_>) -> HashMap<Box<str>, usize> {
    let owners = set.meta().owner_references.iter().flatten();
    let controller = owners.filter(|o| o.controller == Some(true)).map(|o| o.uid.as_str()).next();
    let siblings = controller.map(|uid| view.owned_stored(&K::gvr(), uid)).unwrap_or_default();
    let others = siblings.iter().filter(|s| *s.meta.uid != *set.uid());
    let others = others.flat_map(|s| view.owned_known::<PodFacts>(&s.meta.uid));
    let mut counts = HashMap::new();
    for pod in own.iter().cloned().chain(others).filter(is_active) {
        *counts.entry(pod.facts.node.clone()).or_insert(0) += 1;
    }
    counts
}
