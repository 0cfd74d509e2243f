//! Whether a value fulfils its schema (`kube-openapi/pkg/validation/validate`, with the ratcheting of
//! `apiserver/validation/ratcheting.go`): what was wrong already and has not changed is let pass.

use super::{
    formats,
    node::{Additional, Node, Type},
    old,
};
use crate::{FieldError, FieldErrors, Path, field::Fault};
use serde_json::{Map, Value};

/// Judges a value at a path against its schema. `old` is what stood there before, in an update.
pub(super) fn check(path: &Path, schema: &Node, value: &Value, old: Option<&Value>) -> FieldErrors {
    let mut out = Vec::new();
    node(&At { prefix: path.as_str(), path: "" }, schema, value, old, &mut out);
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

    /// A fault of a whole alternative: upstream knows no path for it.
    fn composite(&self, words: impl std::fmt::Display) -> FieldError {
        let path = if self.prefix.is_empty() { Path::default() } else { Path::new(self.prefix) };
        FieldError::invalid(&path, "", format!("{:?} {words}", self.path))
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

fn node(at: &At<'_>, schema: &Node, value: &Value, old: Option<&Value>, out: &mut FieldErrors) {
    let before = out.len();
    if value.is_null() {
        null(at, schema, out);
    } else {
        check_type(at, schema, value, out);
        alternatives(at, schema, value, out);
        match value {
            Value::String(text) => string(at, schema, value, text, out),
            Value::Number(number) => check_number(at, schema, value, number.as_f64().unwrap_or_default(), out),
            Value::Array(items) => array(at, schema, value, items, old, out),
            _ => {}
        }
        allowed(at, schema, value, out);
        if let Value::Object(map) = value {
            object(at, schema, value, map, old, out);
        }
    }
    if out.len() > before && old == Some(value) {
        out.truncate(before);
    }
}

fn null(at: &At<'_>, schema: &Node, out: &mut FieldErrors) {
    if schema.nullable {
        return;
    }
    let words = type_words(schema);
    if !words.is_empty() {
        out.push(type_fault(at, &words, "null"));
    }
    allowed(at, schema, &Value::Null, out);
}

fn type_words(schema: &Node) -> String {
    if schema.int_or_string { "integer,string".into() } else { schema.ty.word().into() }
}

fn type_fault(at: &At<'_>, expected: &str, found: &str) -> FieldError {
    let words = at.says(format_args!("must be of type {expected}: {found:?}"));
    let mut fault = FieldError::invalid(&at.full(), found, words);
    fault.fault = Fault::TypeInvalid;
    fault
}

/// The JSON type of a value as schemas name it.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) {
    let integral = value.as_f64().is_some_and(|n| n.fract() == 0.0);
    let fits = match (schema.int_or_string, schema.ty) {
        (true, _) => value.is_string() || (value.is_number() && integral),
        (_, Type::Any) => true,
        (_, Type::Object) => value.is_object(),
        (_, Type::Array) => value.is_array(),
        (_, Type::String) => value.is_string(),
        (_, Type::Integer) => value.is_number() && integral,
        (_, Type::Number) => value.is_number(),
        (_, Type::Boolean) => value.is_boolean(),
    };
    if !fits {
        out.push(type_fault(at, &type_words(schema), found(value)));
    }
}

/// `allOf`, `anyOf`, `oneOf` and `not`.
fn alternatives(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) {
    let judge = |schema: &Node| {
        let mut faults = Vec::new();
        node(at, schema, value, None, &mut faults);
        faults
    };
    let rules = &schema.rules;
    if !rules.any_of.is_empty() {
        let mut results = rules.any_of.iter().map(judge);
        let first = results.next().unwrap_or_default();
        if !first.is_empty() && !results.any(|faults| faults.is_empty()) {
            out.push(at.composite("must validate at least one schema (anyOf)"));
            out.extend(first);
        }
    }
    if !rules.one_of.is_empty() {
        let mut results: Vec<FieldErrors> = rules.one_of.iter().map(judge).collect();
        match results.iter().filter(|faults| faults.is_empty()).count() {
            1 => {}
            0 => {
                out.push(at.composite("must validate one and only one schema (oneOf). Found none valid"));
                out.append(&mut results.swap_remove(0));
            }
            many => {
                let words = "must validate one and only one schema (oneOf). Found";
                out.push(at.composite(format_args!("{words} {many} valid alternatives")));
            }
        }
    }
    if !rules.all_of.is_empty() {
        let results: Vec<FieldErrors> = rules.all_of.iter().map(judge).collect();
        let valid = results.iter().filter(|faults| faults.is_empty()).count();
        let total = results.len();
        out.extend(results.into_iter().flatten());
        if valid < total {
            let none = if valid == 0 { ". None validated" } else { "" };
            out.push(at.composite(format_args!("must validate all the schemas (allOf){none}")));
        }
    }
    if rules.not.as_deref().is_some_and(|not| judge(not).is_empty()) {
        out.push(at.composite("must not validate the schema (not)"));
    }
}

fn string(at: &At<'_>, schema: &Node, value: &Value, text: &str, out: &mut FieldErrors) {
    let rules = &schema.rules;
    let length = text.chars().count() as i64;
    if let Some(max) = rules.max_length.filter(|max| length > *max) {
        out.push(FieldError::too_long(&at.full(), usize::try_from(max).unwrap_or_default()));
    }
    if let Some(min) = rules.min_length.filter(|min| length < *min) {
        out.push(at.invalid(value, format_args!("should be at least {min} chars long")));
    }
    if let Some((pattern, compiled)) = &rules.pattern
        && compiled.as_ref().is_some_and(|regex| !regex.is_match(text))
    {
        out.push(at.invalid(value, format_args!("should match '{pattern}'")));
    }
    let checked = matches!(schema.ty, Type::String | Type::Any) && !schema.int_or_string;
    if checked && !formats::fits(&rules.format, text) {
        let words = at.says(format_args!("must be of type {}: {text:?}", rules.format));
        let mut fault = FieldError::invalid(&at.full(), text, words);
        fault.fault = Fault::TypeInvalid;
        out.push(fault);
    }
}

fn check_number(at: &At<'_>, schema: &Node, value: &Value, number: f64, out: &mut FieldErrors) {
    let rules = &schema.rules;
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
    let whole = match &*rules.format {
        "int32" => Some(number.fract() == 0.0 && number.abs() <= f64::from(i32::MAX) + 1.0),
        "int64" => Some(number.fract() == 0.0),
        _ => None,
    };
    if whole == Some(false) && schema.ty != Type::Any {
        let words = at.says(format_args!("must be of type {}: \"number\"", rules.format));
        out.push(FieldError::invalid(&at.full(), value.clone(), words));
    }
}

fn array(at: &At<'_>, schema: &Node, value: &Value, items: &[Value], old: Option<&Value>, out: &mut FieldErrors) {
    if let Some(inner) = &schema.items {
        for (i, item) in items.iter().enumerate() {
            let old = old::item(schema, item, old);
            at.below(&format!("[{i}]"), |at| node(at, inner, item, old, out));
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
) {
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
                at.below(name, |at| node(at, inner, value, old, out));
            }
            (None, Additional::Any(false)) => {
                out.push(at.invalid(&Value::from(""), format_args!("is a forbidden property: {name:?}")));
            }
            _ => {}
        }
    }
}
