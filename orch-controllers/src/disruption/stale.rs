//! `stale-pod-disruption`: takes back what was said of pods that were to be disrupted and never were
//! (`syncStalePodDisruption` in `pkg/controller/disruption`, a queue of its own there).

use crate::common::time::{plus_seconds, until};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::Stored;
use std::sync::Arc;

/// Takes `DisruptionTarget` back from pods that live on.
pub struct StalePodDisruption;

/// How long the condition is believed (`stalePodDisruptionTimeout`).
const TIMEOUT_SECONDS: i64 = 120;
const CONDITION: &str = "DisruptionTarget";

impl Controller for StalePodDisruption {
    const NAME: &'static str = "stale-pod-disruption";
    const ABOUT: &'static str = "Takes DisruptionTarget back from Pods that nobody deleted within two minutes.";
    const COMPONENT: &'static str = "controllermanager";
    type World = Arc<Pod>;

    fn watches(&self) -> Watches {
        Watches::root::<Pod>().only(|delta| delta.new.as_ref().is_some_and(|new| mentions(new, CONDITION)))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Arc<Pod>> {
        let pod: Arc<Pod> = view.get(key)?;
        since(&pod).is_some().then_some(pod)
    }

    fn plan(&self, pod: &Arc<Pod>, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(since) = since(pod) else { return plan };
        let end = plus_seconds(since, TIMEOUT_SECONDS);
        if end > now {
            plan.requeue_within(until(end, now));
            return plan;
        }
        let mut new = (**pod).clone();
        let conditions = new.status.get_or_insert_default().conditions.get_or_insert_default();
        for condition in conditions.iter_mut().filter(|c| c.type_ == CONDITION) {
            *condition = PodCondition {
                type_: CONDITION.into(),
                status: "False".into(),
                observed_generation: condition.observed_generation,
                last_transition_time: Some(Time(now)),
                ..PodCondition::default()
            };
        }
        plan.update_status(&**pod, &new);
        plan
    }
}

/// Since when a living pod is said to be disrupted. What the kubelet says of its own pods stays, however long that takes.
fn since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let condition = status.conditions.iter().flatten().find(|c| c.type_ == CONDITION && c.status == "True")?;
    if pod.is_deleting() || over || condition.reason.as_deref() == Some("TerminationByKubelet") {
        return None;
    }
    Some(condition.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0))
}

/// Whether the JSON of an object has the word in it: far cheaper than to decode every pod.
fn mentions(stored: &Stored, word: &str) -> bool {
    std::str::from_utf8(&stored.json).is_ok_and(|json| json.contains(word))
}
