//! JSON patch (RFC 6902) with the reading and the words of `evanphx/json-patch` v4, which kube-apiserver
//! uses: `replace` of an absent field of an object adds it, a negative index counts from the end.

use super::go;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails;
use orch_api::{Reason, StatusError};
use serde_json::Value;

/// Most operations that one patch may hold.
const MAX_OPERATIONS: usize = 10_000;

/// Most bytes by which `copy` operations may let the object grow: patches must not be bombs.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Applies the operations in order to a copy of `current`; all or nothing.
pub(super) fn apply(current: &Value, patch: &Value) -> Result<Value, StatusError> {
    decode(patch)?;
    apply_all(current, patch).map_err(refused)
}

/// The same with the reason of a refusal. What is no operation is refused like one that nobody knows.
pub(super) fn apply_all(current: &Value, patch: &Value) -> Result<Value, String> {
    let mut document = current.clone();
    let mut copied = 0;
    for operation in patch.as_array().into_iter().flatten() {
        perform(&mut document, operation, &mut copied)?;
    }
    Ok(document)
}

/// Upstream keeps the reason to itself, so clients see these words for each refusal.
fn refused(why: String) -> StatusError {
    tracing::debug!(%why, "a JSON patch does not apply");
    let words = "the server rejected our request due to an error in our request";
    StatusError::new(Reason::Invalid, words).with_details(StatusDetails::default())
}

fn decode(patch: &Value) -> Result<&[Value], StatusError> {
    let wrong = |found: &Value, wanted: &str| {
        let kind = go::json_kind(found);
        StatusError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type {wanted}"
        ))
    };
    let Value::Array(operations) = patch else { return Err(wrong(patch, "[]handlers.jsonPatchOp")) };
    if let Some(other) = operations.iter().find(|o| !o.is_object()) {
        return Err(wrong(other, "handlers.jsonPatchOp"));
    }
    if operations.len() > MAX_OPERATIONS {
        let words =
            format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len());
        return Err(StatusError::new(Reason::RequestEntityTooLarge, words));
    }
    Ok(operations)
}

fn perform(document: &mut Value, operation: &Value, copied: &mut usize) -> Result<(), String> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let value = || operation.get("value").cloned().unwrap_or_default();
    let op = text("op").unwrap_or("unknown");
    if !matches!(op, "add" | "remove" | "replace" | "move" | "test" | "copy") {
        return Err(format!("Unexpected kind: {op}"));
    }
    let path = text("path")
        .ok_or_else(|| format!("{op} operation failed to decode path: operation missing path field: missing value"))?;
    let from = || {
        text("from").ok_or_else(|| {
            format!("{op} operation failed to decode from: operation, missing from field: missing value")
        })
    };
    match op {
        "add" => {
            let (parent, key) = find(document, path)
                .ok_or_else(|| format!("add operation does not apply: doc is missing path: {path:?}: missing value"))?;
            add(parent, &key, value()).map_err(|e| format!("error in add for path: '{path}': {e}"))
        }
        "remove" => {
            let (parent, key) = find(document, path).ok_or_else(|| {
                format!("remove operation does not apply: doc is missing path: {path:?}: missing value")
            })?;
            remove(parent, &key).map(drop).map_err(|e| format!("error in remove for path: '{path}': {e}"))
        }
        "replace" => replace(document, path, value()),
        "test" => test(document, path, &value()),
        "move" => {
            let from = from()?;
            let (parent, key) = find(document, from).ok_or_else(|| {
                format!("move operation does not apply: doc is missing from path: {from}: missing value")
            })?;
            let moved = remove(parent, &key).map_err(|e| format!("error in move for path: '{key}': {e}"))?;
            let (parent, key) = destination(document, op, path)?;
            add(parent, &key, moved).map_err(|e| format!("error in move for path: '{path}': {e}"))
        }
        _ => {
            let from = from()?;
            let (parent, key) = find(document, from).ok_or_else(|| {
                format!("copy operation does not apply: doc is missing from path: {from}: missing value")
            })?;
            let original = get(parent, &key).map_err(|e| format!("error in copy for from: '{from}': {e}"))?;
            let copy = original.cloned().unwrap_or_default();
            *copied += copy.to_string().len();
            if *copied > MAX_COPIED_BYTES {
                return Err(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED_BYTES}"
                ));
            }
            let (parent, key) = destination(document, op, path)?;
            add(parent, &key, copy).map_err(|e| format!("error while adding value during copy: {e}"))
        }
    }
}

fn destination<'a>(document: &'a mut Value, op: &str, path: &str) -> Result<(&'a mut Value, String), String> {
    find(document, path)
        .ok_or_else(|| format!("{op} operation does not apply: doc is missing destination path: {path}: missing value"))
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        if !(value.is_object() || value.is_array()) {
            return Err("replace operation value must be object or array: %!w(<nil>)".into());
        }
        *document = value;
        return Ok(());
    }
    let missing = || format!("replace operation does not apply: doc is missing path: {path}: missing value");
    let (parent, key) = find(document, path).ok_or_else(missing)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) => {
            let slot = index(&key, items.len()).ok().and_then(|i| items.get_mut(i)).ok_or_else(|| {
                format!("replace operation does not apply: doc is missing key: {path}: missing value")
            })?;
            *slot = value;
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn test(document: &mut Value, path: &str, expected: &Value) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    if path.is_empty() {
        return if document == expected { Ok(()) } else { Err(failed()) };
    }
    let (parent, key) = find(document, path)
        .ok_or_else(|| format!("test operation does not apply: is missing path: {path}: missing value"))?;
    let found = get(parent, &key).map_err(|e| format!("error in test for path: '{path}': {e}"))?;
    if found.unwrap_or(&Value::Null) == expected { Ok(()) } else { Err(failed()) }
}

/// The container that the last step of the path is taken in, and that step.
fn find<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parents, last) = path.strip_prefix('/').map(|p| p.rsplit_once('/').unwrap_or(("", p)))?;
    let mut at = document;
    if path.matches('/').count() > 1 {
        for part in parents.split('/').map(unescape) {
            at = match at {
                Value::Object(fields) => fields.get_mut(&part)?,
                Value::Array(items) => {
                    let i = index(&part, items.len()).ok()?;
                    items.get_mut(i)?
                }
                _ => return None,
            };
        }
    }
    (at.is_object() || at.is_array()).then(|| (at, unescape(last)))
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

fn get<'a>(parent: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match parent {
        Value::Array(items) => {
            let i = index(key, items.len())?;
            items.get(i).map(Some).ok_or_else(|| invalid_index(key))
        }
        other => Ok(other.get(key)),
    }
}

fn add(parent: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match parent {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let i = index(key, items.len() + 1).map_err(|e| {
                if e.starts_with("Unable") { e } else { format!("value was not a proper array index: '{key}': {e}") }
            })?;
            if i > items.len() {
                return Err(invalid_index(key));
            }
            items.insert(i, value);
        }
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        _ => {}
    }
    Ok(())
}

fn remove(parent: &mut Value, key: &str) -> Result<Value, String> {
    match parent {
        Value::Array(items) => {
            let i = index(key, items.len())?;
            if i < items.len() { Ok(items.remove(i)) } else { Err(invalid_index(key)) }
        }
        Value::Object(fields) => {
            fields.remove(key).ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value"))
        }
        _ => Err(format!("Unable to remove nonexistent key: {key}: missing value")),
    }
}

/// Reads an index as `strconv.Atoi` does; a negative one counts from `len`.
fn index(key: &str, len: usize) -> Result<usize, String> {
    let i: i64 = key.parse().map_err(|_| format!("strconv.Atoi: parsing {key:?}: invalid syntax"))?;
    let counted = if i < 0 { i.checked_add_unsigned(len as u64).unwrap_or(i) } else { i };
    usize::try_from(counted).map_err(|_| invalid_index(key))
}

fn invalid_index(key: &str) -> String {
    format!("Unable to access invalid index: {key}: invalid index referenced")
}

#[cfg(test)]
mod tests;
