//! What a pod asks for (`component-helpers/resource/helpers.go`) and what of it counts
//! (`pkg/quota/v1/evaluator/core/pods.go`).

use super::amounts::Amounts;
use crate::{
    access::{condition, get, list, text},
    quantity::{Format, Quantity},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Resources that containers must state when a quota has them. A mistake of old that nobody may repeat for others.
const MUST_STATE: [&str; 6] = ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const NAMED: [&str; 11] = [
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
const ONE: Quantity = Quantity::new(1, Format::DecimalSi);

/// The requests and the limits of a container.
pub fn requests_and_limits(container: &Value) -> (Amounts, Amounts) {
    (Amounts::read(get(container, "resources.requests")), Amounts::read(get(container, "resources.limits")))
}

/// What a pod asks for as a whole: its containers together, or its hungriest init container if that wants more, or what the
/// pod itself says; and its overhead. `with_status` counts what running containers still have while they are resized.
pub fn pod_requests(pod: &Value, with_status: bool) -> Amounts {
    let mut total = aggregate(pod, "requests", with_status);
    for (name, quantity) in pod_level(pod, "requests").iter() {
        total.set(name, quantity);
    }
    total.add(&Amounts::read(get(pod, "spec.overhead")));
    total
}

/// What a pod may use at most as a whole. Overhead counts only for what is limited.
pub fn pod_limits(pod: &Value, with_status: bool) -> Amounts {
    let mut total = aggregate(pod, "limits", with_status);
    for (name, quantity) in pod_level(pod, "limits").iter() {
        total.set(name, quantity);
    }
    for (name, overhead) in Amounts::read(get(pod, "spec.overhead")).iter() {
        if let Some(own) = total.get(name).filter(|own| !own.is_zero()) {
            total.set(name, own.plus(overhead));
        }
    }
    total
}

/// What a pod asks for (`requests`) or may use (`limits`) as LimitRanges see it: without its overhead, and of what the pod
/// itself says CPU and memory alone (`plugin/pkg/admission/limitranger/admission.go`).
pub fn pod_in_limit_range(pod: &Value, field: &str) -> Amounts {
    let mut total = aggregate(pod, field, false);
    for (name, quantity) in pod_level(pod, field).iter().filter(|(name, _)| matches!(*name, "cpu" | "memory")) {
        total.set(name, quantity);
    }
    total
}

fn aggregate(pod: &Value, field: &str, with_status: bool) -> Amounts {
    let amounts = |container: &Value, list: &str| effective(pod, container, list, field, with_status);
    let mut total = Amounts::default();
    for container in list(pod, "spec.containers") {
        total.add(&amounts(container, "status.containerStatuses"));
    }
    let (mut sidecars, mut hungriest) = (Amounts::default(), Amounts::default());
    for container in list(pod, "spec.initContainers") {
        let stays = text(container, "restartPolicy") == "Always";
        let own = amounts(container, if stays { "status.initContainerStatuses" } else { "" });
        let mut at_once = sidecars.clone();
        at_once.add(&own);
        hungriest.raise(&at_once);
        if stays {
            total.add(&own);
            sidecars = at_once;
        }
    }
    total.raise(&hungriest);
    total
}

/// What a container has to be granted: what it asks for or, while it is resized, the most of that and of what it has.
fn effective(pod: &Value, container: &Value, statuses: &str, field: &str, with_status: bool) -> Amounts {
    let spec = Amounts::read(get(container, "resources").and_then(|r| r.get(field)));
    let named = |status: &&Value| status.get("name") == container.get("name");
    let status = if with_status { list(pod, statuses).iter().find(named) } else { None };
    let Some((status, resources)) = status.and_then(|s| Some((s, s.get("resources").filter(|r| !r.is_null())?))) else {
        return spec;
    };
    let infeasible = condition(pod, "PodResizePending").is_some_and(|c| text(c, "reason") == "Infeasible");
    let mut amounts = if infeasible { Amounts::default() } else { spec };
    amounts.raise(&Amounts::read(resources.get(field)));
    if field == "requests" {
        amounts.raise(&Amounts::read(status.get("allocatedResources")));
    }
    amounts
}

/// What the pod says of itself, as far as pods can.
fn pod_level(pod: &Value, field: &str) -> Amounts {
    let all = Amounts::read(get(pod, "spec.resources").and_then(|r| r.get(field)));
    let own = all.names().filter(|name| is_pod_level(name));
    all.mask(own)
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Whether a pod uses anything: not when it is over, and not when its deletion is overdue.
pub fn counts(pod: &Value, now: Timestamp) -> bool {
    if matches!(text(pod, "status.phase"), "Failed" | "Succeeded") {
        return false;
    }
    let deadline = text(pod, "metadata.deletionTimestamp").parse::<Timestamp>().ok();
    let grace = get(pod, "metadata.deletionGracePeriodSeconds").and_then(Value::as_i64);
    match (deadline, grace) {
        (Some(deadline), Some(seconds)) => {
            let overdue = deadline.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
            now <= overdue
        }
        _ => true,
    }
}

pub(super) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    let mut usage: Amounts = [("count/pods", ONE)].into_iter().collect();
    if counts(pod, now) {
        usage.add(&compute(&pod_requests(pod, true), &pod_limits(pod, true)));
    }
    usage
}

/// Requests and limits under the names that quotas have for them.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage: Amounts = [("pods", ONE)].into_iter().collect();
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(request) = requests.get(name) {
            usage.set(name, request);
            usage.set(format!("requests.{name}"), request);
        }
        if let Some(limit) = limits.get(name) {
            usage.set(format!("limits.{name}"), limit);
        }
    }
    for (name, request) in requests.iter() {
        if name.starts_with("hugepages-") {
            usage.set(name, request);
        }
        if name.starts_with("hugepages-") || is_extended(name) {
            usage.set(format!("requests.{name}"), request);
        }
    }
    usage
}

/// Whether a resource is something that devices offer: `example.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

/// Whether a quota counts this resource of pods.
pub(super) fn is_counted(name: &str) -> bool {
    NAMED.contains(&name)
        || name.starts_with("hugepages-")
        || name.strip_prefix("requests.").is_some_and(|rest| {
            rest.starts_with("hugepages-")
                || rest.starts_with("deviceclass.resource.kubernetes.io/")
                || (rest.contains('/') && !rest.contains("kubernetes.io/"))
        })
}

/// What the containers must state because a quota has it, and do not.
pub(super) fn unstated(pod: &Value, quota: &[&str]) -> Option<String> {
    if !pod_level(pod, "requests").is_empty() || !pod_level(pod, "limits").is_empty() {
        return None;
    }
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let containers = list(pod, "spec.containers").iter().chain(list(pod, "spec.initContainers"));
    for container in containers {
        let (requests, limits) = requests_and_limits(container);
        let stated = compute(&requests, &limits);
        for name in quota.iter().copied().filter(|n| MUST_STATE.contains(n) && stated.get(n).is_none()) {
            missing.entry(name).or_default().insert(text(container, "name"));
        }
    }
    let said = |(name, containers): (&&str, &BTreeSet<&str>)| {
        format!("{name} for: {}", containers.iter().copied().collect::<Vec<_>>().join(","))
    };
    let said: Vec<String> = missing.iter().map(said).collect();
    (!said.is_empty()).then(|| format!("must specify {}", said.join("; ")))
}

/// Whether the pod ends by itself after a while.
pub(super) fn is_terminating(pod: &Value) -> bool {
    get(pod, "spec.activeDeadlineSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds >= 0)
}

/// Whether an affinity of the pod looks into other namespaces.
pub(super) fn looks_across_namespaces(pod: &Value) -> bool {
    let across = |term: &Value| {
        !list(term, "namespaces").is_empty() || term.get("namespaceSelector").is_some_and(|s| !s.is_null())
    };
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = get(pod, "spec.affinity").and_then(|a| a.get(kind)).unwrap_or(&Value::Null);
        let required = list(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = list(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
        required.iter().any(across) || preferred.iter().filter_map(|p| p.get("podAffinityTerm")).any(across)
    })
}

/// The name of the pod's priority class, for the scope of that name.
pub(super) fn priority_class(pod: &Value) -> Option<&str> {
    Some(text(pod, "spec.priorityClassName")).filter(|name| !name.is_empty())
}

/// Whether the pod's resources as a whole are its own business alone.
pub(super) fn is_best_effort(pod: &Value) -> bool {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    crate::strategy::qos_class(spec) == crate::strategy::QosClass::BestEffort
}
