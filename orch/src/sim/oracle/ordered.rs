//! The order of a StatefulSet's Pods.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Verb, Write};
use std::sync::Arc;

/// Pods that are kept in order: none is made while one before it is not ready, and none is deleted while one after it is
/// not. Judged at what the controller writes, by what it could know.
pub struct Ordered;

impl Oracle for Ordered {
    fn name(&self) -> &'static str {
        "order"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod") else { return Ok(()) };
        let Some((owner, "StatefulSet")) = pod.controller() else { return Ok(()) };
        let over = write.old.as_ref().is_some_and(|old| old.is_over());
        let sets = judge.believed(write, owner);
        if !write.who.contains("statefulset") || !sets.iter().all(|set| is_ordered(set)) {
            return Ok(());
        }
        // Pods below the first ordinal are given up, and waited for by nobody.
        let start = sets.iter().map(|set| set.number("/spec/ordinals/start")).max().unwrap_or(0);
        let Some(own) = ordinal(pod) else { return Ok(()) };
        let others =
            judge.state.owned_by(owner).filter(|other| other.kind == "Pod" && judge.knew_of(write, &other.uid));
        let unready = |other: &&Arc<Seen>| !judge.believed(write, &other.uid).iter().any(|seen| is_ready(seen));
        let mut unready = others.filter(unready);
        let (is, why) = match write.verb {
            Verb::Create => ("made", unready.find(|other| ordinal(other).is_some_and(|at| start <= at && at < own))),
            _ if write.dooms() && !over => ("deleted", unready.find(|other| ordinal(other).is_some_and(|at| at > own))),
            _ => return Ok(()),
        };
        why.map_or(Ok(()), |other| Err(format!("{pod} was {is} while {other} was not ready")))
    }
}

/// Whether a set makes and ends its Pods one after the other.
fn is_ordered(set: &Seen) -> bool {
    set.text("/spec/podManagementPolicy") != "Parallel"
        && set.at("/spec/updateStrategy/rollingUpdate/maxUnavailable").is_null()
}

fn ordinal(pod: &Seen) -> Option<i64> {
    pod.name.rsplit_once('-')?.1.parse().ok()
}

fn is_ready(pod: &Seen) -> bool {
    pod.has_condition("Ready") && !pod.is_over()
}
