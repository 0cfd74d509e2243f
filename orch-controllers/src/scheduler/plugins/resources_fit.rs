//! Resources: what fits, and where most is left.

use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, MAX_SCORE, NodeInfo, Plugin, PodInfo, Points, Rejection, Resources,
    Score,
};
use std::{borrow::Cow, sync::Arc};

/// Keeps pods off nodes that have not enough left, and prefers those that have most left (LeastAllocated).
pub struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self.clone()).score(self, 1);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(node) if could_fit(pod, &node.allocatable) => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if grew(&old.allocatable, &new.allocatable) => Hint::Queue,
            ClusterEvent::PodFreed(_) | ClusterEvent::PodUpdated(..) => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl Filter for NodeResourcesFit {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let (wanted, used, most) = (&pod.requests, &node.requested, &node.allocatable);
        // The usual case is decided without touching the list of reasons.
        if wanted.others.is_empty()
            && used.pods < most.pods
            && lacks(wanted.cpu_millis, used.cpu_millis, most.cpu_millis).is_none()
            && lacks(wanted.memory, used.memory, most.memory).is_none()
            && lacks(wanted.ephemeral_storage, used.ephemeral_storage, most.ephemeral_storage).is_none()
        {
            return Ok(());
        }
        rejection(wanted, used, most)
    }
}

impl Score for NodeResourcesFit {
    fn score(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        let cpu = left(node.scored.cpu_millis + pod.scored.cpu_millis, node.allocatable.cpu_millis);
        let memory = left(node.scored.memory + pod.scored.memory, node.allocatable.memory);
        let parts: [Option<i64>; 2] = [cpu, memory];
        let count = parts.iter().flatten().count() as i64;
        if count == 0 { 0 } else { parts.iter().flatten().sum::<i64>() / count }
    }
}

/// What is missing, when something is: `(lacking, resolvable by removing pods)`.
fn lacks(wanted: i64, used: i64, most: i64) -> Option<bool> {
    (wanted > 0 && wanted > most - used).then_some(wanted <= most)
}

fn rejection(wanted: &Resources, used: &Resources, most: &Resources) -> Result<(), Rejection> {
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    let mut resolvable = true;
    if used.pods + 1 > most.pods {
        reasons.push("Too many pods".into());
        resolvable &= most.pods >= 1;
    }
    let known = [
        ("Insufficient cpu", wanted.cpu_millis, used.cpu_millis, most.cpu_millis),
        ("Insufficient memory", wanted.memory, used.memory, most.memory),
        ("Insufficient ephemeral-storage", wanted.ephemeral_storage, used.ephemeral_storage, most.ephemeral_storage),
    ];
    for (reason, wanted, used, most) in known {
        if let Some(possible) = lacks(wanted, used, most) {
            reasons.push(reason.into());
            resolvable &= possible;
        }
    }
    for (name, amount) in &wanted.others {
        let of = |list: &Resources| list.others.get(name).copied().unwrap_or(0);
        if let Some(possible) = lacks(*amount, of(used), of(most)) {
            reasons.push(format!("Insufficient {name}").into());
            resolvable &= possible;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Rejection { reasons, resolvable }) }
}

fn left(requested: i64, capacity: i64) -> Option<i64> {
    match capacity {
        0 => None,
        _ if requested > capacity => Some(0),
        _ => Some((capacity - requested) * MAX_SCORE / capacity),
    }
}

fn could_fit(pod: &PodInfo, most: &Resources) -> bool {
    rejection(&pod.requests, &Resources::default(), most).is_ok()
}

fn grew(old: &Resources, new: &Resources) -> bool {
    new.cpu_millis > old.cpu_millis
        || new.memory > old.memory
        || new.ephemeral_storage > old.ephemeral_storage
        || new.pods > old.pods
        || new.others.iter().any(|(name, amount)| old.others.get(name).is_none_or(|o| amount > o))
}
