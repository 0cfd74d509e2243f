//! How much is wished for in each topology: by the pod of its neighbours, and by them of it.

use super::place;
use orch_runtime::scheduler::{Cluster, MAX_SCORE, NodeInfo, PodInfo, PodTerm};
use std::{collections::HashMap, sync::Arc};

/// What a required term of a neighbour weighs (`hardPodAffinityWeight`).
const REQUIRED: i64 = 1;

/// The sum of the weights, by topology and value.
#[derive(Default)]
pub(super) struct Wishes(HashMap<Arc<str>, HashMap<Arc<str>, i64>>);

impl Wishes {
    /// Looks at all pods if the pod has preferences, or else at those that have terms.
    pub(super) fn of(pod: &PodInfo, cluster: &Cluster) -> Self {
        let mut wishes = Self::default();
        if pod.neighbours.as_ref().is_some_and(|n| !n.preferred.is_empty()) {
            for node in cluster.nodes() {
                node.pods.values().for_each(|other| wishes.add(pod, other, node, cluster));
            }
        } else {
            for node in cluster.nodes_with_neighbours() {
                node.neighbours.iter().for_each(|other| wishes.add(pod, other, node, cluster));
            }
        }
        wishes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wished for on a node.
    pub(super) fn on(&self, node: &NodeInfo) -> i64 {
        let there = |(topology, values): (&Arc<str>, &HashMap<Arc<str>, i64>)| {
            node.labels.get(topology).and_then(|value| values.get(value)).copied().unwrap_or(0)
        };
        self.0.iter().map(there).sum()
    }

    fn add(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        if let Some(neighbours) = pod.neighbours.as_ref().filter(|n| !n.preferred.is_empty()) {
            let labels = cluster.namespace_labels(&other.key.namespace);
            for (weight, term) in neighbours.preferred.iter().filter(|(_, term)| term.matches(other, labels)) {
                self.note(term, node, *weight);
            }
        }
        let Some(neighbours) = &other.neighbours else { return };
        let labels = cluster.namespace_labels(&pod.key.namespace);
        let required = neighbours.wanted.iter().map(|term| (REQUIRED, term));
        let preferred = neighbours.preferred.iter().map(|(weight, term)| (*weight, term));
        for (weight, term) in required.chain(preferred).filter(|(_, term)| term.matches(pod, labels)) {
            self.note(term, node, weight);
        }
    }

    fn note(&mut self, term: &PodTerm, node: &NodeInfo, weight: i64) {
        let Some(value) = place(term, node) else { return };
        *self.0.entry(term.topology.clone()).or_default().entry(value.clone()).or_default() += weight;
    }
}

/// The lowest becomes 0 and the highest [`MAX_SCORE`]; all 0 where they are the same.
pub(super) fn normalize(scores: &mut [i64]) {
    let (lowest, highest) = (scores.iter().copied().min().unwrap_or(0), scores.iter().copied().max().unwrap_or(0));
    for score in scores {
        *score = match highest - lowest {
            0 => 0,
            range => (MAX_SCORE as f64 * ((*score - lowest) as f64 / range as f64)) as i64,
        };
    }
}
