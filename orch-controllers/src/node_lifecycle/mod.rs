//! `node-lifecycle`: notices nodes that fall silent, and taints nodes by their conditions
//! (`pkg/controller/nodelifecycle`).

mod health;
mod pods;
mod registry;
mod taints;
#[cfg(test)]
mod tests;
mod zones;

pub(crate) use pods::{BY_NODE, node_index};

use crate::common::facts::PodFacts;
use health::Heard;
use jiff::Timestamp;
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, NodeCondition, Pod},
};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{Controller, Error, Plan, View, Watches, plan::Notice, view::Facts};
use orch_store::{Stored, informer::Delta, stored::Parts};
use registry::{Presence, Registry};
use serde::{Deserialize, de::IgnoredAny};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use zones::{Permit, Zone, Zones};

/// Notices nodes that fall silent, and taints nodes by their conditions.
pub struct NodeLifecycle {
    /// A node that is silent for so long is of unknown health (`--node-monitor-grace-period`).
    pub grace: Duration,
    /// The same for a node that has never reported (`--node-startup-grace-period`).
    pub startup_grace: Duration,
    /// When this controller began to listen: silence counts from here at the earliest, since before that
    /// the leases may have been stale for want of an API server.
    pub since: Timestamp,
    registry: Registry,
    zones: Zones,
}

impl NodeLifecycle {
    /// With the defaults of kube-controller-manager.
    pub fn new(since: Timestamp) -> Self {
        let (grace, startup_grace) = (Duration::from_secs(50), Duration::from_secs(60));
        Self { grace, startup_grace, since, registry: Registry::default(), zones: Zones::default() }
    }
}

/// A node, what was heard of it and, when it is silent, its ready pods.
pub struct World {
    node: Arc<Node>,
    presence: Presence,
    heard: Heard,
    /// How long nothing was heard, if anything ever was.
    silence: Option<Duration>,
    ready_pods: Vec<Arc<Pod>>,
    /// No node of the cluster is ready.
    all_are_down: bool,
    /// The zone of a node that is not ready and may lose its pods for that; `None` for others.
    zone: Option<Zone>,
}

const LEASES: &str = "kube-node-lease";

impl Controller for NodeLifecycle {
    const NAME: &'static str = "node-lifecycle";
    const ABOUT: &'static str =
        "Notices Nodes that fall silent, taints Nodes by their conditions, and marks their Pods as not ready.";
    const COMPONENT: &'static str = "node-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Node>()
            .maps::<Node>(zones::all_when_the_last_falls)
            .maps::<Lease>(node_of_new_lease)
            .only(|delta| delta.old.is_none())
            .maps::<Pod>(pods::silent_node_of)
            .only(|delta| delta.new.as_deref().is_some_and(PodFacts::of_ready))
            .index(BY_NODE, node_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let Some(node) = view.get::<Node>(key) else {
            let node = Arc::new(self.registry.remnant(key)?);
            return Some(World::of(node, Presence::Gone));
        };
        let lease: Option<Arc<Lease>> = view.get(&Key::new(LEASES, key.name.clone()));
        let renewed = lease.and_then(|l| Some(l.spec.as_ref()?.renew_time.as_ref()?.0));
        let ready = conditions(&node).get("Ready").copied().cloned();
        let posted = ready.as_ref().and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| t.0);
        let (known, now) = (self.registry.heard(key), Instant::now());
        let mut world = World::of(node, if known.is_some() { Presence::Here } else { Presence::New });
        world.heard = known.unwrap_or_default().listen(renewed, posted, now);
        world.silence = world.heard.silence(now);
        let status = ready.as_ref().map(|c| c.status.as_str());
        if status == Some("Unknown") {
            world.ready_pods = pods::ready(key, view);
        }
        if status != Some("True") {
            world.all_are_down = zones::all_are_down(view);
            if !world.all_are_down && !taints::evicts(&world.node) && !world.node.is_deleting() {
                let mut zone = zones::of(key, view);
                self.zones.ask(&mut zone, key);
                world.zone = Some(zone);
            }
        }
        Some(world)
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        registry::tell(&world.node, world.presence, &mut plan);
        if world.presence == Presence::Gone || world.node.is_deleting() {
            return plan;
        }
        let mut node = (*world.node).clone();
        match health::listen(self, world, now) {
            Some(rest) => plan.requeue_within(rest),
            None => health::lose(&mut node, now),
        }
        if plan.update_status(&*world.node, &node) {
            // The taints follow from what this writes.
            if health::ready_status(&world.node) == Some("True") {
                plan.event(not_ready(&node));
            }
            return plan;
        }
        let permit = world.zone.as_ref().map_or(Permit::Now, |zone| zone.permit(now));
        let permit = if world.all_are_down { Permit::After(zones::PERIOD) } else { permit };
        taints::set(&mut node, permit == Permit::Now, now);
        set_old_labels(&mut node);
        plan.update(&*world.node, &node);
        if let Permit::After(rest) = permit {
            plan.requeue_within(rest);
        }
        pods::mark_not_ready(&world.node, &world.ready_pods, now, &mut plan);
        plan
    }

    fn remember(&self, world: &World, now: Timestamp, error: Option<&Error>) {
        self.registry.remember(&world.node, world.presence, world.heard);
        let Some(zone) = &world.zone else { return };
        let mut node = (*world.node).clone();
        let silent = health::listen(self, world, now).is_none();
        if silent {
            health::lose(&mut node, now);
        }
        // The taints come after the status has been written.
        let reported = node.status != world.node.status;
        taints::set(&mut node, zone.permit(now) == Permit::Now, now);
        let taken = !reported && error.is_none() && taints::evicts(&node);
        self.zones.end(zone, &world.node.key(), taken.then_some(now));
    }
}

impl World {
    fn of(node: Arc<Node>, presence: Presence) -> Self {
        let (heard, ready_pods) = (Heard::default(), Vec::new());
        Self { node, presence, heard, silence: None, ready_pods, all_are_down: false, zone: None }
    }
}

/// Labels that were stable under other names once, kept equal to those of today (`reconcileNodeLabels`).
fn set_old_labels(node: &mut Node) {
    let labels = node.metadata.labels.get_or_insert_default();
    for name in ["os", "arch"] {
        if let Some(value) = labels.get(&format!("kubernetes.io/{name}")).cloned() {
            labels.insert(format!("beta.kubernetes.io/{name}"), value);
        }
    }
    if labels.is_empty() {
        node.metadata.labels = None;
    }
}

fn not_ready(node: &Node) -> Notice {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    Notice::normal(node, "NodeNotReady", format!("Node {name} status is now: NodeNotReady"))
}

/// What is looked at in every node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Whether the node is ready.
    pub ready: bool,
    /// Whether it fell silent.
    pub silent: bool,
}

impl Facts for NodeFacts {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct LiteStatus {
            conditions: Vec<NodeCondition>,
        }
        let conditions = Parts::<IgnoredAny, LiteStatus>::of(stored).status.conditions;
        let is = |status| conditions.iter().any(|c| c.type_ == "Ready" && c.status == status);
        Self { ready: is("True"), silent: is("Unknown") }
    }
}

fn node_of_new_lease(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    let lease = delta.new.as_ref().filter(|s| &*s.key.namespace == LEASES);
    lease.map(|s| Key::cluster(s.key.name.clone())).into_iter().collect()
}

/// Conditions of a node by type.
fn conditions(node: &Node) -> BTreeMap<&str, &NodeCondition> {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.into_iter().flatten().map(|c| (c.type_.as_str(), c)).collect()
}
