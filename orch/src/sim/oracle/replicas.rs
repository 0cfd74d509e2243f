//! A ReplicaSet's Pods: no more than it wants, no fewer. A Job's: no more at a time.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Verb, Write};
use std::sync::Arc;

/// Nobody creates a Pod for a ReplicaSet or a Job that, as far as its controller knows, has enough of them, nor deletes one
/// of a ReplicaSet where there are not too many.
pub struct NoExcess;

impl Oracle for NoExcess {
    fn name(&self) -> &'static str {
        "replicas"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod") else { return Ok(()) };
        let Some((owner, kind)) = pod.controller() else { return Ok(()) };
        let number = match kind {
            "ReplicaSet" if write.who.contains("replicaset") => "/spec/replicas",
            "Job" if *write.who == *"job" && write.verb == Verb::Create => "/spec/parallelism",
            _ => return Ok(()),
        };
        let owners = judge.believed(write, owner);
        let wanted = owners.iter().map(|owner| owner.number(number));
        let (most, least) = (wanted.clone().max(), wanted.min());
        if write.verb == Verb::Create {
            let known = judge.state.owned_by(owner).filter(|other| !other.is_over() && judge.must_know(write, other));
            let count = known.count() as i64;
            if let Some(most) = most.filter(|most| count > *most) {
                return Err(format!("{pod} was created: its {kind} wanted {most} Pods and has {count}"));
            }
            return Ok(());
        }
        if write.dooms() && !write.old.as_ref().is_some_and(|old| old.is_over()) {
            return match (least, left(write, judge, pod, owner)) {
                (Some(least), Some(left)) if left < least => {
                    Err(format!("{pod} was deleted: its ReplicaSet wants {least} Pods and is left with {left}"))
                }
                _ => Ok(()),
            };
        }
        Ok(())
    }
}

/// How many Pods the owner has beside this one as far as the writer may know: one that somebody else has ended a moment ago is
/// one of them still. What it does not know yet cannot be counted, so only an owner that is known in full is judged.
fn left(write: &Write, judge: &Judge<'_>, pod: &Seen, owner: &str) -> Option<i64> {
    let may_run = |other: &&Arc<Seen>| {
        other.uid != pod.uid && judge.believed(write, &other.uid).iter().any(|seen| !seen.is_over())
    };
    let here: Vec<_> = judge.state.owned_by(owner).filter(may_run).collect();
    let gone = judge.state.gone_from(owner).iter().filter(|other| judge.must_know(write, other)).filter(may_run);
    here.iter().all(|other| judge.must_know(write, other)).then(|| (here.len() + gone.count()) as i64)
}
