//! Node selectors and node affinity.

use super::normalize;
use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeIndex, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered,
    PreScore, Rejection, Score,
};
use std::sync::Arc;

/// Node selectors and node affinity, required and preferred.
pub struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self.clone()).pre_score(self.clone()).score(self, 2);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if pod.affinity.matches(node) => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if !pod.affinity.matches(old) && pod.affinity.matches(new) => {
                Hint::Queue
            }
            ClusterEvent::PodUpdated(..) => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for NodeAffinity {
    fn pre_filter(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster) -> PreFiltered {
        if pod.affinity.is_empty() {
            return PreFiltered::Skip;
        }
        pod.affinity.named_nodes().map_or(PreFiltered::All, PreFiltered::Only)
    }
}

impl Filter for NodeAffinity {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.affinity.matches(node) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }
}

impl PreScore for NodeAffinity {
    fn pre_score(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster, _: &[NodeIndex]) -> bool {
        !pod.affinity.preferred.is_empty()
    }
}

impl Score for NodeAffinity {
    fn score(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        pod.affinity.preferred.iter().filter(|(_, term)| term.matches(node)).map(|(weight, _)| weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }
}
