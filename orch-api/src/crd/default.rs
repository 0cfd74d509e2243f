//! Defaults of a schema (`apiserver/schema/defaulting`).

use super::node::{Additional, Node};
use serde_json::Value;

/// Fills in the defaults, after taking away nulls that are no values.
pub(super) fn apply(value: &mut Value, schema: &Node) {
    drop_nulls(value, Some(schema));
    fill(value, schema);
}

fn is_missing(value: &Value, schema: &Node) -> bool {
    value.is_null() && !schema.nullable
}

fn fill(value: &mut Value, schema: &Node) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                if let Some(default) = &property.default
                    && map.get(name).is_none_or(|value| is_missing(value, property))
                {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(property), _) => fill(value, property),
                    (None, Additional::Schema(property)) => fill_item(value, property),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| fill_item(item, schema));
            }
        }
        _ => {}
    }
}

fn fill_item(value: &mut Value, schema: &Node) {
    if let (true, Some(default)) = (is_missing(value, schema), &schema.default) {
        *value = default.clone();
    }
    fill(value, schema);
}

/// Takes away nulls that are no values and have no default.
fn drop_nulls(value: &mut Value, schema: Option<&Node>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let inner = schema.and_then(|s| s.field(name)).map(|node| &**node);
            let drops = inner.is_some_and(|s| is_missing(value, s) && s.default.is_none());
            if !drops {
                drop_nulls(value, inner);
            }
            !drops
        }),
        Value::Array(items) => {
            let inner = schema.and_then(|s| s.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, inner));
        }
        _ => {}
    }
}
