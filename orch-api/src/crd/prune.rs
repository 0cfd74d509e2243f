//! Fields that a schema does not know are taken away (`apiserver/schema/pruning`).

use super::node::{Additional, Node};
use serde_json::{Map, Value};
use std::{fmt::Write, sync::Arc};

/// Fields of an object that are not its schema's but Kubernetes'.
pub(super) const META: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes what the schema of a resource does not know; the paths of what was removed, sorted.
pub(super) fn prune(object: &mut Value, schema: &Node) -> Vec<String> {
    let mut walk = Walk { path: String::new(), unknown: Vec::new() };
    walk.prune(object, Some(schema), true);
    walk.unknown.sort();
    walk.unknown
}

/// Removes what the schema does not know from a value that is no resource.
pub(super) fn prune_value(value: &mut Value, schema: &Node) {
    let mut walk = Walk { path: String::new(), unknown: Vec::new() };
    walk.prune(value, Some(schema), schema.embedded);
}

struct Walk {
    path: String,
    unknown: Vec<String>,
}

impl Walk {
    fn below(&mut self, step: std::fmt::Arguments<'_>, inner: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let _ = self.path.write_fmt(step);
        inner(self);
        self.path.truncate(length);
    }

    fn field(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.below(format_args!("{dot}{name}"), inner);
    }

    fn prune(&mut self, value: &mut Value, schema: Option<&Node>, resource: bool) {
        match value {
            Value::Object(map) => self.object(map, schema, resource),
            Value::Array(items) => {
                let inner = schema.and_then(|s| s.items.as_deref());
                let keeps = schema.is_some_and(|s| s.preserve_unknown);
                for (i, item) in items.iter_mut().enumerate() {
                    self.below(format_args!("[{i}]"), |walk| match (keeps, inner) {
                        // Below a list that keeps everything only what is specified is looked at.
                        (true, None) => {}
                        (true, Some(inner)) => walk.kept(item, inner),
                        (false, inner) => walk.prune(item, inner, inner.is_some_and(|s| s.embedded)),
                    });
                }
            }
            _ => {}
        }
    }

    /// A value below a list that keeps unknown fields.
    fn kept(&mut self, value: &mut Value, schema: &Node) {
        let keeping = Node { preserve_unknown: true, ..schema.clone() };
        self.prune(value, Some(&keeping), schema.embedded);
    }

    fn object(&mut self, map: &mut Map<String, Value>, schema: Option<&Node>, resource: bool) {
        let Some(schema) = schema else {
            for (name, _) in std::mem::take(map) {
                self.field(&name, |walk| walk.unknown.push(walk.path.clone()));
            }
            return;
        };
        map.retain(|name, value| {
            if resource && META.contains(&name.as_str()) {
                return true;
            }
            match (schema.properties.get(name), &schema.additional) {
                (Some(inner), _) | (None, Additional::Schema(inner)) => {
                    let inner: &Arc<Node> = inner;
                    self.field(name, |walk| walk.prune(value, Some(inner), inner.embedded));
                    true
                }
                _ if schema.preserve_unknown => true,
                // Values of unspecified shape are pruned empty, as upstream does it.
                (None, Additional::Any(_)) => {
                    self.field(name, |walk| walk.prune(value, None, false));
                    true
                }
                _ => {
                    if !META.contains(&name.as_str()) || !self.path.is_empty() {
                        self.field(name, |walk| walk.unknown.push(walk.path.clone()));
                    }
                    false
                }
            }
        });
    }
}
