//! The walk of a value along a schema.

use super::DecodeError;
use crate::{
    key::Name,
    quantity,
    schema::{self, Fields, Scalar, Schema, Shape},
    time,
};
use serde_json::{Map, Value};
use std::{borrow::Cow, cmp::Ordering, fmt::Write, sync::Arc};

/// What [`conform`] took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conformed {
    /// Paths of the fields that the schema does not know, such as `spec.containers[0].foo`, in the order of the
    /// fields' names.
    pub unknown: Vec<String>,
}

impl Conformed {
    /// Whether the path leads into a field that the schema does not know.
    pub(super) fn is_below_unknown(&self, path: &str) -> bool {
        self.unknown.iter().any(|unknown| {
            path.strip_prefix(&**unknown).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}

/// Makes the value fit the schema: unknown fields are removed and reported, nulls removed where null is no value,
/// empty values where they are no values either, quantities and times brought into canonical form. The first value of a
/// wrong type is the error; the value is then half done and must be thrown away. Missing fields are no matter of this walk.
///
/// What is empty goes where it would not outlive the Go types of Kubernetes (`omitempty`): `tolerations: []`,
/// `nodeSelector: {}`, `value: ""`, `hostNetwork: false`. Clients written in Go never send it back, and what they read,
/// change and write must not differ elsewhere.
pub fn conform(value: &mut Value, schema: &Schema) -> Result<Conformed, DecodeError> {
    walk(value, schema, false)
}

/// The same for a configuration that is applied: what is empty stays, because its manager owns it.
pub fn conform_applied(value: &mut Value, schema: &Schema) -> Result<Conformed, DecodeError> {
    walk(value, schema, true)
}

fn walk(value: &mut Value, schema: &Schema, keeps_empty: bool) -> Result<Conformed, DecodeError> {
    let mut walk = Walk { conformed: Conformed::default(), mismatch: None, keeps_empty };
    walk.value(value, schema, &At::ROOT)?;
    match walk.mismatch {
        Some(error) => Err(error),
        None => Ok(walk.conformed),
    }
}

/// A place in the value: a list from the innermost step outwards, kept on the stack.
struct At<'a> {
    outer: Option<&'a At<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Root,
    /// A field of an object.
    Field(&'a str, &'a Fields),
    /// A key of a map: Go's type errors do not show it.
    Key(&'a str),
    /// An index of a list: Go's type errors do not show it.
    Index(usize),
}

struct Walk {
    conformed: Conformed,
    /// Go remembers the first type error and decodes on: a malformed content found later wins over it.
    mismatch: Option<DecodeError>,
    keeps_empty: bool,
}

impl Walk {
    fn value(&mut self, value: &mut Value, schema: &Schema, at: &At<'_>) -> Result<(), DecodeError> {
        match (&schema.shape, &mut *value) {
            (_, Value::Null) if schema.nullable => Ok(()),
            (Shape::Any, _) => Ok(()),
            (Shape::Ref(name), _) => match schema::builtin(name) {
                Some(schema) => self.value(value, &schema, at),
                None => Ok(()),
            },
            (Shape::Object(fields), Value::Object(map)) => self.object(map, fields, at),
            (Shape::Map { values, .. }, Value::Object(map)) => {
                map.iter_mut().try_for_each(|(key, value)| self.item(value, values, &at.then(Step::Key(key))))
            }
            (Shape::List(list), Value::Array(items)) => items
                .iter_mut()
                .enumerate()
                .try_for_each(|(i, item)| self.item(item, &list.items, &at.then(Step::Index(i)))),
            (Shape::Scalar(scalar), _) => self.scalar(value, *scalar, schema, at),
            _ => {
                self.mismatch(value, schema, at);
                Ok(())
            }
        }
    }

    fn object(&mut self, map: &mut Map<String, Value>, fields: &Fields, at: &At<'_>) -> Result<(), DecodeError> {
        let mut result = Ok(());
        let mut known = InOrder { fields, rest: fields.properties.iter(), next: None };
        map.retain(|name, value| {
            if result.is_err() {
                return true;
            }
            let Some(schema) = known.find(name) else {
                if !fields.preserve_unknown {
                    self.conformed.unknown.push(at.then(Step::Field(name, fields)).path());
                }
                return fields.preserve_unknown;
            };
            if value.is_null() && !schema.nullable {
                return false;
            }
            result = self.value(value, schema, &at.then(Step::Field(name, fields)));
            self.keeps_empty || !schema.omit_empty || !is_empty(value)
        });
        result
    }

    /// An item of a list or a value of a map: a null stands for the type's zero value.
    fn item(&mut self, value: &mut Value, schema: &Schema, at: &At<'_>) -> Result<(), DecodeError> {
        if value.is_null() && !schema.nullable {
            *value = zero(schema);
            return Ok(());
        }
        self.value(value, schema, at)
    }

    fn scalar(&mut self, value: &mut Value, scalar: Scalar, schema: &Schema, at: &At<'_>) -> Result<(), DecodeError> {
        match (scalar, &mut *value) {
            (Scalar::String, Value::String(_)) | (Scalar::Boolean, Value::Bool(_)) => {}
            (Scalar::IntOrString, Value::String(_)) | (Scalar::Number, Value::Number(_)) => {}
            (Scalar::Int64, Value::Number(number)) if number.is_i64() => {}
            (Scalar::Int32 | Scalar::IntOrString, Value::Number(number))
                if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            (Scalar::Bytes, Value::String(text)) => self.bytes(text),
            (Scalar::Quantity, found) => canonicalise_quantity(found)?,
            (Scalar::Time, Value::String(text)) => time::canonical(text).map_err(DecodeError::Content)?,
            (Scalar::MicroTime, Value::String(text)) => time::canonical_micro(text).map_err(DecodeError::Content)?,
            // These types decode themselves, so Go's decoder cannot name the field and does not go on.
            (Scalar::Time | Scalar::MicroTime, found) => return Err(mismatch_of(found, "Go value".into(), "string")),
            (Scalar::IntOrString, found) => return Err(mismatch_of(found, "Go value".into(), "int32")),
            _ => self.mismatch(value, schema, at),
        }
        Ok(())
    }

    fn bytes(&mut self, text: &mut String) {
        if text.contains(['\r', '\n']) {
            text.retain(|c| !matches!(c, '\r' | '\n'));
        }
        if let Some(at) = first_bad_base64(text.as_bytes()) {
            let error = DecodeError::Content(format!("illegal base64 data at input byte {at}"));
            self.mismatch.get_or_insert(error);
        }
    }

    fn mismatch(&mut self, value: &Value, schema: &Schema, at: &At<'_>) {
        if self.mismatch.is_none() {
            self.mismatch = Some(mismatch_of(value, at.go_place(), &at.go_type(schema)));
        }
    }
}

/// Finds the schemas of fields that are asked for in the order of their names, as an object's map yields them,
/// in one walk over the known fields. Fields in another order are looked up.
struct InOrder<'s> {
    fields: &'s Fields,
    rest: std::collections::btree_map::Iter<'s, Name, Arc<Schema>>,
    next: Option<(&'s str, &'s Schema)>,
}

impl<'s> InOrder<'s> {
    fn find(&mut self, name: &str) -> Option<&'s Schema> {
        loop {
            match self.next.map(|(known, schema)| (known.cmp(name), schema)) {
                Some((Ordering::Equal, schema)) => return Some(schema),
                Some((Ordering::Greater, _)) => return self.fields.properties.get(name).map(|schema| &**schema),
                Some((Ordering::Less, _)) | None => match self.rest.next() {
                    Some((known, schema)) => self.next = Some((known, schema)),
                    None => return self.fields.properties.get(name).map(|schema| &**schema),
                },
            }
        }
    }
}

impl<'a> At<'a> {
    const ROOT: At<'static> = At { outer: None, step: Step::Root };

    fn then<'b>(&'b self, step: Step<'b>) -> At<'b>
    where
        'a: 'b,
    {
        At { outer: Some(self), step }
    }

    fn steps(&self) -> Vec<&Step<'a>> {
        let mut steps: Vec<&Step<'a>> = std::iter::successors(Some(self), |at| at.outer).map(|at| &at.step).collect();
        steps.reverse();
        steps
    }

    /// `spec.containers[0].foo`
    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps() {
            let dot = if path.is_empty() { "" } else { "." };
            let _ = match step {
                Step::Root => Ok(()),
                Step::Field(name, _) | Step::Key(name) => write!(path, "{dot}{name}"),
                Step::Index(i) => write!(path, "[{i}]"),
            };
        }
        path
    }

    /// `Go struct field Container.spec.containers.image`
    fn go_place(&self) -> String {
        let Some((_, of)) = self.field() else { return "Go value".into() };
        let name = |step: &Step<'a>| if let Step::Field(name, _) = step { Some(*name) } else { None };
        let names: Vec<&str> = self.steps().into_iter().filter_map(name).collect();
        format!("Go struct field {}.{}", of.type_name, names.join("."))
    }

    /// The Go type that the innermost field, or an item of it, has.
    fn go_type(&self, schema: &Schema) -> String {
        let fact = self.field().and_then(|(name, of)| schema::facts::of(&of.definition, name)?.go_type);
        match (&schema.shape, fact) {
            (Shape::List(_), Some(list)) => list.to_owned(),
            (Shape::Scalar(Scalar::String), Some(name)) => name.strip_prefix("[]").unwrap_or(name).to_owned(),
            _ => go_type(schema),
        }
    }

    /// The innermost field with the object that has it.
    fn field(&self) -> Option<(&'a str, &'a Fields)> {
        self.steps().into_iter().rev().find_map(|step| match step {
            Step::Field(name, of) => Some((*name, *of)),
            _ => None,
        })
    }
}

fn mismatch_of(value: &Value, place: String, expected: &str) -> DecodeError {
    let numeric = expected.starts_with("int") || expected.starts_with("float");
    let found = match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if numeric => format!("number {number}"),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    };
    DecodeError::Type { found, place, expected: expected.into() }
}

/// The Go type behind a schema as its error messages print it.
fn go_type(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Any | Shape::Ref(_) => "interface {}".into(),
        Shape::Object(fields) => {
            let package = fields.definition.rsplit('.').nth(1).unwrap_or_default();
            if package.is_empty() { fields.type_name.to_string() } else { format!("{package}.{}", fields.type_name) }
        }
        Shape::Map { values, .. } => match values.shape {
            Shape::Scalar(Scalar::Quantity) => "v1.ResourceList".into(),
            _ => format!("map[string]{}", go_type(values)),
        },
        Shape::List(list) => format!("[]{}", go_type(&list.items)),
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Bytes => "[]uint8",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Number => "float64",
            Scalar::Boolean => "bool",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::Quantity => "resource.Quantity",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
        }
        .into(),
    }
}

/// Go's zero value, and lists and maps without items.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn zero(schema: &Schema) -> Value {
    match &schema.shape {
        Shape::Any | Shape::Ref(_) | Shape::Map { .. } | Shape::List(_) => Value::Null,
        Shape::Object(_) => Value::Object(Map::new()),
        Shape::Scalar(scalar) => match scalar {
            Scalar::String | Scalar::Bytes => Value::from(""),
            Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString => Value::from(0),
            Scalar::Boolean => Value::Bool(false),
            Scalar::Quantity => Value::from("0"),
            Scalar::Time | Scalar::MicroTime => Value::Null,
        },
    }
}

fn canonicalise_quantity(value: &mut Value) -> Result<(), DecodeError> {
    let form = match &*value {
        Value::String(text) => match quantity::canonical(text.trim()) {
            Ok(Cow::Borrowed(same)) if same.len() == text.len() => return Ok(()),
            form => form.map(Cow::into_owned),
        },
        other => quantity::canonical(&other.to_string()).map(Cow::into_owned),
    };
    *value = Value::String(form.map_err(|e| DecodeError::Content(e.to_string()))?);
    Ok(())
}

/// The offset of the first byte that is no standard padded base64, as Go counts it.
fn first_bad_base64(text: &[u8]) -> Option<usize> {
    let body = text.iter().position(|&c| c == b'=').unwrap_or(text.len());
    let valid = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
    if let Some(at) = text.iter().take(body).position(|c| !valid(c)) {
        return Some(at);
    }
    let padding = text.len() - body;
    let fits = match body % 4 {
        0 => padding == 0,
        2 => padding == 2,
        3 => padding == 1,
        _ => false,
    };
    match fits && text.iter().skip(body).all(|&c| c == b'=') {
        true => None,
        false => Some(if padding == 0 { text.len() - text.len() % 4 } else { body }),
    }
}
