//! Reading fields out of an object's JSON. A path is field names with dots, such as `spec.nodeName`; a missing
//! field reads as `None`, `""`, `0`, `false` or nothing. No look-up allocates.

use serde_json::{Map, Value};

/// The value at a path.
pub fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, field| value.get(field))
}

/// The text at a path, empty where there is none.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    get(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a path, 0 where there is none.
pub fn integer(object: &Value, path: &str) -> i64 {
    get(object, path).and_then(Value::as_i64).unwrap_or_default()
}

/// The truth at a path, false where there is none.
pub fn boolean(object: &Value, path: &str) -> bool {
    get(object, path).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a path, empty where there is none.
pub fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of a list of texts.
pub fn texts<'a>(object: &'a Value, path: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    list(object, path).iter().filter_map(Value::as_str)
}

/// The map at a path.
pub fn map<'a>(object: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    get(object, path).and_then(Value::as_object)
}

/// The condition of that type in `status.conditions`.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "status.conditions").iter().find(|c| text(c, "type") == kind)
}
