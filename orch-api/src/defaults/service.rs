//! Service, Endpoints and EndpointSlice. Addresses, node ports and IP families are allocation and not defaults.

use crate::value::{Object, each, ensure, fill, fill_text, part, text};
use serde_json::{Value, json};

/// Service.
pub(super) fn service(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    session_affinity(spec);
    fill_text(spec, "type", "ClusterIP");
    each(spec, "ports").for_each(port);
    let kind = text(spec, "type").to_owned();
    let is_external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP"
            && spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty()));
    if is_external {
        fill_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
        ingress_modes(object);
    }
}

fn session_affinity(spec: &mut Object) {
    fill_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let timeout = spec.get("sessionAffinityConfig").and_then(|c| c.get("clientIP")?.get("timeoutSeconds"));
            if timeout.is_none_or(Value::is_null) {
                spec.insert("sessionAffinityConfig".into(), json!({"clientIP": {"timeoutSeconds": 10800}}));
            }
        }
        _ => {}
    }
}

fn port(port: &mut Object) {
    fill_text(port, "protocol", "TCP");
    let is_open = match port.get("targetPort") {
        None | Some(Value::Null) => true,
        Some(Value::String(name)) => name.is_empty(),
        Some(number) => number.as_i64() == Some(0),
    };
    if is_open && let Some(number) = port.get("port").cloned() {
        port.insert("targetPort".into(), number);
    }
}

fn ingress_modes(object: &mut Object) {
    let Some(balancer) = part(object, "status").and_then(|s| part(s, "loadBalancer")) else { return };
    for ingress in each(balancer, "ingress") {
        if !text(ingress, "ip").is_empty() {
            fill(ingress, "ipMode", "VIP");
        }
    }
}

/// Endpoints.
pub(super) fn endpoints(object: &mut Object) {
    for subset in each(object, "subsets") {
        each(subset, "ports").for_each(|port| fill_text(port, "protocol", "TCP"));
    }
}

/// EndpointSlice.
pub(super) fn endpoint_slice(object: &mut Object) {
    for port in each(object, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}
