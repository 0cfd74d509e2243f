//! Merges an applied configuration into the live object (`typed/merge.go`): what the configuration sets
//! wins, lists with keys are joined, the order of the configuration is kept.

use super::{
    atom::{Atom, atom, fields, items},
    set::Step,
};
use crate::patch::shape::{child, resolve};
use orch_api::schema::{List, Schema};
use serde_json::{Map, Value};

/// The live object with the configuration merged into it.
pub fn merge(schema: &Schema, live: &Value, config: &Value) -> Value {
    walk(schema, Some(live), Some(config)).unwrap_or(Value::Null)
}

fn walk(schema: &Schema, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let held = resolve(schema);
    let sample = config.filter(|v| !v.is_null()).or(live).or(config)?;
    let mergeable = |a: Option<&Value>| a.is_none_or(|a| a.is_null() || a.is_object() == sample.is_object());
    match atom(&held, sample) {
        Atom::Map(schema)
            if (fields(live).is_some() || fields(config).is_some()) && mergeable(live) && mergeable(config) =>
        {
            Some(Value::Object(of_map(schema, live, config)))
        }
        Atom::List(list) if !nothing(live) || !nothing(config) => Some(Value::Array(of_list(list, live, config))),
        _ => config.or(live).cloned(),
    }
}

fn nothing(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_none_or(Vec::is_empty)
}

fn of_map(schema: &Schema, live: Option<&Value>, config: Option<&Value>) -> Map<String, Value> {
    let (live, config) = (fields(live), fields(config));
    let mut out = Map::new();
    for (name, value) in live.into_iter().flatten() {
        let wanted = config.and_then(|fields| fields.get(name));
        out.extend(walk(child(schema, name), Some(value), wanted).map(|v| (name.clone(), v)));
    }
    for (name, value) in config.into_iter().flatten().filter(|(name, _)| live.is_none_or(|l| !l.contains_key(*name))) {
        out.extend(walk(child(schema, name), None, Some(value)).map(|v| (name.clone(), v)));
    }
    out
}

/// Items of both lists, in the order of the configuration; items of the live list alone stay before the
/// items that they stood before.
fn of_list(list: &List, live: Option<&Value>, config: Option<&Value>) -> Vec<Value> {
    let (left, right) = (items(list, live), items(list, config));
    let in_left = |step: &Step| left.iter().any(|(s, _)| s == step);
    let in_right = |step: &Step| right.iter().any(|(s, _)| s == step);
    let twin = |step: &Step| {
        let mut same = left.iter().filter(|(s, _)| s == step);
        let first = same.next().map(|(_, item)| *item);
        first.filter(|_| same.next().is_none())
    };
    let mut shared = right.iter().map(|(step, _)| step).filter(|step| in_left(step));
    let mut next_shared = shared.next();
    let mut merged: Vec<&Step> = Vec::new();
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some((ls, _)), Some((rs, item))) = (left.get(l), right.get(r)) {
            if ls == rs {
                merged.push(rs);
                out.extend(walk(&list.items, twin(ls), Some(item)));
                (l, r) = (l + 1, r + 1);
                next_shared = shared.next();
                continue;
            }
            if in_right(ls) && next_shared.is_some_and(|next| next != ls) {
                l += 1;
                continue;
            }
        }
        if let Some((step, item)) = left.get(l) {
            if !in_right(step) {
                out.extend(walk(&list.items, Some(item), None));
                l += 1;
                continue;
            }
            if merged.contains(&step) {
                l += 1;
            }
        }
        if let Some((step, item)) = right.get(r) {
            merged.push(step);
            out.extend(walk(&list.items, twin(step), Some(item)));
            r += 1;
            if next_shared == Some(step) {
                next_shared = shared.next();
            }
        }
    }
    out
}
