//! The bridge from client-side apply: kubectl's annotation counts as ownership for kubectl alone
//! (`lastappliedmanager.go`, `lastappliedupdater.go`).

use super::{Writer, conflict::Conflict, extract::field_set};
use serde_json::Value;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The conflicts that remain when kubectl may take over what it applied on the client's side.
pub(super) fn not_allowed(writer: &Writer<'_>, live: &Value, conflicts: Vec<Conflict>) -> Vec<Conflict> {
    if writer.manager != "kubectl" {
        return conflicts;
    }
    let Some(applied) = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return conflicts;
    };
    let allowed = field_set(writer.schema, &applied);
    conflicts
        .into_iter()
        .map(|conflict| Conflict { fields: conflict.fields.difference(&allowed), ..conflict })
        .filter(|conflict| !conflict.fields.is_empty())
        .collect()
}

/// Keeps the annotation in step when kubectl applies on the server an object that has it.
pub(super) fn renew(writer: &Writer<'_>, config: &Value, object: &mut Value) {
    if writer.manager != "kubectl" || annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.into(), format!("{applied}\n").into());
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
