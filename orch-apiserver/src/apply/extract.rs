//! The fields that an object sets (`typed/tofieldset.go`).

use super::{
    atom::{Atom, atom, declares, items},
    set::{Node, Set},
};
use crate::{
    apply::set::Step,
    patch::shape::{child, resolve},
};
use orch_api::schema::{List, Schema};
use serde_json::Value;

/// The set of fields that the object sets.
pub fn field_set(schema: &Schema, value: &Value) -> Set {
    walk(schema, value).1
}

/// Whether the value itself is set, and what is set below it.
fn walk(schema: &Schema, value: &Value) -> (bool, Set) {
    let held = resolve(schema);
    match atom(&held, value) {
        Atom::Leaf => (true, Set::default()),
        Atom::Map(schema) => (false, of_map(schema, value)),
        Atom::List(list) => (false, of_list(list, value)),
    }
}

fn of_map(schema: &Schema, value: &Value) -> Set {
    let fields = value.as_object().into_iter().flatten();
    let nodes = fields.filter_map(|(name, value)| {
        let (leaf, below) = walk(child(schema, name), value);
        let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
        Node::new(Step::Field(name.as_str().into()), leaf || empty || !declares(schema, name), below)
    });
    Set::from_nodes(nodes.collect())
}

/// Items that stand in the list twice are owned as one, without what is below them.
fn of_list(list: &List, value: &Value) -> Set {
    let mut nodes: Vec<Node> = Vec::new();
    for (step, item) in items(list, Some(value)) {
        match nodes.iter_mut().find(|node| node.step == step) {
            Some(twin) => twin.below = Set::default(),
            None => nodes.push(Node { step, member: true, below: walk(&list.items, item).1 }),
        }
    }
    Set::from_nodes(nodes)
}
