//! Kinds with a default or two.

use crate::value::{Object, each, ensure, fill, fill_number, fill_text, part, text};
use serde_json::{Value, json};

/// NetworkPolicy: it concerns ingress, and egress where it has rules for that.
pub(super) fn network_policy(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    for list in ["ingress", "egress"] {
        for rule in each(spec, list) {
            each(rule, "ports").for_each(|port| fill(port, "protocol", "TCP"));
        }
    }
    let len = |field| spec.get(field).and_then(Value::as_array).map_or(0, Vec::len);
    if len("policyTypes") == 0 {
        let types = if len("egress") == 0 { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
        spec.insert("policyTypes".into(), types);
    }
}

/// IngressClass.
pub(super) fn ingress_class(object: &mut Object) {
    if let Some(parameters) = part(object, "spec").and_then(|spec| part(spec, "parameters")) {
        fill(parameters, "scope", "Cluster");
    }
}

/// PriorityClass.
pub(super) fn priority_class(object: &mut Object) {
    fill(object, "preemptionPolicy", "PreemptLowerPriority");
}

/// FlowSchema.
pub(super) fn flow_schema(object: &mut Object) {
    if let Some(spec) = ensure(object, "spec") {
        fill_number(spec, "matchingPrecedence", 1000);
    }
}

/// PriorityLevelConfiguration.
pub(super) fn priority_level(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    if let Some(exempt) = part(spec, "exempt") {
        fill(exempt, "nominalConcurrencyShares", 0);
        fill(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = part(spec, "limited") {
        fill(limited, "nominalConcurrencyShares", 30);
        fill(limited, "lendablePercent", 0);
        if let Some(queuing) = part(limited, "limitResponse").and_then(|response| part(response, "queuing")) {
            fill_number(queuing, "handSize", 8);
            fill_number(queuing, "queues", 64);
            fill_number(queuing, "queueLengthLimit", 50);
        }
    }
}

/// ResourceClaim.
pub(super) fn resource_claim(object: &mut Object) {
    let Some(devices) = part(object, "spec").and_then(|spec| part(spec, "devices")) else { return };
    for request in each(devices, "requests") {
        if let Some(exactly) = part(request, "exactly") {
            device_count(exactly);
        }
        each(request, "firstAvailable").for_each(device_count);
    }
}

/// ResourceClaimTemplate.
pub(super) fn resource_claim_template(object: &mut Object) {
    if let Some(claim) = part(object, "spec") {
        resource_claim(claim);
    }
}

fn device_count(request: &mut Object) {
    fill_text(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" {
        fill_number(request, "count", 1);
    }
}

/// APIService.
pub(super) fn api_service(object: &mut Object) {
    if let Some(service) = part(object, "spec").and_then(|spec| part(spec, "service")) {
        fill(service, "port", 443);
    }
}

/// CustomResourceDefinition: names that can be derived, a conversion, and the served version's own defaults.
pub(super) fn custom_resource_definition(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    if let Some(names) = ensure(spec, "names") {
        let kind = text(names, "kind").to_owned();
        fill_text(names, "singular", &kind.to_lowercase());
        if !kind.is_empty() {
            fill_text(names, "listKind", &format!("{kind}List"));
        }
    }
    if let Some(conversion) = ensure(spec, "conversion") {
        fill_text(conversion, "strategy", "None");
        let client = part(conversion, "webhook").and_then(|webhook| part(webhook, "clientConfig"));
        if let Some(service) = client.and_then(|config| part(config, "service")) {
            fill(service, "port", 443);
        }
    }
}
