//! Pod conditions (`status/generate.go`). Transition times move only when a status changes.

use super::phase::{find, has_started, running};
use crate::pod::{
    Observed,
    spec::{self, Role},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};

/// Conditions that the agent owns; all others are kept as they are (`PodConditionByKubelet`).
const OWN: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

pub(super) fn fill(pod: &Pod, seen: &Observed, old: &PodStatus, now: Timestamp, status: &mut PodStatus) {
    let kept: Vec<_> = old.conditions.iter().flatten().filter(|c| !OWN.contains(&c.type_.as_str())).cloned().collect();
    let containers_ready = containers_ready(pod, status);
    let ready = ready(pod, &kept, &containers_ready);
    let sandbox = seen.newest().is_some_and(|s| s.ready && (spec::host_network(pod) || !s.ips.is_empty()));
    let mut own = vec![
        condition("PodReadyToStartContainers", sandbox, "", String::new()),
        initialized(pod, status),
        ready,
        containers_ready,
        condition("PodScheduled", true, "", String::new()),
    ];
    for condition in &mut own {
        condition.observed_generation = pod.metadata.generation;
        let before = old.conditions.iter().flatten().find(|c| c.type_ == condition.type_);
        condition.last_transition_time = match before {
            Some(before) if before.status == condition.status => before.last_transition_time.clone(),
            _ => Some(super::time(now)),
        };
        condition.last_probe_time = before.and_then(|b| b.last_probe_time.clone());
    }
    own.extend(kept);
    status.conditions = Some(own);
}

fn containers_ready(pod: &Pod, status: &PodStatus) -> PodCondition {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for spec in spec::containers(pod).filter(|c| c.role != Role::Init) {
        match find(status, spec.role, spec.name()) {
            None => unknown.push(spec.name()),
            Some(of) if !of.ready => unready.push(spec.name()),
            Some(_) => {}
        }
    }
    match status.phase.as_deref() {
        Some("Succeeded") if unknown.is_empty() => {
            return condition("ContainersReady", false, "PodCompleted", String::new());
        }
        Some("Failed") => return condition("ContainersReady", false, "PodFailed", String::new()),
        _ => {}
    }
    match listed(&unknown, &unready, "unready") {
        None => condition("ContainersReady", true, "", String::new()),
        Some(message) => condition("ContainersReady", false, "ContainersNotReady", message),
    }
}

fn ready(pod: &Pod, others: &[PodCondition], containers: &PodCondition) -> PodCondition {
    if containers.status != "True" {
        return PodCondition { type_: "Ready".into(), ..containers.clone() };
    }
    let gates = pod.spec.iter().flat_map(|s| s.readiness_gates.iter().flatten());
    let unmet: Vec<_> = gates
        .filter_map(|gate| {
            let name = &gate.condition_type;
            match others.iter().find(|c| c.type_ == *name) {
                None => Some(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
                Some(c) if c.status != "True" => {
                    Some(format!("the status of pod readiness gate {name:?} is not \"True\", but {}", c.status))
                }
                Some(_) => None,
            }
        })
        .collect();
    if unmet.is_empty() {
        condition("Ready", true, "", String::new())
    } else {
        condition("Ready", false, "ReadinessGatesNotReady", unmet.join(", "))
    }
}

fn initialized(pod: &Pod, status: &PodStatus) -> PodCondition {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for spec in spec::containers(pod).filter(|c| c.role != Role::App) {
        match find(status, spec.role, spec.name()) {
            None => unknown.push(spec.name()),
            Some(of) if spec.role == Role::Sidecar && of.started == Some(true) => {}
            Some(of) if spec.role == Role::Init && of.ready && !running(of) => {}
            Some(_) => incomplete.push(spec.name()),
        }
    }
    if status.phase.as_deref() == Some("Succeeded") && unknown.is_empty() {
        return condition("Initialized", true, "PodCompleted", String::new());
    }
    if status.container_statuses.iter().flatten().any(has_started) {
        return condition("Initialized", true, "", String::new());
    }
    match listed(&unknown, &incomplete, "incomplete") {
        None => condition("Initialized", true, "", String::new()),
        Some(message) => condition("Initialized", false, "ContainersNotInitialized", message),
    }
}

fn listed(unknown: &[&str], others: &[&str], word: &str) -> Option<String> {
    let part = |word: &str, names: &[&str]| {
        (!names.is_empty()).then(|| format!("containers with {word} status: [{}]", names.join(" ")))
    };
    let parts: Vec<_> = [part("unknown", unknown), part(word, others)].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn condition(kind: &str, holds: bool, reason: &str, message: String) -> PodCondition {
    PodCondition {
        type_: kind.into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: (!reason.is_empty()).then(|| reason.into()),
        message: (!message.is_empty()).then_some(message),
        ..PodCondition::default()
    }
}
