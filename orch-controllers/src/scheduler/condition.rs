//! What the scheduler writes into the status of pods: as patches, so that it touches nothing else.

use super::cycle::Refusal;
use jiff::Timestamp;
use orch_runtime::scheduler::{Nomination, PodInfo};
use orch_store::client::Patch;
use serde_json::{Value, json};

/// Why a pod waits, and the node that is kept for it; `None` when its status says so already.
pub(super) fn of_refusal(pod: &PodInfo, refusal: &Refusal, now: Timestamp) -> Option<Patch> {
    let mut status = match &refusal.nomination {
        Nomination::To(node) if *node != pod.nominated => json!({ "nominatedNodeName": node }),
        Nomination::Drop => json!({ "nominatedNodeName": null }),
        _ => json!({}),
    };
    if *pod.refusal != refusal.message {
        let reason = if refusal.failed { "SchedulerError" } else { "Unschedulable" };
        let mut condition = json!({ "type": "PodScheduled", "status": "False", "reason": reason,
            "message": refusal.message, "lastProbeTime": null });
        // Where it was false before, it has been so since then.
        stamp(&mut condition, pod, pod.refusal.is_empty().then_some(now));
        status["conditions"] = json!([condition]);
    }
    (status != json!({})).then(|| of_status(pod, status))
}

/// Why a pod goes (`PreemptPod`).
pub(super) fn of_victim(victim: &PodInfo, preemptor: &PodInfo, now: Timestamp) -> Patch {
    let message = format!("{}: preempting to accommodate a higher priority pod", preemptor.scheduler);
    let mut condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "message": message, "lastProbeTime": null });
    stamp(&mut condition, victim, (!victim.is_victim).then_some(now));
    of_status(victim, json!({ "conditions": [condition] }))
}

/// The node that is kept for a pod, or that none is.
pub(super) fn of_nomination(pod: &PodInfo, node: Option<&str>) -> Patch {
    of_status(pod, json!({ "nominatedNodeName": node }))
}

fn of_status(pod: &PodInfo, status: Value) -> Patch {
    Patch::Strategic(json!({ "metadata": { "uid": &*pod.uid }, "status": status }))
}

fn stamp(condition: &mut Value, pod: &PodInfo, since: Option<Timestamp>) {
    if let Some(since) = since {
        let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(0));
        condition["lastTransitionTime"] = printer.timestamp_to_string(&since).into();
    }
    if pod.generation != 0 {
        condition["observedGeneration"] = pod.generation.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(refusal: &str, nominated: &str) -> PodInfo {
        PodInfo { uid: "1".into(), refusal: refusal.into(), nominated: nominated.into(), ..PodInfo::default() }
    }

    /// The status of the patch, without its conditions' common parts.
    #[track_caller]
    fn check(pod: &PodInfo, message: &str, nomination: Nomination, expected: Option<Value>) {
        let refusal = Refusal { message: message.into(), nomination, ..Refusal::default() };
        let patch = of_refusal(pod, &refusal, Timestamp::UNIX_EPOCH);
        let Some(Patch::Strategic(mut found)) = patch else { return assert!(expected.is_none()) };
        assert_eq!(found["metadata"], json!({ "uid": "1" }));
        let conditions = found.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
        for condition in conditions.into_iter().flatten() {
            let keep = |name: &String| name == "message" || name == "lastTransitionTime";
            condition.as_object_mut().unwrap().retain(|name, _| keep(name));
        }
        assert_eq!(Some(found["status"].take()), expected);
    }

    #[test]
    fn a_status_is_written_as_far_as_it_says_something_new() {
        let since = "1970-01-01T00:00:00Z";
        check(
            &pod("", ""),
            "no",
            Nomination::Keep,
            Some(json!({"conditions": [{"message": "no", "lastTransitionTime": since}]})),
        );
        check(&pod("yes", ""), "no", Nomination::Keep, Some(json!({"conditions": [{"message": "no"}]})));
        check(&pod("no", ""), "no", Nomination::Keep, None);
        check(&pod("no", "n"), "no", Nomination::To("n".into()), None);
        check(&pod("no", "n"), "no", Nomination::To("m".into()), Some(json!({"nominatedNodeName": "m"})));
        check(&pod("no", "n"), "no", Nomination::Drop, Some(json!({"nominatedNodeName": null})));
    }

    #[test]
    fn a_victim_is_told_by_whom_and_for_which_generation() {
        let victim = PodInfo { generation: 3, ..pod("", "") };
        let preemptor = PodInfo { scheduler: "mine".into(), ..PodInfo::default() };
        let Patch::Strategic(patch) = of_victim(&victim, &preemptor, Timestamp::UNIX_EPOCH) else { panic!() };
        assert_eq!(
            patch["status"]["conditions"][0],
            json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "lastProbeTime": null,
                "message": "mine: preempting to accommodate a higher priority pod", "observedGeneration": 3,
                "lastTransitionTime": "1970-01-01T00:00:00Z"})
        );
    }
}
