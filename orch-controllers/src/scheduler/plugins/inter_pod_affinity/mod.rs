//! Pod affinity and anti-affinity (`plugins/interpodaffinity`).

mod count;
mod score;
#[cfg(test)]
mod tests;

use count::Counts;
use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeIndex, NodeInfo, Plugin, PodInfo, PodTerm, Points, PreFilter,
    PreFiltered, PreScore, Rejection, Score,
};
use score::Wishes;
use std::sync::Arc;

/// Brings pods near those that they want near, and keeps them from those that they, or who do, not want near.
pub struct InterPodAffinity;

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self.clone()).pre_score(self.clone()).score(self, 2);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        let helps = match event {
            ClusterEvent::NodeAdded(_) => true,
            ClusterEvent::NodeUpdated(old, new) => old.labels != new.labels,
            ClusterEvent::PodUpdated(old, new) => old.labels != new.labels,
            ClusterEvent::PodPlaced(placed) => is_wanted(pod, placed),
            // The last one that was wanted leaves a pod that wants its like free to be the first.
            ClusterEvent::PodFreed(freed) => keeps_away(pod, freed) || keeps_away(freed, pod) || is_wanted(pod, freed),
            ClusterEvent::PodRelabelled(old, new) => {
                is_wanted(pod, new) || keeps_away(pod, old) || keeps_away(old, pod) || is_wanted(pod, old)
            }
            _ => false,
        };
        if helps { Hint::Queue } else { Hint::Skip }
    }
}

/// Whether all terms of a pod's affinity may mean the other.
fn is_wanted(pod: &PodInfo, other: &PodInfo) -> bool {
    let wanted = pod.neighbours.as_ref().map_or(&[][..], |n| &n.wanted);
    !wanted.is_empty() && wanted.iter().all(|term| term.may_match(other))
}

/// Whether a term of a pod's anti-affinity may mean the other.
fn keeps_away(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.neighbours.as_ref().is_some_and(|n| n.unwanted.iter().any(|term| term.may_match(other)))
}

impl PreFilter for InterPodAffinity {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        // Those for which nodes are kept may have terms that are counted once they are imagined there.
        let may_come = !cluster.nominations().is_empty();
        if pod.neighbours.is_none() && !cluster.has_neighbours() && !may_come {
            return PreFiltered::Skip;
        }
        let counts = Counts::of(pod, cluster);
        if counts.says_nothing(pod) && !may_come {
            return PreFiltered::Skip;
        }
        cycle.put(counts);
        PreFiltered::All
    }

    fn add_pod(&self, cycle: &mut Cycle, pod: &PodInfo, added: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        if let Some(counts) = cycle.change::<Counts>() {
            counts.add(pod, added, node, cluster, 1);
        }
    }

    fn remove_pod(&self, cycle: &mut Cycle, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        if let Some(counts) = cycle.change::<Counts>() {
            counts.add(pod, removed, node, cluster, -1);
        }
    }
}

impl Filter for InterPodAffinity {
    fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(counts) = cycle.get::<Counts>() else { return Ok(()) };
        if !counts.has_the_wanted(pod, node) {
            return Err(Rejection::unresolvable("node(s) didn't match pod affinity rules"));
        }
        if counts.has_unwanted(pod, node) {
            return Err(Rejection::unschedulable("node(s) didn't match pod anti-affinity rules"));
        }
        if counts.is_unwanted(node) {
            return Err(Rejection::unschedulable("node(s) didn't satisfy existing pods anti-affinity rules"));
        }
        Ok(())
    }
}

impl PreScore for InterPodAffinity {
    fn pre_score(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster, _: &[NodeIndex]) -> bool {
        if pod.neighbours.is_none() && !cluster.has_neighbours() {
            return false;
        }
        let wishes = Wishes::of(pod, cluster);
        let any = !wishes.is_empty();
        cycle.put(wishes);
        any
    }
}

impl Score for InterPodAffinity {
    fn score(&self, cycle: &Cycle, _: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        cycle.get::<Wishes>().map_or(0, |wishes| wishes.on(node))
    }

    fn normalize(&self, scores: &mut [i64]) {
        score::normalize(scores);
    }
}

/// The value of a node in a term's topology.
fn place<'a>(term: &PodTerm, node: &'a NodeInfo) -> Option<&'a Arc<str>> {
    node.labels.get(&term.topology)
}
