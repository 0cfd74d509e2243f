//! A message as JSON, in the form that Go's `encoding/json` would give it.

use super::{
    DecodeError,
    scalar::{self, is_zero},
    schema_or,
    table::{Count, Field, INLINE, Message, Type, message},
    wire::{Reader, Wire},
};
use crate::decode::MAX_DEPTH;
use serde_json::{Map, Value};

/// The most values that one object may have: what a request's 3 MiB of ordinary fields come to.
const MAX_VALUES: usize = 1 << 20;

/// Reads one object. Depth and number of values are bounded.
pub(super) struct Decoder {
    values: usize,
    depth: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { values: MAX_VALUES, depth: MAX_DEPTH }
    }

    /// Reads a message into an object; what stands there already is merged with, as protobuf wants it.
    pub(super) fn message(
        &mut self,
        message: &Message,
        bytes: &[u8],
        into: &mut Map<String, Value>,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.field()? {
            if let Some(field) = message.field(number) {
                self.field(field, wire, into)?;
            }
        }
        Ok(())
    }

    /// Runs `read` one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.depth = self.depth.checked_sub(1).ok_or(DecodeError::Depth)?;
        let result = read(self);
        self.depth += 1;
        result
    }

    fn field(&mut self, field: &Field, wire: Wire<'_>, into: &mut Map<String, Value>) -> Result<(), DecodeError> {
        match (field.count, field.kind) {
            (Count::One | Count::Optional, Type::Message(place)) => self.single(field, place, wire, into),
            (Count::One | Count::Optional, _) => {
                let value = self.value(field, wire)?;
                if value.is_null() || field.count == Count::One && field.omit_empty && is_zero(&value) {
                    into.remove(field.name);
                } else {
                    into.insert(field.name.to_owned(), value);
                }
                Ok(())
            }
            (Count::Many, _) => self.item(field, wire, into),
            (Count::Map, _) => self.entry(field, wire, into),
        }
    }

    fn single(
        &mut self,
        field: &Field,
        place: usize,
        wire: Wire<'_>,
        into: &mut Map<String, Value>,
    ) -> Result<(), DecodeError> {
        let bytes = scalar::bytes(field, wire)?;
        if field.name == INLINE {
            return self.deeper(|d| d.message(message(place), bytes, into));
        }
        self.count()?;
        let object = into.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(object) = object else { return Ok(()) };
        self.deeper(|d| d.message(message(place), bytes, object))
    }

    fn item(&mut self, field: &Field, wire: Wire<'_>, into: &mut Map<String, Value>) -> Result<(), DecodeError> {
        let list = into.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
        let Value::Array(list) = list else { return Ok(()) };
        match (field.kind, wire) {
            (Type::Int32 | Type::Int64 | Type::Bool, Wire::Bytes(packed)) => {
                let mut packed = Reader::new(packed);
                while let Some(number) = packed.packed()? {
                    list.push(self.value(field, Wire::Varint(number))?);
                }
            }
            _ => list.push(self.value(field, wire)?),
        }
        Ok(())
    }

    fn entry(&mut self, field: &Field, wire: Wire<'_>, into: &mut Map<String, Value>) -> Result<(), DecodeError> {
        let (mut key, mut content) = ("", None);
        let mut reader = Reader::new(scalar::bytes(field, wire)?);
        while let Some((number, wire)) = reader.field()? {
            match number {
                1 => key = scalar::text(field, wire)?,
                2 => content = Some(wire),
                _ => {}
            }
        }
        let zero = if scalar::is_varint(field.kind) { Wire::Varint(0) } else { Wire::Bytes(&[]) };
        let value = self.value(field, content.unwrap_or(zero))?;
        let map = into.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = map {
            map.insert(key.to_owned(), value);
        }
        Ok(())
    }

    /// One value of the field's type, whatever its count.
    fn value(&mut self, field: &Field, wire: Wire<'_>) -> Result<Value, DecodeError> {
        self.count()?;
        match field.kind {
            Type::Message(place) => {
                let bytes = scalar::bytes(field, wire)?;
                let mut object = Map::new();
                self.deeper(|d| d.message(message(place), bytes, &mut object))?;
                Ok(Value::Object(object))
            }
            Type::Json => {
                let raw = scalar::raw(field, scalar::bytes(field, wire)?)?;
                self.deeper(|d| super::envelope::embedded(d, raw))
            }
            Type::Strings => {
                let mut items = Vec::new();
                let mut reader = Reader::new(scalar::bytes(field, wire)?);
                while let Some((number, wire)) = reader.field()? {
                    if number == 1 {
                        self.count()?;
                        items.push(scalar::text(field, wire)?.into());
                    }
                }
                Ok(Value::Array(items))
            }
            Type::SchemaOrBool | Type::SchemaOrArray | Type::SchemaOrStrings => {
                let bytes = scalar::bytes(field, wire)?;
                self.deeper(|d| schema_or::decode(d, field, bytes))
            }
            _ => scalar::decode(field, wire),
        }
    }

    /// Counts a value against the limit.
    pub(super) fn count(&mut self) -> Result<(), DecodeError> {
        self.values = self.values.checked_sub(1).ok_or(DecodeError::Values)?;
        Ok(())
    }
}
