//! Taints and tolerations.

use super::normalize;
use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Effect, Filter, Hint, NodeIndex, NodeInfo, Plugin, PodInfo, Points, PreScore,
    Rejection, Score, Toleration,
};
use std::sync::Arc;

/// Keeps pods off nodes whose taints they do not tolerate, and prefers nodes with fewer soft taints.
pub struct TaintToleration;

/// The tolerations that soft taints are held against.
struct Soft(Vec<Toleration>);

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self.clone()).pre_score(self.clone()).score(self, 3);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        let fits = |node: &NodeInfo| node.untolerated(pod, is_hard).is_none();
        match event {
            ClusterEvent::NodeAdded(node) if fits(node) => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if !fits(old) && fits(new) => Hint::Queue,
            ClusterEvent::PodUpdated(old, new) if old.tolerations != new.tolerations => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl Filter for TaintToleration {
    fn filter(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match node.untolerated(pod, is_hard) {
            None => Ok(()),
            Some(_) => Err(Rejection::unresolvable("node(s) had untolerated taint(s)")),
        }
    }
}

impl PreScore for TaintToleration {
    fn pre_score(&self, cycle: &mut Cycle, pod: &PodInfo, _: &Cluster, _: &[NodeIndex]) -> bool {
        let soft = |t: &&Toleration| t.effect.is_none_or(|e| e == Effect::PreferNoSchedule);
        cycle.put(Soft(pod.tolerations.iter().filter(soft).cloned().collect()));
        true
    }
}

impl Score for TaintToleration {
    fn score(&self, cycle: &Cycle, _: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        let tolerations = cycle.get::<Soft>().map_or(&[][..], |s| &s.0);
        let soft = node.taints.iter().filter(|t| t.effect == Effect::PreferNoSchedule);
        soft.filter(|taint| !tolerations.iter().any(|t| t.tolerates(taint))).count() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, true);
    }
}

fn is_hard(effect: Effect) -> bool {
    matches!(effect, Effect::NoSchedule | Effect::NoExecute)
}
