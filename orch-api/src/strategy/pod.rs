//! Pods (`pkg/registry/core/pod/strategy.go`).

use super::qos::qos_class;
use crate::value::{self, Object};
use serde_json::{Value, json};

/// A new pod is pending and has its class; a gated one says that it waits.
pub(super) fn created(pod: &mut Object) {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(spec).as_str()});
    let is_gated = spec.get("schedulingGates").and_then(Value::as_array).is_some_and(|gates| !gates.is_empty());
    if is_gated && let Some(status) = status.as_object_mut() {
        let gated = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }]);
        status.insert("conditions".into(), gated);
    }
    pod.insert("status".into(), status);
    let labels = pod.get("metadata").and_then(|m| m.get("labels")).and_then(Value::as_object).cloned();
    if let Some(labels) = labels
        && let Some(spec) = value::part(pod, "spec")
    {
        label_keys(spec, &labels);
    }
}

/// A status that leaves out the class or an observed generation keeps the old one.
pub(super) fn status_updated(new: &mut Object, old: &Object) {
    let old = old.get("status").and_then(Value::as_object);
    let (Some(status), Some(old)) = (value::ensure(new, "status"), old) else { return };
    for field in ["qosClass", "observedGeneration"] {
        let is_open = status.get(field).is_none_or(|v| v.is_null() || v == "" || v == 0);
        if is_open && let Some(value) = old.get(field) {
            status.insert(field.into(), value.clone());
        }
    }
    let old_conditions = old.get("conditions").and_then(Value::as_array);
    for condition in value::each(status, "conditions") {
        let kind = value::text(condition, "type").to_owned();
        let before = old_conditions.and_then(|all| all.iter().find(|c| c.get("type").is_some_and(|t| *t == *kind)));
        if let Some(generation) = before.and_then(|c| c.get("observedGeneration")) {
            value::fill(condition, "observedGeneration", generation.clone());
        }
    }
}

/// `matchLabelKeys` and `mismatchLabelKeys` become expressions of their selectors, from the labels of the pod.
fn label_keys(spec: &mut Object, labels: &Object) {
    if let Some(affinity) = value::part(spec, "affinity") {
        for side in ["podAffinity", "podAntiAffinity"] {
            let Some(side) = value::part(affinity, side) else { continue };
            for weighted in value::each(side, "preferredDuringSchedulingIgnoredDuringExecution") {
                if let Some(term) = value::part(weighted, "podAffinityTerm") {
                    term_keys(term, labels);
                }
            }
            value::each(side, "requiredDuringSchedulingIgnoredDuringExecution").for_each(|t| term_keys(t, labels));
        }
    }
    value::each(spec, "topologySpreadConstraints").for_each(|c| term_keys(c, labels));
}

fn term_keys(term: &mut Object, labels: &Object) {
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys: Vec<String> = strings(term.get(field));
        let Some(selector) = value::part(term, "labelSelector") else { return };
        for key in keys {
            let Some(value) = labels.get(&key) else { continue };
            let expressions = selector.entry("matchExpressions").or_insert_with(|| json!([]));
            if let Some(list) = expressions.as_array_mut() {
                list.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}
