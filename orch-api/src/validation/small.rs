//! Kinds with a handful of rules.

use super::{
    at::At,
    names::{dns_subdomain, qualified},
    selector::label_selector,
    workloads::{at_most_all, int_or_percent},
};

/// Lease (`pkg/apis/coordination/validation`).
pub(super) fn lease(lease: At<'_>) {
    let spec = lease.at("spec");
    if spec.at("leaseDurationSeconds").int().is_some_and(|n| n <= 0) {
        spec.at("leaseDurationSeconds").invalid("must be greater than 0");
    }
    spec.at("leaseTransitions").non_negative();
    if !spec.at("preferredHolder").is_empty() && spec.at("strategy").is_empty() {
        spec.at("preferredHolder").forbidden("may only be specified if `strategy` is defined");
    }
}

/// PodDisruptionBudget (`pkg/apis/policy/validation`).
pub(super) fn disruption_budget(budget: At<'_>) {
    let spec = budget.at("spec");
    let bounds = ["minAvailable", "maxUnavailable"].map(|field| spec.at(field));
    if bounds.iter().all(|bound| bound.is_set()) {
        spec.invalid("minAvailable and maxUnavailable cannot be both set");
    }
    for bound in bounds.into_iter().filter(|bound| bound.is_set()) {
        int_or_percent(bound);
        at_most_all(bound);
    }
    label_selector(spec.at("selector"));
    spec.at("unhealthyPodEvictionPolicy").one_of(&["AlwaysAllow", "IfHealthyBudget"]);
}

/// An update of a PodDisruptionBudget's status.
pub(super) fn disruption_budget_status<'a>(new: At<'a>, _: At<'a>) {
    for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        new.at("status").at(field).non_negative();
    }
}

/// PriorityClass (`pkg/apis/scheduling/validation`).
pub(super) fn priority_class(class: At<'_>) {
    const HIGHEST: i64 = 1_000_000_000;
    let name = class.at("metadata").at("name");
    if name.str().starts_with("system-") {
        if let Err(why) = system_class(class, name.str()) {
            name.forbidden(format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
            ));
        }
    } else if class.at("value").int().is_some_and(|n| n > HIGHEST) {
        class.at("value").forbidden(format!("maximum allowed value of a user defined priority is {HIGHEST}"));
    }
    if class.at("preemptionPolicy").is_set() {
        class.at("preemptionPolicy").required_one_of(&["PreemptLowerPriority", "Never"]);
    }
}

fn system_class(class: At<'_>, name: &str) -> Result<(), String> {
    let value = match name {
        "system-node-critical" => 2_000_001_000,
        "system-cluster-critical" => 2_000_000_000,
        _ => return Err(format!("{name} is not a known system priority class")),
    };
    if class.at("value").int() != Some(value) {
        return Err(format!("value of {name} PriorityClass must be {value}"));
    }
    if class.at("globalDefault").flag() {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

/// An update of a PriorityClass: its value stays.
pub(super) fn priority_class_updated<'a>(new: At<'a>, old: At<'a>) {
    if !new.at("value").same(old.at("value")) {
        new.at("value").forbidden("may not be changed in an update.");
    }
    new.at("preemptionPolicy").immutable(old.at("preemptionPolicy"));
}

/// RuntimeClass (`pkg/apis/node/validation`).
pub(super) fn runtime_class(class: At<'_>) {
    if class.at("handler").require("") {
        class.at("handler").text(super::names::dns_label);
    }
}

/// An update of a RuntimeClass: its handler stays.
pub(super) fn runtime_class_updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("handler").immutable(old.at("handler"));
}

/// CertificateSigningRequest (`pkg/apis/certificates/validation`).
pub(super) fn signing_request(request: At<'_>) {
    let spec = request.at("spec");
    spec.at("request").require("");
    spec.at("usages").require("");
    let mut seen = Vec::new();
    for usage in spec.at("usages").items() {
        if seen.contains(&usage.str()) {
            usage.duplicate();
        }
        seen.push(usage.str());
    }
    let signer = spec.at("signerName");
    if signer.str() == "kubernetes.io/legacy-unknown" {
        signer.invalid("kubernetes.io/legacy-unknown is not allowed");
    }
    super::certificates::signer_name(signer);
    if spec.at("expirationSeconds").int().is_some_and(|n| n < 600) {
        spec.at("expirationSeconds").invalid("may not specify a duration less than 600 seconds (10 minutes)");
    }
}

/// CSIDriver and CSINode name drivers; an object of storage names one too.
pub(super) fn csi_driver(driver: At<'_>) {
    let spec = driver.at("spec");
    if !spec.at("attachRequired").is_set() {
        spec.at("attachRequired").required("");
    }
    spec.at("fsGroupPolicy").one_of(&["File", "None", "ReadWriteOnceWithFSType"]);
    spec.at("volumeLifecycleModes").items().for_each(|mode| mode.one_of(&["Ephemeral", "Persistent"]));
}

/// An update of a CSIDriver: whether volumes are attached, and which life they have, stays.
pub(super) fn csi_driver_updated<'a>(new: At<'a>, old: At<'a>) {
    csi_driver(new);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    // The path has, as upstream has it, another name than the field.
    spec.at("attachedRequired").with(spec.at("attachRequired").value()).immutable(before.at("attachRequired"));
    spec.at("volumeLifecycleModes").immutable(before.at("volumeLifecycleModes"));
}

/// VolumeAttachment (`pkg/apis/storage/validation`).
pub(super) fn volume_attachment(attachment: At<'_>) {
    let spec = attachment.at("spec");
    super::storage::csi_driver_name(spec.at("attacher"));
    let (source, node) = (spec.at("source"), spec.at("nodeName"));
    let (inline, name) = (source.at("inlineVolumeSpec"), source.at("persistentVolumeName"));
    match (inline.is_set(), name.is_set()) {
        (false, false) => source.required("must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
        (true, true) => {
            source.forbidden("must specify exactly one of inlineVolumeSpec and persistentVolumeName");
        }
        (false, true) => name.text(dns_subdomain),
        (true, false) => {}
    }
    node.text(dns_subdomain);
}

/// An update of a VolumeAttachment: its spec stays.
pub(super) fn volume_attachment_updated<'a>(new: At<'a>, old: At<'a>) {
    if !new.at("spec").same(old.at("spec")) {
        new.at("spec").invalid("field is immutable");
    }
}

/// Event of the core group (`pkg/apis/core/validation/events.go`).
pub(super) fn core_event(event: At<'_>) {
    legacy_event(event, "involvedObject", "reportingComponent", "message");
}

/// Event of `events.k8s.io/v1`.
pub(super) fn event(event: At<'_>) {
    legacy_event(event, "regarding", "reportingController", "note");
    let series = event.at("series");
    if series.is_set() {
        if series.at("count").int().unwrap_or_default() < 2 {
            event.at("series.count").invalid_as("", "should be at least 2");
        }
        if !series.at("lastObservedTime").is_set() {
            event.at("series.lastObservedTime").required("");
        }
    }
    event.at("eventTime").require("");
    if !matches!(event.at("type").str(), "Normal" | "Warning") {
        event.at("type").invalid_as("", format!("has invalid value: {}", event.at("type").str()));
    }
    for (field, path) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
        ("deprecatedSource", "source"),
    ] {
        let value = event.at(field);
        if value.is_set() && !value.is_empty() && value.int() != Some(0) {
            event.at(path).invalid_as("", "needs to be unset");
        }
    }
}

/// An update of an Event of `events.k8s.io/v1`: all but its series stays.
pub(super) fn event_updated<'a>(new: At<'a>, old: At<'a>) {
    for (field, path) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if !new.at(field).same(old.at(field)) {
            new.at(path).with(new.at(field).value()).invalid("field is immutable");
        }
    }
}

fn legacy_event(event: At<'_>, object: &'static str, controller: &'static str, note: &'static str) {
    let namespace = event.at("metadata").at("namespace").str();
    // The path is that of the core group in both.
    let about = event.at("involvedObject").with(event.at(object).value()).at("namespace");
    let is_new = event.at("eventTime").is_set();
    let is_fine = match (about.str(), is_new) {
        ("", false) => matches!(namespace, "" | "default"),
        ("", true) => matches!(namespace, "default" | "kube-system"),
        (other, false) => other == namespace,
        (_, true) => true,
    };
    if !is_fine {
        about.invalid("does not match event.namespace");
    }
    if !is_new {
        return;
    }
    event.at(controller).require("");
    event.at(controller).text(qualified);
    for field in ["reportingInstance", "action", "reason"] {
        event.at(field).require("");
        if event.at(field).str().len() > 128 {
            event.at(field).invalid_as("", "can have at most 128 characters");
        }
    }
    if event.at(note).str().len() > 1024 {
        event.at("message").invalid_as("", "can have at most 1024 characters");
    }
}
