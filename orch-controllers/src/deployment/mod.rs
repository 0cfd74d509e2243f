//! `deployment`: rolls out a pod template through ReplicaSets (`pkg/controller/deployment`).
//!
//! A plan works on copies of the deployment's status and of its sets (`rollout::Rollout`), step by step as
//! upstream does, and at the end compares the copies with what was observed: one write per changed object.

mod conditions;
mod fenceposts;
mod hash;
mod proportion;
mod revision;
mod rollout;
mod status;
mod strategy;
#[cfg(test)]
mod tests;

use crate::common::{
    claim,
    facts::{ORPHANS, PodFacts, orphan_index},
    owner, selector,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, Target, View, Watches, plan::Notice, view::Failure};
use orch_store::informer::Delta;
use rollout::Rollout;
use std::{borrow::Cow, sync::Arc};

/// Rolls out a pod template through ReplicaSets.
pub struct DeploymentController;

/// A deployment and its sets.
pub struct World {
    deployment: Arc<Deployment>,
    /// Sets that the deployment controls, and sets without a controller that its selector selects.
    sets: Vec<Arc<ReplicaSet>>,
    /// A set of the name that the new one would get, which is not the deployment's new set.
    squatter: bool,
    /// One that is owned by a deployment of this name that is gone: it is about to lose its owner, or to go as well.
    bereaved: bool,
    /// UIDs of the sets that have pods which may still run. Read for the strategy `Recreate`.
    running: Vec<String>,
    failure: Option<Failure>,
}

impl Controller for DeploymentController {
    const NAME: &'static str = "deployment";
    const ABOUT: &'static str = "Rolls out a Deployment's pod template through ReplicaSets.";
    const COMPONENT: &'static str = "deployment-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Deployment>()
            .owns::<ReplicaSet>()
            .index(ORPHANS, orphan_index)
            .maps::<ReplicaSet>(claim::owners_that_want(|deployment: &Deployment| {
                Cow::Borrowed(&deployment.spec.selector)
            }))
            .only(claim::is_orphan)
            .maps::<Pod>(deployment_that_waits_for_the_end_of_pods)
            .only(|delta| delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let deployment: Arc<Deployment> = view.get(key)?;
        let mut sets = view.owned::<ReplicaSet>(deployment.uid());
        sets.retain(|set| is_controlled_by(set, deployment.uid()));
        let orphans = view.by_index_stored(&ReplicaSet::gvr(), ORPHANS, &key.namespace);
        let wanted = orphans.iter().filter(|s| selector::selects(&deployment.spec.selector, &s.meta.labels));
        sets.extend(wanted.filter_map(|s| s.decode().ok()));
        let name = hash::set_name(&deployment);
        let taken: Option<Arc<ReplicaSet>> = view.get(&Key { namespace: key.namespace.clone(), name: name.into() });
        let bereaved =
            taken.as_ref().is_some_and(|set| !set.is_deleting() && had_another_of_its_name(set, &deployment));
        let squatter = taken.is_some_and(|set| {
            !is_controlled_by(&set, deployment.uid()) || !hash::is_of_template(&set, &deployment.spec.template)
        });
        let running = if is_recreate(&deployment) { running(&sets, view) } else { Vec::new() };
        Some(World { deployment, sets, squatter, bereaved, running, failure: view.failure().cloned() })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let deployment = &*world.deployment;
        if selector::is_empty(&deployment.spec.selector) {
            return selecting_all(deployment);
        }
        let mut plan = Plan::default();
        let Some(sets) = claim(world, &mut plan) else {
            // A set that becomes the deployment's may be the very one that would be made: it is seen first.
            return plan;
        };
        let mut rollout = Rollout::new(world, sets, now, plan);
        strategy::proceed(&mut rollout);
        rollout.finish()
    }
}

fn selecting_all(deployment: &Deployment) -> Plan {
    let mut plan = Plan::default();
    let mut new = deployment.clone();
    let status = new.status.get_or_insert_default();
    if status.observed_generation < deployment.metadata.generation {
        status.observed_generation = deployment.metadata.generation;
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        plan.event(Notice::warning(deployment, "SelectingAll", message));
        plan.update_status(deployment, &new);
    }
    plan
}

/// The sets that are the deployment's: adopts orphans that match, releases sets that no longer do. `None` while it adopts any.
fn claim<'a>(world: &'a World, plan: &mut Plan) -> Option<Vec<&'a Arc<ReplicaSet>>> {
    let deployment = &*world.deployment;
    let (mut claimed, mut adopts) = (Vec::with_capacity(world.sets.len()), false);
    for set in &world.sets {
        let labels = set.metadata.labels.iter().flatten().collect();
        let matches = selector::selects(&deployment.spec.selector, &labels);
        match (is_controlled_by(set, deployment.uid()), matches) {
            (true, true) => claimed.push(set),
            (true, false) if !deployment.is_deleting() => {
                plan.patch(Target::of(&**set), None, owner::release_typed(&**set, deployment.uid()));
            }
            (false, true) if !deployment.is_deleting() && !set.is_deleting() => {
                plan.patch(Target::of(&**set), None, owner::adopt_typed(&**set, deployment));
                adopts = true;
            }
            _ => {}
        }
    }
    (!adopts).then_some(claimed)
}

fn is_controlled_by(set: &ReplicaSet, uid: &str) -> bool {
    set.metadata.owner_references.iter().flatten().any(|o| o.controller == Some(true) && o.uid == uid)
}

/// Whether a set was made for a deployment that had the name before this one.
fn had_another_of_its_name(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let owner = set.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    owner.is_some_and(|owner| {
        let same = Some(&owner.name) == deployment.metadata.name.as_ref();
        same && owner.kind == "Deployment" && owner.uid != deployment.uid()
    })
}

fn is_recreate(deployment: &Deployment) -> bool {
    deployment.spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate")
}

fn running(sets: &[Arc<ReplicaSet>], view: &View<'_>) -> Vec<String> {
    let runs = |set: &&Arc<ReplicaSet>| {
        let pods = view.owned_known::<PodFacts>(set.uid());
        pods.iter().any(|pod| !pod.facts.is_finished() && owner::is_controlled_by(&pod.stored, set.uid()))
    };
    sets.iter().filter(runs).map(|set| set.uid().to_owned()).collect()
}

/// A deployment with the strategy `Recreate` goes on when the last of its old pods is gone.
fn deployment_that_waits_for_the_end_of_pods(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let owner_key = |stored: &orch_store::Stored, kind: &str| {
        let owner = stored.controller().filter(|o| &*o.kind == kind)?;
        Some(Key { namespace: stored.key.namespace.clone(), name: owner.name.clone() })
    };
    let found = || {
        let set = view.stored(&ReplicaSet::gvr(), &owner_key(delta.old.as_ref()?, "ReplicaSet")?)?;
        let key = owner_key(&set, "Deployment")?;
        is_recreate(&*view.get::<Deployment>(&key)?).then_some(key)
    };
    found().into_iter().collect()
}
