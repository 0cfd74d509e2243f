//! How many pods there are in each topology that a pod's terms mean, or whose terms mean it.

use super::place;
use orch_runtime::scheduler::{Cluster, NodeInfo, PodInfo, PodTerm};
use std::{collections::HashMap, sync::Arc};

/// Numbers of pods by the value of a topology's label.
type ByValue = HashMap<Arc<str>, i64>;

/// What Filter looks at, for one pod.
#[derive(Clone, Default)]
pub(super) struct Counts {
    /// For each term of its affinity, the pods that all of them mean.
    wanted: Vec<ByValue>,
    /// For each term of its anti-affinity, the pods that it means.
    unwanted: Vec<ByValue>,
    /// By topology, the pods with a term of anti-affinity that means it.
    unwanting: HashMap<Arc<str>, ByValue>,
}

impl Counts {
    /// Looks at all pods if the pod has terms, or else at those that have some.
    pub(super) fn of(pod: &PodInfo, cluster: &Cluster) -> Self {
        let neighbours = pod.neighbours.as_ref();
        let empty = |terms: usize| vec![ByValue::new(); terms];
        let mut counts = Self {
            wanted: empty(neighbours.map_or(0, |n| n.wanted.len())),
            unwanted: empty(neighbours.map_or(0, |n| n.unwanted.len())),
            unwanting: HashMap::new(),
        };
        if neighbours.is_some_and(|n| !n.wanted.is_empty() || !n.unwanted.is_empty()) {
            for node in cluster.nodes() {
                node.pods.values().for_each(|other| counts.add(pod, other, node, cluster, 1));
            }
        } else {
            for node in cluster.nodes_with_neighbours() {
                node.neighbours.iter().for_each(|other| counts.add(pod, other, node, cluster, 1));
            }
        }
        counts
    }

    /// Counts another pod on a node so many times more, or fewer.
    pub(super) fn add(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, cluster: &Cluster, times: i64) {
        if let Some(neighbours) = &pod.neighbours {
            let labels = cluster.namespace_labels(&other.key.namespace);
            if !self.wanted.is_empty() && neighbours.wanted.iter().all(|term| term.matches(other, labels)) {
                for (term, counts) in neighbours.wanted.iter().zip(&mut self.wanted) {
                    note(counts, place(term, node), times);
                }
            }
            for (term, counts) in neighbours.unwanted.iter().zip(&mut self.unwanted) {
                if term.matches(other, labels) {
                    note(counts, place(term, node), times);
                }
            }
        }
        let Some(neighbours) = &other.neighbours else { return };
        let labels = cluster.namespace_labels(&pod.key.namespace);
        for term in neighbours.unwanted.iter().filter(|term| term.matches(pod, labels)) {
            note(self.unwanting.entry(term.topology.clone()).or_default(), place(term, node), times);
        }
        self.unwanting.retain(|_, counts| !counts.is_empty());
    }

    /// Whether Filter has nothing to look at.
    pub(super) fn says_nothing(&self, pod: &PodInfo) -> bool {
        let has_terms = pod.neighbours.as_ref().is_some_and(|n| !n.wanted.is_empty() || !n.unwanted.is_empty());
        self.unwanting.is_empty() && !has_terms
    }

    /// Whether the pods that it wants near are near the node. Where there are none at all, a pod that wants its like may be
    /// the first of them.
    pub(super) fn has_the_wanted(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let terms: &[PodTerm] = pod.neighbours.as_ref().map_or(&[], |n| &n.wanted);
        if terms.iter().any(|term| place(term, node).is_none()) {
            return false;
        }
        let is_there = |(term, counts): (&PodTerm, &ByValue)| has(counts, place(term, node));
        terms.iter().zip(&self.wanted).all(is_there)
            || (self.wanted.iter().all(HashMap::is_empty) && wants_itself(pod, terms))
    }

    /// Whether a pod that it does not want near is near the node.
    pub(super) fn has_unwanted(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let terms: &[PodTerm] = pod.neighbours.as_ref().map_or(&[], |n| &n.unwanted);
        terms.iter().zip(&self.unwanted).any(|(term, counts)| has(counts, place(term, node)))
    }

    /// Whether a pod that does not want it near is near the node.
    pub(super) fn is_unwanted(&self, node: &NodeInfo) -> bool {
        self.unwanting.iter().any(|(topology, counts)| has(counts, node.labels.get(topology)))
    }
}

/// A term of the pod's own namespace needs no labels of it to mean the pod; one by other namespaces does not mean it.
fn wants_itself(pod: &PodInfo, terms: &[PodTerm]) -> bool {
    terms.iter().all(|term| term.matches(pod, None))
}

fn has(counts: &ByValue, value: Option<&Arc<str>>) -> bool {
    value.and_then(|value| counts.get(value)).is_some_and(|count| *count > 0)
}

fn note(counts: &mut ByValue, value: Option<&Arc<str>>, times: i64) {
    let Some(value) = value else { return };
    let count = counts.entry(value.clone()).or_default();
    *count += times;
    if *count == 0 {
        counts.remove(value);
    }
}
