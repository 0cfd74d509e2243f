//! Host ports.

use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered, Rejection,
};
use std::sync::Arc;

/// Keeps pods off nodes whose ports they want and others have.
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) => Hint::Queue,
            ClusterEvent::PodFreed(freed) if conflict(pod, &freed.host_ports) => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for NodePorts {
    fn pre_filter(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster) -> PreFiltered {
        if pod.host_ports.is_empty() { PreFiltered::Skip } else { PreFiltered::All }
    }
}

impl Filter for NodePorts {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if conflict(pod, &node.ports) {
            return Err(Rejection::unschedulable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}

fn conflict(pod: &PodInfo, taken: &[orch_runtime::scheduler::HostPort]) -> bool {
    pod.host_ports.iter().any(|wanted| taken.iter().any(|t| t.conflicts(wanted)))
}
