//! `node-lifecycle`: notices nodes that fall silent, and taints nodes by their conditions
//! (`pkg/controller/nodelifecycle`).

mod health;
mod taints;
#[cfg(test)]
mod tests;
mod zones;

use crate::common::facts::PodFacts;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, NodeCondition, Pod},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{Controller, Error, Plan, View, Watches, plan::Notice, view::Facts};
use orch_store::{Stored, informer::Delta};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
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
    zones: Zones,
}

impl NodeLifecycle {
    /// With the defaults of kube-controller-manager.
    pub fn new(since: Timestamp) -> Self {
        Self { grace: Duration::from_secs(50), startup_grace: Duration::from_secs(60), since, zones: Zones::default() }
    }
}

/// A node, its lease and, when it is not ready, its ready pods.
pub struct World {
    node: Arc<Node>,
    renewed: Option<Timestamp>,
    ready_pods: Vec<Arc<Pod>>,
    /// No node of the cluster is ready: more likely it is us who are cut off than all of them.
    all_are_down: bool,
    /// The zone of a node that is not ready and may lose its pods for that; `None` for others.
    zone: Option<Zone>,
}

/// The index of pods by their node.
pub(crate) const BY_NODE: &str = "node";
const LEASES: &str = "kube-node-lease";

impl Controller for NodeLifecycle {
    const NAME: &'static str = "node-lifecycle";
    const ABOUT: &'static str =
        "Notices Nodes that fall silent, taints Nodes by their conditions, and marks their Pods as not ready.";
    const COMPONENT: &'static str = "node-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Node>()
            .maps::<Lease>(node_of_new_lease)
            .only(|delta| delta.old.is_none())
            .maps::<Pod>(silent_node_of)
            .only(|delta| delta.new.as_ref().is_some_and(is_ready))
            .index(BY_NODE, node_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let node: Arc<Node> = view.get(key)?;
        let lease: Option<Arc<Lease>> = view.get(&Key::new(LEASES, key.name.clone()));
        let renewed = lease.and_then(|l| Some(l.spec.as_ref()?.renew_time.as_ref()?.0));
        let down = health::ready_status(&node) != Some("True");
        let (mut ready_pods, mut all_are_down) = (Vec::new(), false);
        if down {
            let pods = view.known_by_index::<PodFacts>(BY_NODE, &key.name);
            let ready = pods.iter().filter(|pod| pod.facts.is_ready());
            ready_pods = ready.filter_map(|pod| pod.stored.decode().ok()).collect();
            all_are_down = !view.list_known::<NodeFacts>("").iter().any(|node| node.facts.ready);
        }
        let mut world = World { node, renewed, ready_pods, all_are_down, zone: None };
        if down && !all_are_down && !taints::evicts(&world.node) && !world.node.is_deleting() {
            let mut zone = zone(key, view);
            self.zones.ask(&mut zone, key);
            world.zone = Some(zone);
        }
        Some(world)
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if world.node.is_deleting() {
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
        taints::set(&mut node, !world.all_are_down && permit == Permit::Now, now);
        set_old_labels(&mut node);
        plan.update(&*world.node, &node);
        if let Permit::After(rest) = permit {
            plan.requeue_within(rest);
        }
        for pod in world.ready_pods.iter().filter(|pod| !was_told_since(&world.node, pod)) {
            mark_not_ready(pod, now, &mut plan);
        }
        plan
    }

    fn remember(&self, world: &World, now: Timestamp, error: Option<&Error>) {
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

/// The health of the node's zone.
fn zone(key: &Key, view: &View<'_>) -> Zone {
    let all = view.list_known::<NodeFacts>("");
    let name =
        all.iter().find(|node| node.stored.key == *key).map(|node| zones::name(&node.stored)).unwrap_or_default();
    let mut zone = Zone { name, ..Zone::default() };
    for node in all.iter().filter(|n| zones::counts(&n.stored) && zones::name(&n.stored) == zone.name) {
        let count = if node.facts.ready { &mut zone.ready } else { &mut zone.unready };
        *count += 1;
    }
    zone
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

/// Whether a pod has become ready since its node has not been: then the node lives after all, or says so of the pod in spite of what it says of
/// itself, and to take its word back would go on until it is ready. Upstream marks pods once, when their node ceases to be ready.
fn was_told_since(node: &Node, pod: &Pod) -> bool {
    let silent = conditions(node).get("Ready").and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
    let all = pod.status.as_ref().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let told = all.filter(|c| c.type_ == "Ready").find_map(|c| c.last_transition_time.as_ref()).map(|t| t.0);
    matches!((silent, told), (Some(silent), Some(told)) if silent <= told)
}

/// The node cannot tell any more whether its pods are ready, so they count as not.
fn mark_not_ready(pod: &Arc<Pod>, now: Timestamp, plan: &mut Plan) {
    let mut new = (**pod).clone();
    let conditions = new.status.as_mut().and_then(|s| s.conditions.as_mut()).into_iter().flatten();
    for condition in conditions.filter(|c| c.type_ == "Ready" && c.status == "True") {
        condition.status = "False".into();
        condition.last_transition_time = Some(Time(now));
    }
    if plan.update_status(&**pod, &new) {
        plan.event(Notice::warning(&**pod, "NodeNotReady", "Node is not ready"));
    }
}

/// What is looked at in every node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Whether the node is ready.
    pub ready: bool,
}

impl Facts for NodeFacts {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Lite {
            status: LiteStatus,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct LiteStatus {
            conditions: Vec<NodeCondition>,
        }
        let conditions = stored.parse::<Lite>().unwrap_or_default().status.conditions;
        Self { ready: conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True") }
    }
}

/// Files pods under their node.
pub(crate) fn node_index(stored: &Stored) -> Vec<Arc<str>> {
    let node = stored.memo(PodFacts::of).node.clone();
    if node.is_empty() { Vec::new() } else { vec![node.into()] }
}

/// The node of a pod, if it is not ready: of one that is nobody looks at the pods.
fn silent_node_of(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let node = delta.new.as_ref().map(|pod| pod.memo(PodFacts::of).node.clone()).unwrap_or_default();
    let key = Key::cluster(&*node);
    let nobody_asks = node.is_empty() || view.known::<NodeFacts>(&key).is_some_and(|node| node.facts.ready);
    if nobody_asks { Vec::new() } else { vec![key] }
}

fn is_ready(pod: &Arc<Stored>) -> bool {
    pod.memo(PodFacts::of).is_ready()
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
