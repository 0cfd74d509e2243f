//! The node where making room hurts least (`pickOneNodeForPreemption`).

use jiff::Timestamp;
use orch_runtime::scheduler::PodInfo;
use std::{
    cmp::{Ordering, Reverse},
    sync::Arc,
};

/// A node on which the pod would fit if others went.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) node: Arc<str>,
    /// Not empty, the most important first.
    pub(super) victims: Vec<Arc<PodInfo>>,
    /// For how many of them a budget would be violated.
    pub(super) violations: usize,
}

/// The best of the candidates; of equal ones the first.
pub(super) fn pick(candidates: Vec<Candidate>) -> Option<Candidate> {
    candidates.into_iter().min_by_key(harm)
}

/// Fewest violated budgets; then the least important of the most important victims; then the lowest sum of priorities; then
/// fewest victims; then those of the highest priority that have run for the shortest time.
fn harm(candidate: &Candidate) -> impl Ord + use<> {
    let victims = &candidate.victims;
    let highest = victims.first().map_or(i32::MIN, |pod| pod.priority);
    // Counted from the lowest priority, so that few of a negative one weigh less than many of it.
    let sum: i64 = victims.iter().map(|pod| i64::from(pod.priority) - i64::from(i32::MIN)).sum();
    let since = victims.iter().filter(|pod| pod.priority == highest).map(|pod| start(pod)).min();
    (candidate.violations, highest, sum, victims.len(), Reverse(since))
}

/// The order of importance (`MoreImportantPod`): by priority, then the older first. Names make it one that repeats.
pub(super) fn more_important(a: &Arc<PodInfo>, b: &Arc<PodInfo>) -> Ordering {
    b.priority.cmp(&a.priority).then(start(a).cmp(&start(b))).then_with(|| a.key.cmp(&b.key))
}

/// When a pod started. One that has not started yet is younger than all that have.
fn start(pod: &PodInfo) -> Timestamp {
    pod.started.unwrap_or(Timestamp::MAX)
}
