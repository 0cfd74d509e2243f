//! Pods that are somebody, and Jobs that are for a time: at most one of each.

use super::{
    Judge, Oracle,
    daemons::{hash, surges},
    work::index,
};
use crate::sim::state::{Seen, Verb, Write};

/// An owner has at most one Pod per identity at a time: an ordinal, a completion index, a node of a DaemonSet. One that
/// is being deleted still is who it is. A CronJob has at most one Job for a time.
pub struct OnePerIdentity;

impl Oracle for OnePerIdentity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        scheduled(write, judge)?;
        let Some(pod) = write.new.as_ref().filter(|new| write.verb == Verb::Create && new.kind == "Pod") else {
            return Ok(());
        };
        let (Some((owner, kind)), Some(identity)) = (pod.controller(), identity(pod)) else { return Ok(()) };
        let ended = |other: &Seen| matches!(other.text("/status/phase"), "Succeeded" | "Failed");
        let same = judge.state.owned_by(owner).filter(|other| other.uid != pod.uid && !ended(other));
        // A Job may replace an index whose Pod is being deleted, and so may a DaemonSet.
        let lenient = matches!(kind, "Job" | "DaemonSet");
        let knew = |other: &Seen| judge.knew_of(write, &other.uid);
        // While it surges, a DaemonSet has an old one and a new one on a node.
        let surges = kind == "DaemonSet" && judge.believed(write, owner).iter().any(|set| surges(set));
        let twin = same
            .filter(|other| !(surges && hash(other) != hash(pod)))
            .filter(|other| !(lenient && other.is_deleting()))
            .filter(|other| knew(other))
            .find(|other| self::identity(other).as_ref() == Some(&identity));
        twin.map_or(Ok(()), |twin| Err(format!("{pod} is {identity} of its {kind}, and so is {twin}")))
    }
}

/// A CronJob starts one Job for a time. Its name says which, so that no view of the past excuses a second one.
fn scheduled(write: &Write, judge: &Judge<'_>) -> Result<(), String> {
    const AT: &str = "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp";
    let Some(job) = write.new.as_ref().filter(|new| write.verb == Verb::Create && new.kind == "Job") else {
        return Ok(());
    };
    let Some((owner, "CronJob")) = job.controller() else { return Ok(()) };
    let mut others = judge.state.owned_by(owner).filter(|other| other.uid != job.uid && other.kind == "Job");
    match others.find(|other| !job.text(AT).is_empty() && other.text(AT) == job.text(AT)) {
        Some(twin) => Err(format!("{job} is for {}, and so is {twin}", job.text(AT))),
        None => Ok(()),
    }
}

/// Who a Pod is for its owner; `None` for one among equals.
fn identity(pod: &Seen) -> Option<String> {
    let (_, kind) = pod.controller()?;
    match kind {
        "StatefulSet" => Some(pod.name.clone()),
        "Job" => index(pod).map(|index| index.to_string()),
        "DaemonSet" => {
            let terms = pod.at(
                "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0",
            );
            terms.as_str().map(|node| format!("the one on {node}"))
        }
        _ => None,
    }
}
