//! The order of the queue.

use orch_runtime::scheduler::{Plugin, Points, QueueSort, Queued};
use std::{cmp::Ordering, sync::Arc};

/// Higher priority first, then whoever has waited longer.
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.queue_sort(self);
    }
}

impl QueueSort for PrioritySort {
    fn compare(&self, a: &Queued, b: &Queued) -> Ordering {
        b.pod.priority.cmp(&a.pod.priority).then(a.since.cmp(&b.since))
    }
}
