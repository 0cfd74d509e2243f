//! Types, formats, and what is asked of texts and numbers.

use super::At;
use crate::{
    FieldError, FieldErrors,
    crd::{
        formats,
        node::{Node, Type},
    },
    field::Fault,
};
use serde_json::{Number, Value};

/// The types that a schema takes.
pub(super) fn type_words(schema: &Node) -> &'static [&'static str] {
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
pub(super) fn format(schema: &Node) -> &str {
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

/// A value of another type than is wanted.
pub(super) fn type_fault(at: &At<'_>, expected: &str, found: &str) -> FieldError {
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
pub(super) fn check_type(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) -> u64 {
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

/// The first thing that is wrong with a text, and its format.
pub(super) fn string(at: &At<'_>, schema: &Node, value: &Value, text: &str, out: &mut FieldErrors) {
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

/// Everything that is wrong with a number.
pub(super) fn check_number(at: &At<'_>, schema: &Node, value: &Value, exact: &Number, out: &mut FieldErrors) {
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

/// Whether a value is one of an enumeration.
pub(super) fn allowed(at: &At<'_>, schema: &Node, value: &Value, out: &mut FieldErrors) {
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
