//! Lists that are sets or maps have no item twice (`apiserver/schema/listtype`).

use super::node::Node;
use crate::{FieldError, FieldErrors, Path, schema::ListMerge};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Judges every list below a value.
pub(super) fn check(path: &Path, schema: &Node, value: &Value, out: &mut FieldErrors) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match (schema.properties.get(name), schema.field(name)) {
                    (Some(inner), _) => check(&path.child(name), inner, value, out),
                    (None, Some(inner)) => check(&path.key(name), inner, value, out),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            match &schema.list {
                ListMerge::Set => {
                    for i in repeated(items.iter()) {
                        out.extend(items.get(i).map(|item| FieldError::duplicate(&path.index(i), item.clone())));
                    }
                }
                ListMerge::Map(keys) => check_map(path, keys, items, out),
                ListMerge::Atomic => {}
            }
            if let Some(inner) = &schema.items {
                for (i, item) in items.iter().enumerate() {
                    check(&path.index(i), inner, item, out);
                }
            }
        }
        _ => {}
    }
}

fn check_map(path: &Path, keys: &[crate::key::Name], items: &[Value], out: &mut FieldErrors) {
    for (i, item) in items.iter().enumerate() {
        if !item.is_object() && !item.is_null() {
            let words = "must be an object for an array of list-type map";
            out.push(FieldError::invalid(&path.index(i), item.clone(), words));
            return;
        }
    }
    let key = |item: &Value| -> Value {
        let fields = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    let keyed: Vec<Value> = items.iter().map(key).collect();
    for i in repeated(keyed.iter()) {
        out.extend(keyed.get(i).map(|key| FieldError::duplicate(&path.index(i), key.clone())));
    }
}

/// The second appearance of each value that appears more than once.
fn repeated<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<usize> {
    let mut seen: HashMap<&Value, usize> = HashMap::new();
    let mut second = Vec::new();
    for (i, item) in items.enumerate() {
        let times = seen.entry(item).or_insert(0);
        *times += 1;
        if *times == 2 {
            second.push(i);
        }
    }
    second
}
