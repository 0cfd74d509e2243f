//! Webhook configurations and admission policies (`pkg/apis/admissionregistration/v1/defaults.go`).

use crate::value::{Object, each, ensure, fill, part};
use serde_json::Map;

/// ValidatingWebhookConfiguration.
pub(super) fn validating_webhooks(object: &mut Object) {
    each(object, "webhooks").for_each(webhook);
}

/// MutatingWebhookConfiguration.
pub(super) fn mutating_webhooks(object: &mut Object) {
    for hook in each(object, "webhooks") {
        webhook(hook);
        fill(hook, "reinvocationPolicy", "Never");
    }
}

fn webhook(webhook: &mut Object) {
    fill(webhook, "failurePolicy", "Fail");
    selectors(webhook);
    fill(webhook, "timeoutSeconds", 10);
    each(webhook, "rules").for_each(|rule| fill(rule, "scope", "*"));
    if let Some(service) = part(webhook, "clientConfig").and_then(|config| part(config, "service")) {
        fill(service, "port", 443);
    }
}

/// ValidatingAdmissionPolicy and MutatingAdmissionPolicy.
pub(super) fn policy(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "failurePolicy", "Fail");
    if let Some(resources) = part(spec, "matchConstraints") {
        match_resources(resources);
    }
}

/// The bindings of both kinds of policies.
pub(super) fn policy_binding(object: &mut Object) {
    if let Some(resources) = part(object, "spec").and_then(|spec| part(spec, "matchResources")) {
        match_resources(resources);
    }
}

fn match_resources(resources: &mut Object) {
    selectors(resources);
    for list in ["resourceRules", "excludeResourceRules"] {
        each(resources, list).for_each(|rule| fill(rule, "scope", "*"));
    }
}

fn selectors(owner: &mut Object) {
    fill(owner, "matchPolicy", "Equivalent");
    fill(owner, "namespaceSelector", Map::new());
    fill(owner, "objectSelector", Map::new());
}
