//! The JSON patch (RFC 6902) that leads from one tree to another.

use serde_json::{Map, Value, json};

/// The operations that make `new` of `old`. Lists that differ are replaced whole: their elements have no identity that a
/// patch could keep.
pub fn json_patch(old: &Value, new: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    step(old, new, &mut String::new(), &mut operations);
    operations
}

fn step(old: &Value, new: &Value, path: &mut String, operations: &mut Vec<Value>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => fields(old, new, path, operations),
        (old, new) if old == new => {}
        (_, new) => operations.push(json!({"op": "replace", "path": path, "value": new})),
    }
}

fn fields(old: &Map<String, Value>, new: &Map<String, Value>, path: &mut String, operations: &mut Vec<Value>) {
    let length = path.len();
    for (key, before) in old {
        push(path, key);
        match new.get(key) {
            Some(after) => step(before, after, path, operations),
            None => operations.push(json!({"op": "remove", "path": path})),
        }
        path.truncate(length);
    }
    for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        push(path, key);
        operations.push(json!({"op": "add", "path": path, "value": value}));
        path.truncate(length);
    }
}

fn push(path: &mut String, key: &str) {
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: Value, new: Value, expected: Value) {
        assert_eq!(Value::from(json_patch(&old, &new)), expected);
    }

    #[test]
    fn equal_trees_need_no_operation() {
        check(json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 2}]}), json!([]));
    }

    #[test]
    fn only_what_differs_is_named() {
        check(
            json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}),
            json!({"a": {"b": 3, "d": 4}, "l": [2]}),
            json!([
                {"op": "replace", "path": "/a/b", "value": 3},
                {"op": "remove", "path": "/a/c"},
                {"op": "add", "path": "/a/d", "value": 4},
                {"op": "replace", "path": "/l", "value": [2]},
            ]),
        );
    }

    #[test]
    fn slashes_and_tildes_of_keys_are_escaped() {
        check(json!({}), json!({"a/b~c": 1}), json!([{"op": "add", "path": "/a~1b~0c", "value": 1}]));
    }
}
