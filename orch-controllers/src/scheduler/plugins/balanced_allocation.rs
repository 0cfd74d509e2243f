//! Resources: CPU and memory in balance.

use orch_runtime::scheduler::{
    Cluster, Cycle, MAX_SCORE, NodeIndex, NodeInfo, Plugin, PodInfo, Points, PreScore, Score,
};
use std::sync::Arc;

/// Prefers nodes whose CPU and memory the pod brings nearer to the same level.
pub struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_score(self.clone()).score(self, 1);
    }
}

impl PreScore for NodeResourcesBalancedAllocation {
    /// A pod without requests changes no balance.
    fn pre_score(&self, _: &mut Cycle, pod: &PodInfo, _: &Cluster, _: &[NodeIndex]) -> bool {
        pod.requests.cpu_millis > 0 || pod.requests.memory > 0
    }
}

impl Score for NodeResourcesBalancedAllocation {
    fn score(&self, _: &Cycle, pod: &PodInfo, node: &NodeInfo, _: &Cluster) -> i64 {
        let (used, most) = (&node.requested, &node.allocatable);
        let before = balance([(used.cpu_millis, most.cpu_millis), (used.memory, most.memory)]);
        let cpu = used.cpu_millis + pod.requests.cpu_millis;
        let memory = used.memory + pod.requests.memory;
        let after = balance([(cpu, most.cpu_millis), (memory, most.memory)]);
        MAX_SCORE / 2 + (MAX_SCORE / 2 + after - before) / 2
    }
}

/// [`MAX_SCORE`] less the standard deviation of the used fractions.
fn balance(amounts: [(i64, i64); 2]) -> i64 {
    let fraction = |(used, most): (i64, i64)| (most != 0).then(|| (used as f64 / most as f64).min(1.0));
    let deviation = match amounts.map(fraction) {
        [Some(a), Some(b)] => ((a - b) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}
