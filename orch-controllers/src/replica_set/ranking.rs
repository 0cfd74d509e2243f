//! Which pods go first (`ActivePodsWithRanks` of `pkg/controller/controller_utils.go`).

use crate::common::facts::{Phase, PodFacts};
use jiff::Timestamp;
use orch_runtime::view::Known;
use std::collections::HashMap;

/// The pods to delete: unscheduled before scheduled, pending before running, not ready before ready,
/// cheap before dear, doubled-up before alone, young before old (in powers of two), and those that
/// restarted often before those that did not.
pub(super) fn victims<'a>(
    active: &[&'a Known<PodFacts>],
    neighbours: &HashMap<Box<str>, usize>,
    count: usize,
    now: Timestamp,
) -> Vec<&'a Known<PodFacts>> {
    let mut ranked = active.to_vec();
    if count < ranked.len() {
        ranked.sort_by_cached_key(|pod| rank(pod, neighbours, now));
    }
    ranked.truncate(count);
    ranked
}

type Rank = (bool, Phase, bool, i32, std::cmp::Reverse<usize>, i32, std::cmp::Reverse<(i32, i32)>, i32, String);

fn rank(pod: &Known<PodFacts>, neighbours: &HashMap<Box<str>, usize>, now: Timestamp) -> Rank {
    let facts = &pod.facts;
    let together = neighbours.get(&facts.node).copied().unwrap_or(0);
    (
        !facts.node.is_empty(),
        facts.phase,
        facts.is_ready(),
        facts.deletion_cost,
        std::cmp::Reverse(together),
        facts.ready_since.map_or(0, |since| magnitude(since, now)),
        std::cmp::Reverse((facts.restarts, facts.sidecar_restarts)),
        pod.stored.meta.creation_timestamp.map_or(-1, |created| magnitude(created, now)),
        pod.stored.meta.uid.to_string(),
    )
}

/// The power of two nearest below the age in nanoseconds, so that pods of about the same age are chosen
/// among at random (by UID).
fn magnitude(since: Timestamp, now: Timestamp) -> i32 {
    let age = now.duration_since(since).as_nanos();
    u128::try_from(age).ok().and_then(u128::checked_ilog2).and_then(|log| i32::try_from(log).ok()).unwrap_or(-1)
}
