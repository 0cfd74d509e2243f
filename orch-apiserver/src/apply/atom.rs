//! What a value is to apply: a leaf, an associative list or a granular map.

use super::set::Step;
use orch_api::schema::{List, ListMerge, Scalar, Schema, Shape};
use serde_json::{Map, Value};

/// How a value takes part in ownership.
pub(super) enum Atom<'a> {
    /// One value: scalars, atomic lists and maps.
    Leaf,
    /// A list whose items have owners.
    List(&'a List),
    /// An object whose fields have owners; the schema says what lies under each.
    Map(&'a Schema),
}

/// The atom of a schema; where the schema allows anything, the value decides: maps are granular, lists
/// are not.
pub(super) fn atom<'a>(schema: &'a Schema, value: &Value) -> Atom<'a> {
    match &schema.shape {
        Shape::Object(fields) if fields.atomic => Atom::Leaf,
        Shape::Map { atomic: true, .. } => Atom::Leaf,
        Shape::Object(_) | Shape::Map { .. } if value.is_object() || value.is_null() => Atom::Map(schema),
        Shape::List(list) if list.merge != ListMerge::Atomic && (value.is_array() || value.is_null()) => {
            Atom::List(list)
        }
        Shape::Any if value.is_object() => Atom::Map(schema),
        _ => Atom::Leaf,
    }
}

/// Whether the schema names the field, rather than the value being free to have it.
pub(super) fn declares(schema: &Schema, field: &str) -> bool {
    matches!(&schema.shape, Shape::Object(fields) if fields.properties.contains_key(field))
}

/// How the item of a list is found again.
///
/// # Errors
///
/// Why the item has no identity, in upstream's words.
pub(super) fn item_step(list: &List, item: &Value) -> Result<Step, String> {
    let keys = match &list.merge {
        ListMerge::Map(keys) => keys,
        _ => return scalar_step(item),
    };
    let fields = match item {
        Value::Null => return Err("associative list with keys may not have a null element".into()),
        Value::Object(fields) => fields,
        _ => return Err("associative list with keys may not have non-map elements".into()),
    };
    let held = crate::patch::shape::resolve(&list.items);
    let mut found: Vec<(Box<str>, Value)> = keys
        .iter()
        .filter_map(|key| {
            let value = fields.get(&**key).or_else(|| key_default(&held, key))?;
            Some(((&**key).into(), value.clone()))
        })
        .collect();
    if found.is_empty() {
        let words: Vec<String> = keys.iter().map(|k| format!("{k:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            words.join(" ")
        ));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Step::Key(found.into()))
}

fn key_default<'a>(items: &'a Schema, key: &str) -> Option<&'a Value> {
    match &items.shape {
        Shape::Object(fields) => fields.properties.get(key)?.default.as_ref(),
        _ => None,
    }
}

fn scalar_step(item: &Value) -> Result<Step, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
        scalar => Ok(Step::Value(scalar.clone())),
    }
}

/// The items of a list with their identities; items without one are left out.
pub(super) fn items<'a>(list: &List, value: Option<&'a Value>) -> Vec<(Step, &'a Value)> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| Some((item_step(list, item).ok()?, item))).collect()
}

/// The fields of an object; none where the value is no object.
pub(super) fn fields(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object).filter(|fields| !fields.is_empty())
}

/// What a value is called in a refusal that expected something else.
pub(super) fn misfit(schema: &Schema, value: &Value) -> Option<&'static str> {
    let fits = match (&schema.shape, value) {
        (_, Value::Null) | (Shape::Any | Shape::Ref(_), _) => true,
        (Shape::Object(_) | Shape::Map { .. }, value) => value.is_object(),
        (Shape::List(_), value) => value.is_array(),
        (Shape::Scalar(scalar), value) => match scalar {
            Scalar::String | Scalar::Bytes | Scalar::Time | Scalar::MicroTime => value.is_string(),
            Scalar::Int32 | Scalar::Int64 | Scalar::Number => value.is_number(),
            Scalar::Boolean => value.is_boolean(),
            Scalar::IntOrString | Scalar::Quantity => value.is_string() || value.is_number(),
        },
    };
    if fits {
        return None;
    }
    Some(match &schema.shape {
        Shape::Object(_) | Shape::Map { .. } => "map",
        Shape::List(_) => "list",
        Shape::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Number) => "numeric (int or float)",
        Shape::Scalar(Scalar::Boolean) => "boolean",
        Shape::Scalar(Scalar::IntOrString | Scalar::Quantity) => "any scalar",
        _ => "string",
    })
}
