//! A message from JSON. Absent and null fields are not written; Go reads them as their zero.

use super::{
    scalar, schema_or,
    table::{Count, Field, INLINE, Message, Type, message as at},
    wire::Writer,
};
use serde_json::{Map, Value};

/// A value does not fit the type of its field: the object was never conformed to its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field:?} does not fit its protobuf type")]
pub struct EncodeError {
    /// JSON name of the field.
    pub field: &'static str,
}

/// Writes the fields of a message by ascending number.
pub(super) fn message(out: &mut Writer, message: &Message, object: &Map<String, Value>) -> Result<(), EncodeError> {
    for field in &message.fields {
        match (field.kind, object.get(field.name)) {
            (Type::Message(place), None) if field.name == INLINE => {
                out.nested(field.number, |out| self::message(out, at(place), object))?;
            }
            (_, None | Some(Value::Null)) => {}
            (_, Some(value)) => counted(out, field, value)?,
        }
    }
    Ok(())
}

fn counted(out: &mut Writer, field: &Field, content: &Value) -> Result<(), EncodeError> {
    match (field.count, content) {
        (Count::One | Count::Optional, single) => value(out, field, field.number, single),
        (Count::Many, Value::Array(list)) => list.iter().try_for_each(|item| value(out, field, field.number, item)),
        (Count::Map, Value::Object(map)) => map.iter().try_for_each(|(key, item)| {
            out.nested(field.number, |out| {
                out.bytes(1, key.as_bytes());
                value(out, field, 2, item)
            })
        }),
        _ => Err(EncodeError { field: field.name }),
    }
}

fn value(out: &mut Writer, field: &Field, number: u32, value: &Value) -> Result<(), EncodeError> {
    let misfit = EncodeError { field: field.name };
    match (field.kind, value) {
        (Type::Json, value) => out.nested(number, |out| {
            out.bytes(1, value.to_string().as_bytes());
            Ok(())
        }),
        // An item or a map's value cannot be left out: it is written as the zero of its type.
        (_, Value::Null) => {
            match scalar::is_varint(field.kind) {
                true => out.varint(number, 0),
                false => out.bytes(number, &[]),
            }
            Ok(())
        }
        (Type::Message(place), Value::Object(object)) => out.nested(number, |out| message(out, at(place), object)),
        (Type::Message(_), _) => Err(misfit),
        (Type::Strings, Value::Array(list)) => out.nested(number, |out| {
            list.iter().try_for_each(|item| {
                out.bytes(1, item.as_str().ok_or(misfit)?.as_bytes());
                Ok(())
            })
        }),
        (Type::Strings, _) => Err(misfit),
        (Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings, value) => {
            schema_or::encode(out, field, number, value)
        }
        (_, value) => scalar::encode(out, field, number, value),
    }
}
