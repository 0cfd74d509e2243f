//! The types of CustomResourceDefinitions that are a schema or something simpler:
//! `JSONSchemaPropsOrBool{allows, schema}`, `…OrArray{schema, jSONSchemas}`, `…OrStringArray{schema, property}`.

use super::{
    DecodeError, EncodeError,
    decode::Decoder,
    encode as message, scalar,
    table::{self, Field, Type},
    wire::{Reader, Wire, Writer},
};
use serde_json::{Map, Value};

const SCHEMA: &str = "apiextensions.v1.JSONSchemaProps";

/// Reads the schema where there is one, else what stands in its place.
pub(super) fn decode(decoder: &mut Decoder, field: &Field, bytes: &[u8]) -> Result<Value, DecodeError> {
    let (mut schema, mut list, mut allows) = (None, Vec::new(), false);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        decoder.count()?;
        match (field.kind, number) {
            (Type::SchemaOrBool, 1) => allows = scalar::varint(field, wire)? != 0,
            (Type::SchemaOrBool, 2) | (_, 1) => schema = Some(props(decoder, field, wire)?),
            (Type::SchemaOrArray, 2) => list.push(props(decoder, field, wire)?),
            (Type::SchemaOrStrings, 2) => list.push(scalar::text(field, wire)?.into()),
            _ => {}
        }
    }
    Ok(match (schema, field.kind) {
        (Some(schema), _) => schema,
        (None, Type::SchemaOrBool) => Value::Bool(allows),
        (None, _) => Value::Array(list),
    })
}

/// Writes a schema, or what stands in its place.
pub(super) fn encode(out: &mut Writer, field: &Field, number: u32, value: &Value) -> Result<(), EncodeError> {
    let misfit = EncodeError { field: field.name };
    out.nested(number, |out| match (field.kind, value) {
        (Type::SchemaOrBool, Value::Bool(allows)) => {
            out.varint(1, (*allows).into());
            Ok(())
        }
        (Type::SchemaOrBool, Value::Object(schema)) => {
            out.varint(1, 1);
            out.nested(2, |out| write(out, schema))
        }
        (_, Value::Object(schema)) => out.nested(1, |out| write(out, schema)),
        (Type::SchemaOrArray, Value::Array(list)) => list.iter().try_for_each(|item| match item {
            Value::Object(schema) => out.nested(2, |out| write(out, schema)),
            _ => Err(misfit),
        }),
        (Type::SchemaOrStrings, Value::Array(list)) => list.iter().try_for_each(|item| {
            out.bytes(2, item.as_str().ok_or(misfit)?.as_bytes());
            Ok(())
        }),
        _ => Err(misfit),
    })
}

fn props(decoder: &mut Decoder, field: &Field, wire: Wire<'_>) -> Result<Value, DecodeError> {
    let bytes = scalar::bytes(field, wire)?;
    let mut object = Map::new();
    if let Some(message) = table::named(SCHEMA) {
        decoder.deeper(|d| d.message(message, bytes, &mut object))?;
    }
    Ok(Value::Object(object))
}

fn write(out: &mut Writer, schema: &Map<String, Value>) -> Result<(), EncodeError> {
    table::named(SCHEMA).map_or(Ok(()), |message| message::message(out, message, schema))
}
