//! Pod and what embeds a pod's spec (`pkg/apis/core/v1/defaults.go`, `SetDefaults_Pod`, `SetDefaults_PodSpec`).

use super::{container, volume};
use crate::value::{Object, copy_missing, each, ensure, fill, fill_text, part};
use serde_json::{Map, Value};

/// The kinds of containers in a pod's spec.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Pod. Beyond the defaults of its spec, a pod (and no template) gets requests from its limits.
pub(super) fn pod(object: &mut Object) {
    let Some(pod_spec) = ensure(object, "spec") else { return };
    for list in ["containers", "initContainers"] {
        each(pod_spec, list).for_each(requests_from_limits);
    }
    pod_requests(pod_spec);
    fill(pod_spec, "enableServiceLinks", true);
    if pod_spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or_default() {
        for list in ["containers", "initContainers"] {
            each(pod_spec, list).for_each(host_ports);
        }
    }
    spec(pod_spec);
}

/// PodTemplate.
pub(super) fn template_of_object(object: &mut Object) {
    template(object);
}

/// The `template` of a workload's spec.
pub(super) fn template(owner: &mut Object) {
    if let Some(template) = ensure(owner, "template")
        && let Some(pod_spec) = ensure(template, "spec")
    {
        spec(pod_spec);
    }
}

/// A pod's spec wherever it stands.
fn spec(spec: &mut Object) {
    fill_text(spec, "dnsPolicy", "ClusterFirst");
    fill_text(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", Map::new());
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill_text(spec, "schedulerName", "default-scheduler");
    each(spec, "volumes").for_each(volume::volume);
    for list in CONTAINERS {
        each(spec, list).for_each(container::container);
    }
}

fn requests_from_limits(container: &mut Object) {
    let Some(resources) = part(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if let Some(requests) = ensure(resources, "requests") {
        copy_missing(&limits, requests);
    }
}

/// Requests of the pod as a whole come from its own limits.
fn pod_requests(spec: &mut Object) {
    let Some(resources) = part(spec, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object) else { return };
    let limits: Object = limits.clone().into_iter().filter(|(name, _)| is_pod_level(name)).collect();
    if !limits.is_empty()
        && let Some(requests) = ensure(resources, "requests")
    {
        copy_missing(&limits, requests);
    }
}

/// Resources that a pod may state for itself as a whole.
fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

fn host_ports(container: &mut Object) {
    for port in each(container, "ports") {
        if let Some(number) = port.get("containerPort").and_then(Value::as_i64) {
            crate::value::fill_number(port, "hostPort", number);
        }
    }
}
