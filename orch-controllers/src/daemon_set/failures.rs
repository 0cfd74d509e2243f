//! How often the pods of a set failed on a node: each time the next one is left for longer, since a kubelet may refuse
//! every one of them (`failedPodsBackoff`).
//!
//! This is the one thing that the controller remembers. It is lost with the process, as upstream's is.

use crate::common::{
    facts::{Phase, PodFacts},
    time::plus_seconds,
};
use jiff::Timestamp;
use orch_runtime::view::{Facts, Known};
use orch_store::{Stored, informer::Delta};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// The longest time that a failed pod is left, in seconds.
const LONGEST: i64 = 15 * 60;
/// A node on which nothing failed for so long, in seconds, begins anew.
const FORGOTTEN: i64 = 2 * LONGEST;

/// Failed pods per set and node.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<Place, Series>>);

/// A set, by UID, and a node.
type Place = (Arc<str>, Box<str>);

/// Failures on one node, one after the other.
#[derive(Debug)]
struct Series {
    /// The UID of the last pod that failed.
    last: Arc<str>,
    created: Timestamp,
    /// How many failed before it.
    before: u32,
}

impl Failures {
    /// Counts a pod of a DaemonSet that has failed.
    pub(super) fn note(&self, delta: &Delta) {
        let Some(pod) = delta.new.as_deref().filter(|pod| is_daemon(pod)) else { return };
        let facts = pod.memo(PodFacts::of);
        if facts.phase == Phase::Failed && !pod.meta.is_deleting() {
            self.count(pod, &facts);
        }
    }

    fn count(&self, pod: &Stored, facts: &PodFacts) {
        let Some(owner) = pod.controller() else { return };
        let created = pod.meta.creation_timestamp.unwrap_or_default();
        let mut series = self.0.lock();
        series.retain(|_, series| plus_seconds(series.created, FORGOTTEN) >= created);
        let place = (owner.uid.clone(), facts.target_node().into());
        let before = match series.get(&place) {
            Some(known) if known.last == pod.meta.uid => return,
            Some(known) => known.before.saturating_add(1),
            None => 0,
        };
        series.insert(place, Series { last: pod.meta.uid.clone(), created, before });
    }

    /// When the failed pods among these may be deleted, by UID: the first on a node at once, the next ones a second, two
    /// seconds, four seconds after they were made.
    pub(super) fn deadlines(&self, pods: &[Known<PodFacts>]) -> HashMap<Arc<str>, Timestamp> {
        let failed = pods.iter().filter(|pod| pod.facts.phase == Phase::Failed);
        failed.map(|pod| (pod.stored.meta.uid.clone(), self.deadline(pod))).collect()
    }

    fn deadline(&self, pod: &Known<PodFacts>) -> Timestamp {
        let Some(owner) = pod.stored.controller() else { return Timestamp::MIN };
        let series = self.0.lock();
        let known = series.get(&(owner.uid.clone(), pod.facts.target_node().into()));
        match known.map_or(0, |series| series.before) {
            0 => Timestamp::MIN,
            before => {
                let seconds = 1_i64.checked_shl(before - 1).unwrap_or(LONGEST).clamp(1, LONGEST);
                plus_seconds(pod.stored.meta.creation_timestamp.unwrap_or_default(), seconds)
            }
        }
    }
}

fn is_daemon(pod: &Stored) -> bool {
    pod.controller().is_some_and(|owner| &*owner.kind == "DaemonSet")
}
