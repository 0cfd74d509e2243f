//! Objects that are answered and not stored: bindings, evictions, scales, options.

use super::at::At;
use crate::FieldErrors;
use serde_json::Value;

/// A Binding of a pod to a node (`ValidatePodBinding`).
pub fn binding(binding: &Value) -> FieldErrors {
    super::judge(binding, |at| {
        let target = at.at("target");
        target.at("kind").one_of(&["Node", "<empty>"]);
        target.at("name").require("");
    })
}

/// A Scale (`ValidateScale`).
pub fn scale(scale: &Value) -> FieldErrors {
    super::judge(scale, |at| {
        if at.at("metadata").at("name").require("name or generateName is required") {
            at.at("metadata").at("name").text(super::names::dns_subdomain);
        }
        at.at("spec").at("replicas").non_negative();
    })
}

/// An Eviction: its options, where it has any.
pub fn eviction(eviction: &Value) -> FieldErrors {
    eviction.get("deleteOptions").map(delete_options).unwrap_or_default()
}

/// DeleteOptions (`ValidateDeleteOptions`).
pub fn delete_options(options: &Value) -> FieldErrors {
    super::judge(options, |at| {
        let policy = at.at("propagationPolicy");
        if at.at("orphanDependents").is_set() && policy.is_set() {
            policy.invalid("orphanDependents and deletionPropagation cannot be both set");
        }
        if policy.is_set() && !matches!(policy.str(), "Foreground" | "Background" | "Orphan") {
            policy.not_supported(&["Foreground", "Background", "Orphan", "nil"]);
        }
        dry_run(at.at("dryRun"));
    })
}

/// What the query of a write may say: `fieldManager`, `dryRun`, `fieldValidation` (`ValidateUpdateOptions`).
pub fn write_options(options: &Value) -> FieldErrors {
    super::judge(options, |at| {
        let manager = at.at("fieldManager");
        if manager.str().len() > 128 {
            manager.too_long(128);
        }
        for (i, c) in manager.str().char_indices().filter(|(_, c)| c.is_control()) {
            manager.invalid(format!("invalid character U+{:04X} (at position {i})", u32::from(c)));
        }
        dry_run(at.at("dryRun"));
        at.at("fieldValidation").one_of(&["", "Ignore", "Strict", "Warn"]);
    })
}

fn dry_run(list: At<'_>) {
    if list.items().any(|value| value.str() != "All") {
        list.not_supported(&["All"]);
    }
}
