//! Cordoned nodes.

use orch_runtime::scheduler::{
    ClusterEvent, Cycle, Effect, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, Rejection, Taint,
};
use std::sync::Arc;

/// Keeps pods off cordoned nodes, unless they tolerate the taint that says the same.
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self);
    }

    fn hint(&self, _: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if !node.unschedulable => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if old.unschedulable && !new.unschedulable => Hint::Queue,
            ClusterEvent::PodUpdated(old, new) if old.tolerations != new.tolerations => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl Filter for NodeUnschedulable {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.unschedulable {
            return Ok(());
        }
        let taint =
            Taint { key: "node.kubernetes.io/unschedulable".into(), value: "".into(), effect: Effect::NoSchedule };
        if pod.tolerations.iter().any(|t| t.tolerates(&taint)) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) were unschedulable"))
    }
}
