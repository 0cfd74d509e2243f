//! Checks an applied configuration against the type (`typed/validate.go`), in upstream's words.

use super::{
    atom::{Atom, atom, item_step, misfit},
    set::Step,
};
use crate::patch::shape::{child, resolve};
use orch_api::schema::{List, Schema, Shape};
use serde_json::Value;

/// Everything that is wrong with the configuration, as one text; `None` when it fits.
pub(super) fn faults(schema: &Schema, config: &Value) -> Option<String> {
    let mut found = Vec::new();
    walk(schema, config, "", &mut found);
    match &found[..] {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn walk(schema: &Schema, value: &Value, path: &str, found: &mut Vec<String>) {
    let held = resolve(schema);
    if let Some(wanted) = misfit(&held, value) {
        found.push(format!("{path}: expected {wanted}, got &{{{}}}", go_value(value)));
        return;
    }
    match (&held.shape, value) {
        (Shape::Object(fields), Value::Object(values)) => {
            for (name, value) in values {
                let path = format!("{path}.{name}");
                if fields.properties.contains_key(&**name) || fields.preserve_unknown || fields.properties.is_empty() {
                    walk(child(&held, name), value, &path, found);
                } else {
                    found.push(format!("{path}: field not declared in schema"));
                }
            }
        }
        (Shape::Map { values, .. }, Value::Object(fields)) => {
            fields.iter().for_each(|(name, value)| walk(values, value, &format!("{path}.{name}"), found));
        }
        (Shape::List(list), Value::Array(items)) => of_list(list, &held, value, items, path, found),
        _ => {}
    }
}

fn of_list(list: &List, schema: &Schema, value: &Value, items: &[Value], path: &str, found: &mut Vec<String>) {
    let associative = matches!(atom(schema, value), Atom::List(_));
    let mut seen: Vec<Step> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let step =
            if associative { item_step(list, item) } else { Ok(Step::Index(i64::try_from(at).unwrap_or(i64::MAX))) };
        match step {
            Err(why) => found.push(format!("{path}: element {at}: {why}")),
            Ok(step) => {
                if seen.contains(&step) {
                    found.push(format!("{path}: duplicate entries for key {step}"));
                }
                walk(&list.items, item, &format!("{path}{step}"), found);
                seen.push(step);
            }
        }
    }
}

/// A scalar as Go's `%v` prints the value inside of its wrapper.
fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
