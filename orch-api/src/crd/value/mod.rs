//! Whether a value fulfils its schema (`kube-openapi/pkg/validation/validate`, with the ratcheting of
//! `apiserver/validation/ratcheting.go`): what was wrong already and has not changed is let pass.

mod at;
mod scalar;

use super::{
    formats,
    node::{Additional, Node},
    old,
};
use crate::{FieldError, FieldErrors, Path};
use at::At;
use scalar::{allowed, check_number, check_type, format, string, type_fault, type_words};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Judges a value at a path against its schema. `old` is what stood there before, in an update.
pub(super) fn check(path: &Path, schema: &Node, value: &Value, old: Option<&Value>) -> FieldErrors {
    let mut out = Vec::new();
    node(&At { prefix: path.as_str(), path: "" }, schema, value, old, &mut out);
    // Alternatives may say the same; once is enough.
    let mut said = HashSet::new();
    out.retain(|fault| said.insert(fault.to_string()));
    out
}

/// Judges a value; the result says how many checks it went through. Of a value that has not changed nothing is said.
fn node(at: &At<'_>, schema: &Node, value: &Value, old: Option<&Value>, out: &mut FieldErrors) -> u64 {
    let before = out.len();
    let checks = parts(at, schema, value, old, out);
    if out.len() > before && old == Some(value) {
        out.truncate(before);
    }
    checks
}

/// Every part of a schema, one after the other. A part counts once when it was looked at, and some once more.
fn parts(at: &At<'_>, schema: &Node, value: &Value, old: Option<&Value>, out: &mut FieldErrors) -> u64 {
    if value.is_null() {
        null(at, schema, out);
        return 0;
    }
    let mut checks = 1 + check_type(at, schema, value, out);
    checks += 2 + alternatives(at, schema, value, old, out);
    match value {
        Value::String(text) => {
            checks += 1 + u64::from(formats::is_known(format(schema)));
            string(at, schema, value, text, out);
        }
        Value::Number(number) => {
            checks += 2;
            check_number(at, schema, value, number, out);
        }
        Value::Array(items) => checks += 2 + array(at, schema, items, value, old, out),
        _ => {}
    }
    checks += 1;
    allowed(at, schema, value, out);
    if let Value::Object(map) = value {
        checks += 1 + object(at, schema, value, map, old, out);
    }
    checks
}

fn null(at: &At<'_>, schema: &Node, out: &mut FieldErrors) {
    let words = type_words(schema).join(",");
    if !schema.nullable && !words.is_empty() {
        out.push(type_fault(at, &words, "null"));
    }
    if !schema.nullable {
        allowed(at, schema, &Value::Null, out);
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`. Where no alternative fits, the one that got furthest says why.
fn alternatives(at: &At<'_>, schema: &Node, value: &Value, old: Option<&Value>, out: &mut FieldErrors) -> u64 {
    let rules = &schema.rules;
    if rules.any_of.is_empty() && rules.one_of.is_empty() && rules.all_of.is_empty() && rules.not.is_none() {
        return 0;
    }
    let judge = |schema: &Node| {
        let mut faults = Vec::new();
        let checks = parts(at, schema, value, old, &mut faults);
        (faults, checks)
    };
    let mut checks = 0;
    if !rules.any_of.is_empty() {
        let mut best: Option<(FieldErrors, u64)> = None;
        for result in rules.any_of.iter().map(judge) {
            let fits = result.0.is_empty();
            if fits || best.as_ref().is_none_or(|best| result.1 > best.1) {
                best = Some(result);
            }
            if fits {
                break;
            }
        }
        let (faults, done) = best.unwrap_or_default();
        if !faults.is_empty() {
            out.push(at.composite("must validate at least one schema (anyOf)"));
        }
        out.extend(faults);
        checks += done;
    }
    if !rules.one_of.is_empty() {
        let results: Vec<(FieldErrors, u64)> = rules.one_of.iter().map(judge).collect();
        let words = "must validate one and only one schema (oneOf). Found";
        match results.iter().filter(|(faults, _)| faults.is_empty()).count() {
            0 => {
                out.push(at.composite(format_args!("{words} none valid")));
                let best = results.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
                let (faults, done) = best.unwrap_or_default();
                out.extend(faults);
                checks += done;
            }
            1 => checks += results.iter().find(|(faults, _)| faults.is_empty()).map_or(0, |(_, done)| *done),
            many => out.push(at.composite(format_args!("{words} {many} valid alternatives"))),
        }
    }
    if !rules.all_of.is_empty() {
        let results: Vec<(FieldErrors, u64)> = rules.all_of.iter().map(judge).collect();
        let valid = results.iter().filter(|(faults, _)| faults.is_empty()).count();
        let total = results.len();
        for (faults, done) in results {
            out.extend(faults);
            checks += done;
        }
        if valid < total {
            let none = if valid == 0 { ". None validated" } else { "" };
            out.push(at.composite(format_args!("must validate all the schemas (allOf){none}")));
        }
    }
    if rules.not.as_deref().is_some_and(|not| judge(not).0.is_empty()) {
        out.push(at.composite("must not validate the schema (not)"));
    }
    checks
}

fn array(
    at: &At<'_>,
    schema: &Node,
    items: &[Value],
    value: &Value,
    old: Option<&Value>,
    out: &mut FieldErrors,
) -> u64 {
    let mut checks = 0;
    if let Some(inner) = &schema.items {
        for (i, item) in items.iter().enumerate() {
            let old = old::item(schema, item, old);
            checks += at.below(&format!("[{i}]"), |at| node(at, inner, item, old, out));
        }
    }
    let (rules, length) = (&schema.rules, items.len() as i64);
    if let Some(min) = rules.min_items.filter(|min| length < *min) {
        out.push(at.invalid(&Value::from(length), format_args!("should have at least {min} items")));
    }
    if let Some(max) = rules.max_items.filter(|max| length > *max) {
        out.push(FieldError::too_many(&at.full(), items.len(), usize::try_from(max).unwrap_or_default()));
    }
    if rules.unique_items && items.iter().enumerate().any(|(i, item)| items.iter().skip(i + 1).any(|o| o == item)) {
        out.push(at.invalid(value, "shouldn't contain duplicates"));
    }
    checks
}

fn object(
    at: &At<'_>,
    schema: &Node,
    value: &Value,
    map: &Map<String, Value>,
    old: Option<&Value>,
    out: &mut FieldErrors,
) -> u64 {
    let mut checks = 0;
    let (rules, length) = (&schema.rules, map.len() as i64);
    if let Some(min) = rules.min_properties.filter(|min| length < *min) {
        out.push(at.invalid(value, format_args!("should have at least {min} properties")));
    }
    if let Some(max) = rules.max_properties.filter(|max| length > *max) {
        out.push(FieldError::too_many(&at.full(), map.len(), usize::try_from(max).unwrap_or_default()));
    }
    for name in rules.required.iter().filter(|name| !map.contains_key(*name)) {
        at.below(name, |at| out.push(FieldError::required(&at.full(), "")));
    }
    for (name, value) in map {
        // Kind and version are never let pass: old and new are always of the same.
        let old = match at.path.is_empty() && matches!(&**name, "apiVersion" | "kind") {
            true => None,
            false => old::field(schema, name, old),
        };
        match (schema.properties.get(name), &schema.additional) {
            (Some(inner), _) | (None, Additional::Schema(inner)) => {
                checks += at.below(name, |at| node(at, inner, value, old, out));
            }
            (None, Additional::Any(false)) => {
                out.push(at.invalid(&Value::from(""), format_args!("is a forbidden property: {name:?}")));
            }
            _ => {}
        }
    }
    checks
}
