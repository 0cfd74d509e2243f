//! Small hands for JSON trees: the metadata of an object, and text at a path.

use serde_json::{Map, Value};

/// The text at a path of keys, the empty string where there is none.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The value at a path of keys.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |v, key| v.get(*key)).filter(|v| !v.is_null())
}

/// The integer at a path of keys.
pub fn integer(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).and_then(Value::as_i64)
}

/// The list at a path of keys, empty where there is none.
pub fn items<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object at a path of keys, made where it is missing or something else.
pub fn object_mut<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut here = as_object(value);
    for key in path {
        here = as_object(here.entry(*key).or_insert(Value::Null));
    }
    here
}

/// The list at a path of keys, made where it is missing or something else.
pub fn list_mut<'a>(value: &'a mut Value, path: &[&str], key: &str) -> &'a mut Vec<Value> {
    as_list(object_mut(value, path).entry(key).or_insert(Value::Null))
}

/// Sets the value at a path of keys.
pub fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    if let Some((last, parents)) = path.split_last() {
        object_mut(value, parents).insert((*last).to_owned(), new.into());
    }
}

/// Takes the value at a path of keys away.
pub fn remove(value: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(value, |v, key| v.get_mut(*key))?;
    parent.as_object_mut()?.remove(*last)
}

/// `metadata`, made where it is missing.
pub fn meta_mut(value: &mut Value) -> &mut Map<String, Value> {
    object_mut(value, &["metadata"])
}

/// The text of a field of `metadata`.
pub fn meta<'a>(value: &'a Value, field: &str) -> &'a str {
    text(value, &["metadata", field])
}

fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

fn as_list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("made a list above"),
    }
}
