//! Namespace, Node, Secret and LimitRange (`pkg/apis/core/v1/defaults.go`).

use crate::value::{Object, copy_missing, each, ensure, fill_text, part, text};
use k8s_openapi::ByteString;
use serde_json::Value;

/// Namespace: labelled with its own name, and active.
pub(super) fn namespace(object: &mut Object) {
    let name = part(object, "metadata").map(|meta| text(meta, "name").to_owned()).unwrap_or_default();
    if !name.is_empty()
        && let Some(labels) = ensure(object, "metadata").and_then(|meta| ensure(meta, "labels"))
    {
        labels.insert("kubernetes.io/metadata.name".into(), Value::String(name));
    }
    if let Some(status) = ensure(object, "status") {
        fill_text(status, "phase", "Active");
    }
}

/// Node: all that it has can be allocated, unless it says otherwise.
pub(super) fn node(object: &mut Object) {
    let Some(status) = part(object, "status") else { return };
    if let Some(capacity) = status.get("capacity").filter(|c| !c.is_null()).cloned() {
        crate::value::fill(status, "allocatable", capacity);
    }
}

/// Secret. `stringData` is for writing only: its values go, encoded, over those of `data`
/// (`Convert_v1_Secret_To_core_Secret`). Values of a wrong type stay, for validation to refuse.
pub(super) fn secret(object: &mut Object) {
    fill_text(object, "type", "Opaque");
    let is_plain = |v: &Value| v.as_object().is_some_and(|texts| texts.values().all(Value::is_string));
    if !object.get("stringData").is_some_and(is_plain) {
        return;
    }
    let Some(Value::Object(texts)) = object.remove("stringData") else { return };
    let Some(data) = ensure(object, "data") else { return };
    for (key, text) in texts {
        let bytes = ByteString(text.as_str().unwrap_or_default().as_bytes().to_vec());
        data.insert(key, serde_json::to_value(bytes).unwrap_or_default());
    }
}

/// LimitRange: of a container's limits, the maximum is the default and the minimum the default request.
pub(super) fn limit_range(object: &mut Object) {
    let Some(spec) = part(object, "spec") else { return };
    for item in each(spec, "limits").filter(|item| text(item, "type") == "Container") {
        let max = amounts(item, "max");
        let min = amounts(item, "min");
        fill_amounts(item, "default", &[&max]);
        let default = amounts(item, "default");
        fill_amounts(item, "defaultRequest", &[&default, &min]);
    }
}

fn amounts(item: &Object, field: &str) -> Object {
    item.get(field).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn fill_amounts(item: &mut Object, field: &str, sources: &[&Object]) {
    if sources.iter().all(|source| source.is_empty()) {
        return;
    }
    if let Some(target) = ensure(item, field) {
        sources.iter().for_each(|source| copy_missing(source, target));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn string_data_is_encoded_over_data() {
        let mut secret = json!({"data": {"a": "QQ==", "b": "Qg=="}, "stringData": {"b": "new", "c": ""}});
        super::secret(secret.as_object_mut().unwrap());
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "QQ==", "b": "bmV3", "c": ""}}));
    }
}
