//! KEP-3521: pods that are not ready to be scheduled.

use orch_runtime::scheduler::{ClusterEvent, Hint, Plugin, PodInfo, Points, PreEnqueue, Rejection};
use std::sync::Arc;

/// Keeps pods with scheduling gates out of the queue.
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_enqueue(self);
    }

    fn hint(&self, _: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::PodUpdated(_, new) if new.gates.is_empty() => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreEnqueue for SchedulingGates {
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        if pod.gates.is_empty() {
            return Ok(());
        }
        Err(Rejection::unresolvable(format!("waiting for scheduling gates: [{}]", pod.gates.join(" "))))
    }
}
