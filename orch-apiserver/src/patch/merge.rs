//! JSON merge patch (RFC 7396).

use super::go;
use orch_api::StatusError;
use serde_json::Value;

/// Merges `patch`, which must be an object, into a copy of `current`.
pub(super) fn apply(current: &Value, patch: &Value) -> Result<Value, StatusError> {
    if !patch.is_object() {
        let kind = go::json_kind(patch);
        return Err(StatusError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )));
    }
    let mut merged = current.clone();
    merge(&mut merged, patch);
    Ok(merged)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = without_nulls(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        match (change, fields.get_mut(key)) {
            (Value::Null, _) => {
                fields.remove(key);
            }
            (change, Some(old)) => merge(old, change),
            (change, None) => {
                fields.insert(key.clone(), without_nulls(change));
            }
        }
    }
}

/// A copy in which no object has a null field.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_merge_patch_follows_the_examples_of_the_rfc() {
        for (current, patch, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(apply(&current, &patch).unwrap(), expected, "{current} + {patch}");
        }
    }

    #[test]
    fn a_merge_patch_must_be_an_object() {
        let error = apply(&json!({}), &json!([])).unwrap_err();
        assert_eq!(error.code(), 400);
        assert_eq!(
            error.message(),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
