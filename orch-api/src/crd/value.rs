//! Whether a value fulfils its schema (`kube-openapi/pkg/validation/validate`, with the ratcheting of
//! `apiserver/validation/ratcheting.go`): what was wrong already and has not changed is let pass.

use super::{
    formats,
    node::{Additional, Node, Type},
    old,
};
use crate::{FieldError, FieldErrors, Path, field::Fault};
use serde_json::{Map, Number, Value};
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

/// A place: the path of the whole value, which messages do not show, and the path within it.
#[derive(Clone, Copy)]
struct At<'a> {
    prefix: &'a str,
    path: &'a str,
}

impl At<'_> {
    fn full(&self) -> Path {
        match (self.prefix, self.path) {
            ("", path) => Path::new(path),
            (prefix, "") => Path::new(prefix),
            (prefix, path) => Path::new(prefix).child(path),
        }
    }

    fn says(&self, words: impl std::fmt::Display) -> String {
        format!("{} in body {words}", self.path)
    }

    fn invalid(&self, value: &Value, words: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(&self.full(), value.clone(), self.says(words))
    }

    /// The path of the whole value, for faults that upstream knows no other of.
    fn root(&self) -> Path {
        if self.prefix.is_empty() { Path::default() } else { Path::new(self.prefix) }
    }

    /// A fault of a whole alternative.
    fn composite(&self, words: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(&self.root(), "", format!("{:?} {words}", self.path))
    }

    fn below<R>(&self, step: &str, inner: impl FnOnce(&At<'_>) -> R) -> R {
        let path = match (self.path, step.starts_with('[')) {
            ("", _) => step.to_owned(),
            (path, true) => format!("{path}{step}"),
            (path, false) => format!("{path}.{step}"),
        };
        inner(&At { prefix: self.prefix, path: &path })
    }
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

fn type_words(schema: &Node) -> &'static [&'static str] {
    match schema.ty {
        _ if schema.int_or_string => &["integer", "string"],
        Type::Any => &[],
        Type::Object => &["object"],
        Type::Array => &["array"],
        Type::String => &["string"],
        Type::Integer => &["integer"],
        Type::Number => &["number"],
        Type::Boolean => &["boolean"],
    }
}

/// The format that a schema asks for, where its type has that format at all.
fn format(schema: &Node) -> &str {
    let format = &*schema.rules.format;
    let counts = match schema.ty {
        _ if schema.int_or_string => formats::is_known(format),
        Type::Any | Type::String => formats::is_known(format),
        Type::Integer => matches!(format, "int32" | "int64"),
        Type::Number => matches!(format, "float" | "double"),
        Type::Object | Type::Array | Type::Boolean => false,
    };
    if counts { format } else { "" }
}

fn type_fault(at: &At<'_>, expected: &str, found: &str) -> FieldError {
    let words = at.says(format_args!("must be of type {expected}: {found:?}"));
    let mut fault = FieldError::invalid(&at.full(), found, words);
    fault.fault = Fault::TypeInvalid;
    fault
}

/// The type and the format of a value as it was read.
fn found(value: &Value) -> (&'static str, &'static str) {
    match value {
        Value::Null => ("null", ""),
        Value::Bool(_) => ("boolean", ""),
        Value::Number(n) if n.is_i64() => ("integer", "int64"),
        Value::Number(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    }
}

/// Whether a value has its type. A text or list where a format is wanted is for the format to judge.
fn check_type(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) -> u64 {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    let (wanted, format) = (type_words(schema), format(schema));
    if wanted.is_empty() && format.is_empty() {
        return 0;
    }
    let (kind, own) = found(value);
    let wants = |word: &str| wanted.contains(&word);
    let whole = value.as_f64().is_some_and(|n| n.fract() == 0.0 && n.abs() <= LARGEST);
    let number = (kind == "number" && whole && wants("integer")) || (kind == "integer" && wants("number"));
    let of_format = matches!(value, Value::String(_) | Value::Array(_));
    let fits = wants(kind) || number;
    if !of_format && !format.is_empty() && !fits && format != own {
        out.push(type_fault(at, format, own));
        return 1;
    }
    let judged_by_format = of_format && !format.is_empty() && !wants("number") && !wants("integer");
    if !judged_by_format && !fits {
        out.push(type_fault(at, &wanted.join(","), kind));
        return 1;
    }
    2
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

/// The first thing that is wrong with a text, and its format.
fn string(at: &At<'_>, schema: &Node, value: &Value, text: &str, out: &mut FieldErrors) {
    let rules = &schema.rules;
    let length = text.chars().count() as i64;
    if let Some(max) = rules.max_length.filter(|max| length > *max) {
        out.push(FieldError::too_long(&at.full(), usize::try_from(max).unwrap_or_default()));
    } else if let Some(min) = rules.min_length.filter(|min| length < *min) {
        out.push(at.invalid(value, format_args!("should be at least {min} chars long")));
    } else if let Some((pattern, compiled)) = &rules.pattern
        && compiled.as_ref().is_some_and(|regex| !regex.is_match(text))
    {
        out.push(at.invalid(value, format_args!("should match '{pattern}'")));
    }
    let format = format(schema);
    if !formats::fits(format, text) {
        let words = at.says(format_args!("must be of type {format}: {text:?}"));
        let mut fault = FieldError::invalid(&at.full(), text, words);
        fault.fault = Fault::TypeInvalid;
        out.push(fault);
    }
}

fn check_number(at: &At<'_>, schema: &Node, value: &Value, exact: &Number, out: &mut FieldErrors) {
    let rules = &schema.rules;
    let number = exact.as_f64().unwrap_or_default();
    let format = format(schema);
    let in_range = match (schema.ty, format) {
        (Type::Integer, "int32") => i32::try_from(number as i64).is_ok() && number.fract() == 0.0,
        (Type::Integer, _) => exact.is_i64() || (number.fract() == 0.0 && number.abs() < i64::MAX as f64),
        (Type::Number, "float") => number.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    if !in_range && !schema.int_or_string {
        let form = if format.is_empty() { "(default format)".into() } else { format!("with format {format}") };
        let words = format!("Checked value must be of type {} {form} in {}", schema.ty.word(), at.path);
        out.push(FieldError::invalid(&at.root(), "", words));
    }
    if let Some(of) = rules.multiple_of.filter(|of| *of > 0.0 && (number / of).fract().abs() > 1e-9) {
        out.push(at.invalid(value, format_args!("should be a multiple of {of}")));
    }
    match rules.maximum {
        Some((max, true)) if number >= max => {
            out.push(at.invalid(value, format_args!("should be less than {max}")));
        }
        Some((max, false)) if number > max => {
            out.push(at.invalid(value, format_args!("should be less than or equal to {max}")));
        }
        _ => {}
    }
    match rules.minimum {
        Some((min, true)) if number <= min => {
            out.push(at.invalid(value, format_args!("should be greater than {min}")));
        }
        Some((min, false)) if number < min => {
            out.push(at.invalid(value, format_args!("should be greater than or equal to {min}")));
        }
        _ => {}
    }
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

fn allowed(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) {
    let allowed = &schema.rules.allowed;
    if allowed.is_empty() || allowed.iter().any(|known| same(known, value)) {
        return;
    }
    let words: Vec<String> =
        allowed.iter().map(|known| known.as_str().map_or_else(|| known.to_string(), str::to_owned)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    out.push(FieldError::not_supported(&at.full(), value.clone(), &words));
}

/// Numbers are equal by value, whether they are written as whole ones or not.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a, b), (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64())
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
