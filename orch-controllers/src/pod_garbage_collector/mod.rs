//! `pod-garbage-collector-controller`: deletes pods that nobody else will (`pkg/controller/podgc`): of nodes that are gone
//! or out of service, those that are to go and were never scheduled, and the oldest of too many that have ended.

mod facts;
#[cfg(test)]
mod tests;

use crate::{
    common::PodFacts,
    node_lifecycle::{BY_NODE, node_index},
};
use facts::{Ended, OutOfService, ended_index};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use orch_api::{Key, Object, conditions};
use orch_runtime::{
    Controller, Deletes, Error, Plan, Target, View, Watches,
    view::{Facts, Known},
};
use orch_store::{Client, Stored, client::DeleteOptions, informer::Delta};
use std::{sync::Arc, time::Duration};

/// Deletes pods that nobody else will.
pub struct PodGarbageCollector {
    /// So many pods that have ended may stay (`--terminated-pod-gc-threshold`); 0 for any number.
    pub threshold: usize,
}

impl Default for PodGarbageCollector {
    /// As kube-controller-manager has it.
    fn default() -> Self {
        Self { threshold: 12_500 }
    }
}

/// What one key is about.
pub enum World {
    /// A pod that is being deleted and has no node to end it. Its key is the pod's.
    Forsaken(Arc<Pod>),
    /// The pods of a node that the caches do not have. Its key is the node's.
    Orphans {
        /// The node.
        node: Key,
        /// Its pods.
        pods: Vec<Known<PodFacts>>,
        /// The API server has the node all the same.
        exists: bool,
    },
    /// The pods that have ended, when they are too many. Its key is empty.
    Ended(Vec<Arc<Stored>>),
}

/// How long a node must be missing: caches lag, and nodes come back (`quarantineTime`).
const QUARANTINE: Duration = Duration::from_secs(40);
/// How long pods that have ended are collected before they are counted (`gcCheckPeriod`).
const PERIOD: Duration = Duration::from_secs(20);
/// The index of pods that have ended.
const ENDED: &str = "ended";

impl Controller for PodGarbageCollector {
    const NAME: &'static str = "pod-garbage-collector-controller";
    const ABOUT: &'static str =
        "Deletes Pods whose Node is gone or out of service, and the oldest of too many that ended.";
    const DELETES: Deletes = Deletes::Others("pods that nobody runs, and old ones that have ended");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Pod>()
            .only(|delta| delta.new.as_ref().is_some_and(|new| new.meta.is_deleting()))
            .index(BY_NODE, node_index)
            .index(ENDED, ended_index)
            .maps::<Pod>(|_, _| vec![all_that_ended()])
            .only(ends)
            .debounce(PERIOD)
            .maps::<Pod>(missing_node)
            .debounce(QUARANTINE)
            .maps::<Node>(|delta, _| delta.key().into_iter().cloned().collect())
            .only(|delta| delta.new.is_none())
            .debounce(QUARANTINE)
            .maps::<Node>(pods_of_node_out_of_service)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        match (&*key.namespace, &*key.name) {
            ("", "") => {
                let pods = view.by_index_stored(&Pod::gvr(), ENDED, ENDED);
                (self.threshold > 0 && pods.len() > self.threshold).then_some(World::Ended(pods))
            }
            ("", node) => {
                let pods = view.known_by_index::<PodFacts>(BY_NODE, node);
                let is_missing = view.stored(&Node::gvr(), key).is_none();
                (is_missing && !pods.is_empty()).then_some(World::Orphans { node: key.clone(), pods, exists: false })
            }
            _ => {
                let pod: Arc<Pod> = view.get(key)?;
                let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
                let forsaken = node.is_empty() || is_out_of_service(node, view);
                (pod.is_deleting() && forsaken).then_some(World::Forsaken(pod))
            }
        }
    }

    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            let World::Orphans { node, pods, .. } = world else { return Ok(world) };
            let exists = match client.get(&Node::gvr(), &node, None).await {
                Ok(_) => true,
                Err(error) if error.is_not_found() => false,
                Err(error) => return Err(error.into()),
            };
            Ok(World::Orphans { node, pods, exists })
        }
        .boxed()
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match world {
            World::Forsaken(pod) => remove(std::slice::from_ref(pod), None, now, &mut plan),
            World::Orphans { exists: true, .. } => {}
            World::Orphans { pods, .. } => {
                let pods: Vec<Arc<Pod>> = pods.iter().filter_map(|pod| pod.stored.decode().ok()).collect();
                remove(&pods, Some(("DeletionByPodGC", "PodGC: node no longer exists")), now, &mut plan);
            }
            World::Ended(pods) => {
                let mut pods: Vec<(Ended, &Arc<Stored>)> = pods.iter().map(|pod| (Ended::of(pod), pod)).collect();
                let surplus = pods.len().saturating_sub(self.threshold);
                pods.sort_by(|(a, _), (b, _)| a.cmp(b));
                for (_, pod) in pods.into_iter().take(surplus).filter(|(_, pod)| !pod.meta.is_deleting()) {
                    plan.delete_with(Target::stored::<Pod>(pod), at_once(&pod.meta.uid));
                }
            }
        }
        plan
    }
}

/// Marks pods as failed, since nobody else will, and deletes them at once.
fn remove(pods: &[Arc<Pod>], why: Option<(&str, &str)>, now: Timestamp, plan: &mut Plan) {
    let left: Vec<&Arc<Pod>> = pods.iter().filter(|pod| !is_removed(pod)).collect();
    for pod in left.iter().filter(|pod| !has_ended(pod)) {
        let mut new = Pod::clone(pod);
        let status = new.status.get_or_insert_default();
        status.phase = Some("Failed".into());
        status.observed_generation = pod.metadata.generation;
        if let Some((reason, message)) = why {
            let condition = PodCondition {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                observed_generation: pod.metadata.generation,
                ..PodCondition::default()
            };
            conditions::set(status.conditions.get_or_insert_default(), condition, now);
        }
        plan.update_status(&***pod, &new);
    }
    left.iter().for_each(|pod| plan.delete_with(Target::of(&***pod), at_once(pod.uid())));
}

/// Whether all has been done, and only the finalizers of others hold the pod.
fn is_removed(pod: &Pod) -> bool {
    has_ended(pod) && pod.is_deleting() && pod.metadata.deletion_grace_period_seconds == Some(0)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn at_once(uid: &str) -> DeleteOptions {
    DeleteOptions { uid: Some(uid.into()), grace_period_seconds: Some(0), ..DeleteOptions::default() }
}

/// The key that stands for all pods that have ended.
fn all_that_ended() -> Key {
    Key::cluster("")
}

fn ends(delta: &Delta) -> bool {
    let has_ended = |stored: &Option<Arc<Stored>>| stored.as_deref().is_some_and(facts::has_ended);
    has_ended(&delta.new) && !has_ended(&delta.old)
}

/// The node of a pod, if the caches do not have it.
fn missing_node(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let pod = delta.new.as_ref().and_then(|new| view.known::<PodFacts>(&new.key));
    let node = pod.map(|pod| Key::cluster(&*pod.facts.node)).filter(|node| !node.name.is_empty());
    node.filter(|node| view.stored(&Node::gvr(), node).is_none()).into_iter().collect()
}

fn is_out_of_service(node: &str, view: &View<'_>) -> bool {
    view.known::<OutOfService>(&Key::cluster(node)).is_some_and(|node| node.facts.0)
}

fn pods_of_node_out_of_service(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let is_out = |stored: &Option<Arc<Stored>>| stored.as_ref().is_some_and(|node| OutOfService::of(node).0);
    let Some(node) = delta.new.as_ref().filter(|_| is_out(&delta.new) && !is_out(&delta.old)) else {
        return Vec::new();
    };
    let pods = view.by_index_stored(&Pod::gvr(), BY_NODE, &node.key.name);
    pods.iter().filter(|pod| pod.meta.is_deleting()).map(|pod| pod.key.clone()).collect()
}
