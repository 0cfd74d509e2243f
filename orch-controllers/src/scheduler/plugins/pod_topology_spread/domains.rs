//! How many pods that count there are for each value of a label.

use super::{has_all, required};
use orch_runtime::scheduler::{Cluster, NodeInfo, PodInfo, Rejection};
use std::{collections::HashMap, sync::Arc};

/// For each required constraint of a pod, in their order: pods by value.
#[derive(Clone)]
pub(super) struct Domains(Vec<Domain>);

#[derive(Clone, Default)]
struct Domain {
    counts: HashMap<Arc<str>, i64>,
    /// The lowest count, kept along: Filter asks for it on every node.
    fewest: i64,
}

impl Domains {
    pub(super) fn of(pod: &PodInfo, cluster: &Cluster) -> Self {
        let mut domains: Vec<Domain> = required(pod).map(|_| Domain::default()).collect();
        for node in cluster.nodes().iter().filter(|node| has_all(node, required(pod))) {
            for (spread, domain) in required(pod).zip(&mut domains).filter(|(spread, _)| spread.counts(pod, node)) {
                let Some(value) = node.labels.get(&spread.topology) else { continue };
                *domain.counts.entry(value.clone()).or_default() += spread.count(node, &pod.key.namespace);
            }
        }
        domains.iter_mut().for_each(Domain::note_fewest);
        Self(domains)
    }

    /// Counts another pod on a node once more, or less (`updateWithPod`).
    pub(super) fn add(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, times: i64) {
        if other.key.namespace != pod.key.namespace || !has_all(node, required(pod)) {
            return;
        }
        for (spread, domain) in required(pod).zip(&mut self.0) {
            if spread.selector.matches(&other.labels)
                && !other.deleting
                && spread.counts(pod, node)
                && let Some(value) = node.labels.get(&spread.topology)
            {
                *domain.counts.entry(value.clone()).or_default() += times;
                domain.note_fewest();
            }
        }
    }

    /// Whether no constraint is violated when the pod goes to a node.
    pub(super) fn check(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        for (spread, domain) in required(pod).zip(&self.0) {
            let Some(value) = node.labels.get(&spread.topology) else {
                let words = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Rejection::unresolvable(words));
            };
            let fewest = if domain.counts.len() < spread.min_domains { 0 } else { domain.fewest };
            let itself = i64::from(spread.selector.matches(&pod.labels));
            let there = domain.counts.get(value).copied().unwrap_or(0);
            if there.saturating_add(itself).saturating_sub(fewest) > spread.max_skew {
                return Err(Rejection::unschedulable("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

impl Domain {
    /// Where no node counts there is no lowest count either: nothing is too many.
    fn note_fewest(&mut self) {
        self.fewest = self.counts.values().copied().min().unwrap_or(i64::from(i32::MAX));
    }
}
