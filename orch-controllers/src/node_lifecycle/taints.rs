//! Which taints a node's conditions give it (`doNoScheduleTaintingPass`, `doNoExecuteTaintingPass`).

use super::conditions;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, Taint},
    apimachinery::pkg::apis::meta::v1::Time,
};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Condition, its bad status, and the taint that keeps new pods away.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

/// Whether the node's pods are being evicted because it is silent or not ready.
pub(super) fn evicts(node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    taints.into_iter().any(|t| t.effect == "NoExecute" && is_ours(t))
}

/// Sets the taints that follow from the conditions; other taints stay. Pods are evicted only where that is allowed.
/// Taints that evict are given the time at which they began, by which evictions are timed.
pub(super) fn set(node: &mut Node, may_evict: bool, now: Timestamp) {
    let found = conditions(node);
    let is = |(kind, status, _): &&(&str, &str, &str)| found.get(kind).is_some_and(|c| c.status == *status);
    let mut wanted: Vec<(&str, &str)> =
        BY_CONDITION.iter().filter(is).map(|(_, _, key)| (*key, "NoSchedule")).collect();
    let silent = BY_CONDITION.iter().take(2).find(is).map(|(_, _, key)| (*key, "NoExecute"));
    wanted.extend(silent.filter(|_| may_evict));
    let spec = node.spec.get_or_insert_default();
    if spec.unschedulable == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let old = spec.taints.clone().unwrap_or_default();
    let mut new: Vec<Taint> = old.iter().filter(|t| !is_ours(t) || wanted.contains(&id(t))).cloned().collect();
    for (key, effect) in wanted {
        if !new.iter().any(|t| id(t) == (key, effect)) {
            new.push(Taint { key: key.into(), effect: effect.into(), value: None, time_added: Some(Time(now)) });
        }
    }
    for taint in new.iter_mut().filter(|t| t.effect == "NoExecute" && t.time_added.is_none()) {
        taint.time_added = Some(Time(now));
    }
    if new != old {
        spec.taints = (!new.is_empty()).then_some(new);
    }
}

fn id(taint: &Taint) -> (&str, &str) {
    (&taint.key, &taint.effect)
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key);
    match taint.effect.as_str() {
        "NoSchedule" => by_condition || taint.key == UNSCHEDULABLE,
        "NoExecute" => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}
