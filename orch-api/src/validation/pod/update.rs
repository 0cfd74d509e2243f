//! Updates of pods: hardly anything may change (`ValidatePodUpdate`).

use super::{annotations, metadata_and_spec, tolerations};
use crate::validation::{at::At, same};
use serde_json::{Map, Value};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// An update of a pod.
pub(in crate::validation) fn updated<'a>(new: At<'a>, old: At<'a>) {
    metadata_and_spec(new);
    annotations::updated(new.at("metadata").at("annotations"), old.at("metadata").at("annotations"));
    let (new, old) = (new.at("spec"), old.at("spec"));
    for list in ["containers", "initContainers"] {
        if new.at(list).len() != old.at(list).len() {
            return new.at(list).forbidden("pod updates may not add or remove containers");
        }
    }
    if !deadline(new.at("activeDeadlineSeconds"), old.at("activeDeadlineSeconds")) {
        return;
    }
    only_added_tolerations(new.at("tolerations"), old.at("tolerations"));
    only_removed_gates(new.at("schedulingGates"), old.at("schedulingGates"));
    if !new.same(old) {
        rest(new, old);
    }
}

/// A deadline can come nearer and never go. Returns whether the rest of the pod is worth looking at.
fn deadline<'a>(new: At<'a>, old: At<'a>) -> bool {
    match (new.int(), old.int()) {
        (Some(n), _) if n < 0 || n > i64::from(i32::MAX) => {
            new.invalid("must be between 0 and 2147483647, inclusive");
            return false;
        }
        (Some(n), Some(o)) if o < n => {
            new.invalid("must be less than or equal to previous value");
            return false;
        }
        (None, Some(_)) => new.invalid_as(Value::Null, "must not update from a positive integer to nil value"),
        _ => {}
    }
    true
}

fn only_added_tolerations<'a>(new: At<'a>, old: At<'a>) {
    let without_seconds = |v: &Value| {
        let mut toleration = v.as_object().cloned().unwrap_or_default();
        toleration.remove("tolerationSeconds");
        toleration
    };
    let kept: Vec<Map<String, Value>> = new.list().iter().map(without_seconds).collect();
    if old.list().iter().any(|toleration| !kept.contains(&without_seconds(toleration))) {
        return new.forbidden("existing toleration can not be modified except its tolerationSeconds");
    }
    tolerations(new);
}

fn only_removed_gates<'a>(new: At<'a>, old: At<'a>) {
    for gate in new.items().map(|gate| gate.at("name")) {
        if !old.items().any(|o| o.at("name").str() == gate.str()) {
            gate.forbidden(format!("only deletion is allowed, but found new scheduling gate '{}'", gate.str()));
        }
    }
}

/// Whether the new spec is the old one but for the fields that may change.
fn rest<'a>(new: At<'a>, old: At<'a>) {
    let (Some(Value::Object(fields)), Some(Value::Object(before))) = (new.value(), old.value()) else { return };
    let mut munged = fields.clone();
    for list in ["containers", "initContainers"] {
        restore_images(&mut munged, before, list);
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut munged, before, field);
    }
    let seconds = |o: &Map<String, Value>| o.get("terminationGracePeriodSeconds").and_then(Value::as_i64);
    if seconds(before).is_some_and(|n| n < 0) && seconds(&munged) == Some(1) {
        restore(&mut munged, before, "terminationGracePeriodSeconds");
    }
    if !old.at("schedulingGates").is_empty() {
        gated(new, old);
        restore(&mut munged, before, "nodeSelector");
        restore_node_affinity(&mut munged, before);
    }
    let difference = difference(before, &munged);
    if !difference.is_empty() {
        new.forbidden(format!("pod updates may not change fields other than {UPDATABLE}\n{difference}"));
    }
}

/// A pod that waits at a gate may become more choosy about its node.
fn gated<'a>(new: At<'a>, old: At<'a>) {
    let selector = new.at("nodeSelector");
    let kept = |(key, value): (&'a str, At<'a>)| selector.at(key).value() == value.value();
    if !old.at("nodeSelector").entries().all(kept) {
        selector.invalid("only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    }
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms =
        |spec: At<'_>| spec.at("affinity").at("nodeAffinity").at(required).at("nodeSelectorTerms").list().to_vec();
    let (before, after) = (terms(old), terms(new));
    if before.is_empty() {
        return;
    }
    let at = new.at("affinity").at("nodeAffinity").at(required).at("nodeSelectorTerms");
    if before.len() != after.len() {
        return at.invalid("no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    }
    for (i, (old, new)) in before.iter().zip(&after).enumerate() {
        let grown = |field: &str| {
            let list = |term: &Value| term.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            list(new).starts_with(&list(old))
        };
        let was_empty = old.as_object().is_none_or(Map::is_empty);
        if !grown("matchExpressions") || !grown("matchFields") || (was_empty && !same(Some(old), Some(new))) {
            at.index(i).invalid("only additions are allowed (no mutations or deletions)");
        }
    }
}

fn restore(new: &mut Map<String, Value>, old: &Map<String, Value>, field: &str) {
    match old.get(field) {
        Some(value) => new.insert(field.to_owned(), value.clone()),
        None => new.remove(field),
    };
}

fn restore_images(new: &mut Map<String, Value>, old: &Map<String, Value>, list: &str) {
    let Some(Value::Array(new)) = new.get_mut(list) else { return };
    let old = old.get(list).and_then(Value::as_array).into_iter().flatten();
    for (new, old) in new.iter_mut().zip(old) {
        if let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) {
            restore(new, old, "image");
        }
    }
}

fn restore_node_affinity(new: &mut Map<String, Value>, old: &Map<String, Value>) {
    let before = old.get("affinity").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut affinity = new.get("affinity").and_then(Value::as_object).cloned().unwrap_or_default();
    restore(&mut affinity, &before, "nodeAffinity");
    if affinity.is_empty() {
        restore(new, old, "affinity");
    } else {
        new.insert("affinity".into(), Value::Object(affinity));
    }
}

/// The fields that differ, one removed and one added line for each; empty when nothing differs.
pub(in crate::validation) fn difference(old: &Map<String, Value>, new: &Map<String, Value>) -> String {
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let mut out = String::new();
    for field in fields.into_iter().filter(|f| !same(old.get(*f), new.get(*f))) {
        for (sign, side) in [('-', old.get(field)), ('+', new.get(field))] {
            if let Some(value) = side {
                out.push_str(&format!("{sign} {field:?}: {value}\n"));
            }
        }
    }
    out
}
