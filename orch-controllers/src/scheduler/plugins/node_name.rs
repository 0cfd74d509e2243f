//! Pods that name their node.

use orch_runtime::scheduler::{ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, Rejection};
use std::sync::Arc;

/// A pod that names a node gets no other.
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if node.name == pod.node => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl Filter for NodeName {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.node.is_empty() || pod.node == node.name {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) didn't match the requested node name"))
    }
}
