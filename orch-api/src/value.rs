//! Small steps over JSON objects: go to a part, fill a field that says nothing.

use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The part of that name, where there is one.
pub(crate) fn part<'a>(object: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    object.get_mut(field).and_then(Value::as_object_mut)
}

/// The part of that name, made where there is none.
pub(crate) fn ensure<'a>(object: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    if is_absent(object, field) {
        object.insert(field.to_owned(), Value::Object(Map::new()));
    }
    part(object, field)
}

/// The objects in the list of that name.
pub(crate) fn each<'a>(object: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Object> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Whether the field is missing or null.
pub(crate) fn is_absent(object: &Object, field: &str) -> bool {
    object.get(field).is_none_or(Value::is_null)
}

/// The text of the field, or the empty string.
pub(crate) fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Fills a field that is missing or null.
pub(crate) fn fill(object: &mut Object, field: &str, value: impl Into<Value>) {
    if is_absent(object, field) {
        object.insert(field.to_owned(), value.into());
    }
}

/// Fills a text that is missing or empty.
pub(crate) fn fill_text(object: &mut Object, field: &str, value: &str) {
    if text(object, field).is_empty() && object.get(field).is_none_or(|v| v.is_null() || v.is_string()) {
        object.insert(field.to_owned(), value.into());
    }
}

/// Fills a number that is missing or zero.
pub(crate) fn fill_number(object: &mut Object, field: &str, value: i64) {
    if object.get(field).is_none_or(|v| v.is_null() || v.as_i64() == Some(0)) {
        object.insert(field.to_owned(), value.into());
    }
}

/// Copies the entries that `to` does not have.
pub(crate) fn copy_missing(from: &Object, to: &mut Object) {
    for (key, value) in from {
        if !to.contains_key(key) {
            to.insert(key.clone(), value.clone());
        }
    }
}
