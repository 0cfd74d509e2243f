//! How crowded the topologies of a node are with pods that count.

use super::{has_all, preferred};
use orch_runtime::scheduler::{Cluster, MAX_SCORE, NodeIndex, NodeInfo, PodInfo};
use std::{collections::HashMap, sync::Arc};

const HOSTNAME: &str = "kubernetes.io/hostname";
/// What a node gets that is not to be scored.
const NONE: i64 = -1;

/// For each preferred constraint of a pod, in their order, how crowded its topologies are.
pub(super) struct Evenness(Vec<Crowd>);

struct Crowd {
    /// Pods by value; of the values that the nodes have which are scored. Nodes by name are counted when they are scored.
    counts: HashMap<Arc<str>, i64>,
    /// So that topologies of few values are not drowned by those of many.
    weight: f64,
}

impl Evenness {
    pub(super) fn of(pod: &PodInfo, cluster: &Cluster, nodes: &[NodeIndex]) -> Self {
        let all = cluster.nodes();
        let scored = || nodes.iter().filter_map(|i| all.get(*i)).filter(|node| has_all(node, preferred(pod)));
        let crowd = |spread: &orch_runtime::scheduler::Spread| {
            let by_name = &*spread.topology == HOSTNAME;
            let values = scored().filter_map(|node| node.labels.get(&spread.topology)).filter(|_| !by_name);
            let counts: HashMap<Arc<str>, i64> = values.map(|value| (value.clone(), 0)).collect();
            let size = if by_name { scored().count() } else { counts.len() };
            Crowd { counts, weight: ((size + 2) as f64).ln() }
        };
        let mut crowds: Vec<Crowd> = preferred(pod).map(crowd).collect();
        for node in all.iter().filter(|node| has_all(node, preferred(pod))) {
            for (spread, crowd) in preferred(pod).zip(&mut crowds) {
                let count = node.labels.get(&spread.topology).and_then(|value| crowd.counts.get_mut(value));
                if let Some(count) = count.filter(|_| spread.counts(pod, node)) {
                    *count += spread.count(node, &pod.key.namespace);
                }
            }
        }
        Self(crowds)
    }

    /// How crowded it is on a node: the lower, the better.
    pub(super) fn on(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        if !has_all(node, preferred(pod)) {
            return NONE;
        }
        let mut sum = 0.0;
        for (spread, crowd) in preferred(pod).zip(&self.0) {
            let count = match &*spread.topology {
                HOSTNAME => spread.count(node, &pod.key.namespace),
                topology => node.labels.get(topology).and_then(|v| crowd.counts.get(v)).copied().unwrap_or(0),
            };
            sum += count as f64 * crowd.weight + (spread.max_skew - 1) as f64;
        }
        sum.round() as i64
    }
}

/// The least crowded gets [`MAX_SCORE`], and those that are not scored get nothing.
pub(super) fn normalize(scores: &mut [i64]) {
    let scored = || scores.iter().copied().filter(|score| *score != NONE);
    let (lowest, highest) = (scored().min().unwrap_or(0), scored().max().unwrap_or(0));
    for score in scores {
        *score = match (*score, highest) {
            (NONE, _) => 0,
            (_, 0) => MAX_SCORE,
            (score, highest) => MAX_SCORE * (highest + lowest - score) / highest,
        };
    }
}
