//! Pods spread over topologies, as evenly as they ask for (`plugins/podtopologyspread`).

mod domains;
mod score;
#[cfg(test)]
mod tests;

use domains::Domains;
use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeIndex, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered,
    PreScore, Rejection, Score, Spread,
};
use score::Evenness;
use std::sync::Arc;

/// Spreads pods by their `topologySpreadConstraints`.
pub struct PodTopologySpread;

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self.clone()).pre_score(self.clone()).score(self, 2);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        let counts = |other: &PodInfo| {
            pod.key.namespace == other.key.namespace
                && required(pod).any(|spread| spread.selector.matches(&other.labels))
        };
        let helps = match event {
            ClusterEvent::NodeAdded(node) => has_all(node, required(pod)),
            // One node less, or with another value, can raise the fewest.
            ClusterEvent::NodeRemoved(node) => has_all(node, required(pod)),
            ClusterEvent::NodeUpdated(old, new) => {
                let has = |node: &NodeInfo| has_all(node, required(pod));
                (old.labels != new.labels || old.taints != new.taints) && (has(old) || has(new))
            }
            ClusterEvent::PodPlaced(other) | ClusterEvent::PodFreed(other) => counts(other),
            ClusterEvent::PodRelabelled(old, new) => counts(old) != counts(new),
            ClusterEvent::PodUpdated(old, new) => old.labels != new.labels || old.tolerations != new.tolerations,
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}

fn required(pod: &PodInfo) -> impl Iterator<Item = &Spread> {
    pod.spread.iter().filter(|spread| spread.is_required)
}

fn preferred(pod: &PodInfo) -> impl Iterator<Item = &Spread> {
    pod.spread.iter().filter(|spread| !spread.is_required)
}

/// Whether a node has the labels of all: only then it counts for any.
fn has_all<'a>(node: &NodeInfo, mut all: impl Iterator<Item = &'a Spread>) -> bool {
    all.all(|spread| node.labels.contains_key(&spread.topology))
}

impl PreFilter for PodTopologySpread {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        if required(pod).next().is_none() {
            return PreFiltered::Skip;
        }
        cycle.put(Domains::of(pod, cluster));
        PreFiltered::All
    }

    fn add_pod(&self, cycle: &mut Cycle, pod: &PodInfo, added: &PodInfo, node: &NodeInfo, _: &Cluster) {
        if let Some(domains) = cycle.change::<Domains>() {
            domains.add(pod, added, node, 1);
        }
    }

    fn remove_pod(&self, cycle: &mut Cycle, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo, _: &Cluster) {
        if let Some(domains) = cycle.change::<Domains>() {
            domains.add(pod, removed, node, -1);
        }
    }
}

impl Filter for PodTopologySpread {
    fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match cycle.get::<Domains>() {
            Some(domains) => domains.check(pod, node),
            None => Ok(()),
        }
    }
}

impl PreScore for PodTopologySpread {
    fn pre_score(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster, nodes: &[NodeIndex]) -> bool {
        if preferred(pod).next().is_none() {
            return false;
        }
        cycle.put(Evenness::of(pod, cluster, nodes));
        true
    }
}

impl Score for PodTopologySpread {
    fn score(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        cycle.get::<Evenness>().map_or(0, |evenness| evenness.on(pod, node))
    }

    fn normalize(&self, scores: &mut [i64]) {
        score::normalize(scores);
    }
}
