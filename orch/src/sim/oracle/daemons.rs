//! The rolling update of a DaemonSet.

use super::{Judge, Oracle, rollout::part};
use crate::sim::state::{Seen, Write};
use std::sync::Arc;

/// An update deletes no old Pod that serves if that leaves fewer serving ones than `maxUnavailable` allows. Judged at
/// what the controller deletes, not when a node dies, and not while the set may surge.
pub struct Daemons;

impl Oracle for Daemons {
    fn name(&self) -> &'static str {
        "daemons"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod" && write.dooms()) else { return Ok(()) };
        let Some((owner, "DaemonSet")) = pod.controller() else { return Ok(()) };
        if !write.who.contains("daemonset") || !is_outdated(judge, owner, pod) {
            return Ok(());
        }
        let sets = judge.believed(write, owner);
        let down = judge.believed(write, &pod.uid).iter().any(|seen| !seen.is_deleting() && !is_serving(seen));
        if down || sets.iter().any(|set| surges(set)) {
            return Ok(());
        }
        let Some(least) = sets.iter().map(|set| least(set)).min() else { return Ok(()) };
        let serves = |other: &&Arc<Seen>| {
            let believed = judge.believed(write, &other.uid);
            other.uid != pod.uid && !other.is_over() && believed.iter().any(|seen| is_serving(seen))
        };
        let left = judge.state.owned_by(owner).filter(serves).count() as i64;
        match left < least {
            true => Err(format!("{pod} was deleted: {left} Pods of its DaemonSet still serve, {least} must")),
            false => Ok(()),
        }
    }
}

/// Whether a set may have two Pods on a node.
pub(super) fn surges(set: &Seen) -> bool {
    part(set.at("/spec/updateStrategy/rollingUpdate/maxSurge"), 1, true) > 0
}

/// The label that tells the Pods of one template from those of another.
pub(super) fn hash(object: &Seen) -> &str {
    object.text("/metadata/labels/controller-revision-hash")
}

fn is_outdated(judge: &Judge<'_>, owner: &str, pod: &Seen) -> bool {
    let revisions = judge.state.owned_by(owner).filter(|object| object.kind == "ControllerRevision");
    let newest = revisions.max_by_key(|revision| revision.number("/revision"));
    newest.is_some_and(|newest| hash(newest) != hash(pod))
}

fn is_serving(pod: &Seen) -> bool {
    pod.has_condition("Ready") && !pod.is_over() && !pod.is_deleting()
}

fn least(set: &Seen) -> i64 {
    let desired = set.number("/status/desiredNumberScheduled");
    let unavailable = part(set.at("/spec/updateStrategy/rollingUpdate/maxUnavailable"), desired, true);
    (desired - unavailable.max(1)).max(0)
}
