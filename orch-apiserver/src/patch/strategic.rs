//! Strategic merge patch (`apimachinery/pkg/util/strategicpatch`): a merge patch that knows by which key
//! the items of a list are joined, with directives `$patch`, `$retainKeys`, `$setElementOrder/LIST` and
//! `$deleteFromPrimitiveList/LIST`.

use super::{
    go,
    order::{self, Key},
    shape::{child, list_patch, resolve},
};
use orch_api::{Reason, StatusError, schema::Schema};
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

type Fields = Map<String, Value>;
type Result<T, E = StatusError> = std::result::Result<T, E>;

/// Merges `patch`, which must be an object, into a copy of `current`.
pub(super) fn apply(schema: &Schema, current: &Value, patch: &Value) -> Result<Value> {
    let (Value::Object(current), Value::Object(patch)) = (current, patch) else {
        let kind = go::json_kind(patch);
        return Err(StatusError::bad_request(format!(
            "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )));
    };
    merge_map(schema, current.clone(), patch.clone()).map(Value::Object)
}

fn merge_map(schema: &Schema, original: Fields, mut patch: Fields) -> Result<Fields> {
    let held = resolve(schema);
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(word)) if word == "replace" => return Ok(patch),
        Some(Value::String(word)) if word == "delete" => return Ok(Fields::new()),
        Some(other) => {
            patch.insert(DIRECTIVE.into(), other.clone());
            return Err(bad_directive(&other, &patch));
        }
    }
    let mut merged = retain_keys(original, &mut patch)?;
    merge_ordered_lists(&held, &mut merged, &mut patch)?;
    for (key, change) in patch {
        merge_field(&held, &mut merged, key, change)?;
    }
    Ok(merged)
}

fn merge_field(schema: &Schema, fields: &mut Fields, key: String, change: Value) -> Result<()> {
    let deletes = key.strip_prefix(DELETE_FROM).map(str::to_owned);
    if key.starts_with(DELETE_FROM.trim_end_matches('/')) && deletes.is_none() {
        return Err(StatusError::bad_request("invalid patch format of primitive list"));
    }
    let deleting = deletes.is_some();
    let key = deletes.unwrap_or(key);
    if change.is_null() {
        fields.remove(&key);
        return Ok(());
    }
    let under = resolve(child(schema, &key));
    let merged = match (fields.remove(&key), change) {
        (Some(Value::Object(old)), Value::Object(new)) => Value::Object(merge_map(&under, old, new)?),
        (Some(Value::Array(old)), Value::Array(new)) if deleting => Value::Array(without(old, &new)),
        (Some(Value::Array(old)), Value::Array(new)) => Value::Array(match list_patch(&under) {
            (items, Some(by)) => merge_list(items, old, new, by)?,
            (_, None) => new,
        }),
        (Some(old), _) if deleting => old,
        (None, _) if deleting => return Ok(()),
        (_, new) => match plain(new) {
            Some(new) => new,
            None => return Ok(()),
        },
    };
    fields.insert(key, merged);
    Ok(())
}

/// Merges two lists whose items are joined by the field `by`, or are scalars when `by` is empty.
fn merge_list(items: &Schema, original: Vec<Value>, patch: Vec<Value>, by: &str) -> Result<Vec<Value>> {
    let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
    let maps = first.is_object();
    check_one_type(&original, &patch)?;
    if !maps {
        let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
        for item in original.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(order::normalize(merged, &patch, &original, Key::Itself));
    }
    if by.is_empty() {
        return Err(unexpected("cannot merge lists without merge key for list"));
    }
    let (original, patch) = apply_item_directives(original, patch, by)?;
    let mut merged = original.clone();
    for change in &patch {
        let Value::Object(change) = change else { continue };
        let id = change.get(by).ok_or_else(|| no_merge_key(change, by))?;
        match merged.iter_mut().find(|old| old.get(by) == Some(id)) {
            Some(old) => {
                let fields = old.as_object_mut().map(std::mem::take).unwrap_or_default();
                *old = Value::Object(merge_map(items, fields, change.clone())?);
            }
            None => merged.extend(plain(Value::Object(change.clone()))),
        }
    }
    require_merge_key(&merged, by)?;
    Ok(order::normalize(merged, &patch, &original, Key::Field(by)))
}

/// Takes `$patch` items out of the patch: deletes what they delete, empties the list for `replace`.
fn apply_item_directives(mut original: Vec<Value>, patch: Vec<Value>, by: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        let Value::Object(fields) = &item else { continue };
        match fields.get(DIRECTIVE).map(|d| (d, d.as_str())) {
            None => rest.push(item),
            Some((_, Some("delete"))) => {
                let id = fields.get(by).ok_or_else(|| no_merge_key(fields, by))?;
                original.retain(|old| old.get(by) != Some(id));
            }
            Some((_, Some("replace"))) => replace = true,
            Some((_, Some("merge"))) => return Err(unexpected("merging lists cannot yet be specified in the patch")),
            Some((directive, _)) => return Err(bad_directive(directive, fields)),
        }
    }
    Ok(if replace { (rest, Vec::new()) } else { (original, rest) })
}

/// `$retainKeys`: only the listed fields of the original stay, and the patch may set no others.
fn retain_keys(mut original: Fields, patch: &mut Fields) -> Result<Fields> {
    let bad = || StatusError::bad_request("invalid patch format of retainKeys");
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(original) };
    let Value::Array(keys) = keys else { return Err(bad()) };
    let keeps = |key: &str| keys.iter().any(|k| k == key);
    let sets_other = |(key, value): (&String, &Value)| {
        !value.is_null() && !key.starts_with(DELETE_FROM) && !key.starts_with(SET_ORDER) && !keeps(key)
    };
    if patch.iter().any(sets_other) {
        return Err(bad());
    }
    original.retain(|key, _| keeps(key));
    Ok(original)
}

/// `$setElementOrder/LIST`: merges the list, then orders it as the directive says.
fn merge_ordered_lists(schema: &Schema, fields: &mut Fields, patch: &mut Fields) -> Result<()> {
    let bad = || StatusError::bad_request("invalid patch format of setElementOrder list");
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with("$setElementOrder")).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let key = directive.strip_prefix(SET_ORDER).ok_or_else(bad)?;
        let Value::Array(order) = order else { return Err(wrong_type(&order)) };
        let old = fields.get(key).map(|v| v.as_array().cloned().ok_or_else(|| wrong_type(v))).transpose()?;
        let new = patch.get(key).map(|v| v.as_array().cloned().ok_or_else(|| wrong_type(v))).transpose()?;
        let under = resolve(child(schema, key));
        let (items, strategy) = list_patch(&under);
        let by = strategy.unwrap_or_default();
        check_order(new.as_deref().unwrap_or_default(), &order, by)?;
        let server_order = old.clone().unwrap_or_default();
        let merged = match (old, new) {
            (Some(old), None) => old,
            (None, Some(new)) => match plain(Value::Array(new)) {
                Some(Value::Array(new)) => new,
                _ => continue,
            },
            (Some(old), Some(new)) if strategy.is_some() => merge_list(items, old, new, by)?,
            (Some(_), Some(new)) => new,
            (None, None) => continue,
        };
        let identity = if by.is_empty() { Key::Itself } else { Key::Field(by) };
        if !by.is_empty() {
            require_merge_key(&merged, by)?;
            require_merge_key(&order, by)?;
        }
        let ordered = order::normalize(merged, &order, &server_order, identity);
        patch.remove(key);
        fields.insert(key.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The items of the patch must stand in the order of the directive, and be part of it.
fn check_order(patch: &[Value], order: &[Value], by: &str) -> Result<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let identity = if by.is_empty() { Key::Itself } else { Key::Field(by) };
    let kept: Vec<&Value> = patch.iter().filter(|item| item.get(DIRECTIVE).is_none()).collect();
    let mut rest = order.iter();
    for item in kept {
        if let (Key::Field(field), Value::Object(fields)) = (identity, item)
            && !fields.contains_key(field)
        {
            return Err(no_merge_key(fields, field));
        }
        if !rest.any(|o| identity.of(o) == identity.of(item)) {
            let (patch, order) = (Value::Array(patch.to_vec()), Value::Array(order.to_vec()));
            return Err(unexpected(&format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go::print(&patch),
                go::print(&order)
            )));
        }
    }
    Ok(())
}

/// A value of the patch that stands for itself: without nulls and directives. `None` when the value is
/// itself a directive.
fn plain(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => return None,
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(key, value)| !value.is_null() && !is_directive(key))
                .filter_map(|(key, value)| Some((key, plain(value)?)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().filter_map(plain).collect()),
        other => other,
    })
}

fn is_directive(key: &str) -> bool {
    key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

fn without(mut items: Vec<Value>, gone: &[Value]) -> Vec<Value> {
    items.retain(|item| !gone.contains(item));
    items
}

fn check_one_type(left: &[Value], right: &[Value]) -> Result<()> {
    let mut kinds = left.iter().chain(right).map(go::json_kind);
    let Some(first) = kinds.next() else { return Ok(()) };
    if first == "array" {
        let words = "the server rejected our request due to an error in our request";
        return Err(StatusError::new(Reason::Invalid, words));
    }
    if kinds.any(|kind| kind != first) {
        return Err(unexpected("list element types are not identical"));
    }
    Ok(())
}

fn require_merge_key(items: &[Value], by: &str) -> Result<()> {
    items.iter().try_for_each(|item| match item {
        Value::Object(fields) if fields.contains_key(by) => Ok(()),
        Value::Object(fields) => Err(no_merge_key(fields, by)),
        other => Err(wrong_type(other)),
    })
}

fn no_merge_key(fields: &Fields, by: &str) -> StatusError {
    let map = go::print(&Value::Object(fields.clone()));
    unexpected(&format!("map: {map} does not contain declared merge key: {by}"))
}

fn bad_directive(directive: &Value, fields: &Fields) -> StatusError {
    let map = go::print(&Value::Object(fields.clone()));
    unexpected(&format!("unknown patch type: {} in map: {map}", go::print(directive)))
}

fn wrong_type(found: &Value) -> StatusError {
    unexpected(&format!("expected a []interface {{}}, but received a {}", go::type_name(found)))
}

/// Upstream has no code for these refusals: they leave the server as a bare 500.
fn unexpected(words: &str) -> StatusError {
    StatusError::new(Reason::Unknown, words)
}

#[cfg(test)]
mod tests;
