//! Takes the fields of a set out of an object (`typed/remove.go`).

use super::{
    atom::{Atom, atom, item_step},
    set::{Node, Set, Step},
};
use crate::patch::shape::{child, resolve};
use orch_api::schema::{List, Schema, Shape};
use serde_json::{Map, Value};

/// The object without the fields of the set. What loses all of its parts becomes null.
pub fn remove(schema: &Schema, value: &Value, gone: &Set) -> Value {
    let held = resolve(schema);
    match (atom(&held, value), value) {
        (Atom::Map(schema), Value::Object(fields)) => of_map(schema, fields, gone),
        (Atom::List(list), Value::Array(items)) => of_list(list, items, gone),
        (Atom::Leaf, Value::Array(_) | Value::Object(_)) => Value::Null,
        _ => value.clone(),
    }
}

/// Adds to a set the objects that are named by the type and below which something is in the set: they
/// are owned by whoever owns their parts.
pub(super) fn with_named_parents(schema: &Schema, set: &Set) -> Set {
    let held = resolve(schema);
    let nodes = set.0.iter().map(|node| {
        let (named, below) = match (&node.step, &held.shape) {
            (Step::Field(name), shape) => {
                let named = matches!(shape, Shape::Object(fields) if fields.properties.contains_key(&**name));
                (named && !node.below.is_empty(), child(&held, name))
            }
            (_, Shape::List(list)) => (false, &*list.items),
            _ => (false, &crate::patch::shape::ANY),
        };
        Node { step: node.step.clone(), member: node.member || named, below: with_named_parents(below, &node.below) }
    });
    Set(nodes.collect())
}

/// Drops the nulls that [`remove`] left behind.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn of_map(schema: &Schema, fields: &Map<String, Value>, gone: &Set) -> Value {
    let mut out = Map::new();
    for (name, value) in fields {
        match gone.at(&Step::Field(name.as_str().into())) {
            Some(node) if node.member => {}
            Some(node) => drop(out.insert(name.clone(), remove(child(schema, name), value, &node.below))),
            None => drop(out.insert(name.clone(), value.clone())),
        }
    }
    if out.is_empty() { Value::Null } else { Value::Object(out) }
}

fn of_list(list: &List, items: &[Value], gone: &Set) -> Value {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let node = item_step(list, item).ok().and_then(|step| gone.at(&step));
        match node {
            Some(node) if node.member => {}
            Some(node) => out.push(remove(&list.items, item, &node.below)),
            None => out.push(item.clone()),
        }
    }
    if out.is_empty() { Value::Null } else { Value::Array(out) }
}
