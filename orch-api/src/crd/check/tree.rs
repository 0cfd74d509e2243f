//! Small hands for schemas in JSON.

use serde_json::Value;

/// A part that is there.
pub(super) fn get<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    schema.get(field).filter(|value| !value.is_null())
}

/// The text of a part.
pub(super) fn text<'a>(schema: &'a Value, field: &str) -> &'a str {
    get(schema, field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a part is true.
pub(super) fn flag(schema: &Value, field: &str) -> bool {
    get(schema, field).and_then(Value::as_bool).unwrap_or_default()
}

/// The items of a part that is a list.
pub(super) fn items<'a>(schema: &'a Value, field: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    get(schema, field).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// The entries of a part that is an object, such as `properties`.
pub(super) fn entries<'a>(schema: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    get(schema, field).and_then(Value::as_object).into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A part that is an object.
pub(super) fn object<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    get(schema, field).filter(|value| value.is_object())
}

/// Whether a part is there and says something.
pub(super) fn has(schema: &Value, field: &str) -> bool {
    match get(schema, field) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

/// Whether the schema, or one below it, fulfils a condition.
pub(super) fn any(schema: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    let below = |field: &str| object(schema, field).is_some_and(|inner| any(inner, test));
    test(schema)
        || ["items", "additionalProperties", "not"].into_iter().any(below)
        || ["properties", "patternProperties", "definitions"]
            .into_iter()
            .any(|field| entries(schema, field).any(|(_, inner)| any(inner, test)))
        || ["allOf", "anyOf", "oneOf"].into_iter().any(|field| items(schema, field).any(|(_, inner)| any(inner, test)))
}
