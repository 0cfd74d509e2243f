//! The types that are one value in JSON: numbers, texts, times, quantities.

use super::{
    DecodeError, EncodeError,
    table::{Field, Type},
    wire::{Reader, Wire, Writer},
};
use crate::time;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde_json::{Number, Value};

/// The largest whole number that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One value of a type that is no message in JSON.
pub(super) fn decode(field: &Field, wire: Wire<'_>) -> Result<Value, DecodeError> {
    Ok(match field.kind {
        Type::Bool => Value::Bool(varint(field, wire)? != 0),
        Type::Int32 => Value::from(varint(field, wire)? as i32),
        Type::Int64 => Value::from(varint(field, wire)? as i64),
        Type::Double => match wire {
            Wire::Fixed64(bits) => double(f64::from_bits(bits)),
            _ => return Err(wrong(field, wire)),
        },
        Type::Bytes => {
            let bytes = ByteString(bytes(field, wire)?.to_vec());
            serde_json::to_value(bytes).map_err(|e| DecodeError::Json(e.to_string()))?
        }
        Type::Quantity => match text(field, Wire::Bytes(raw_or_empty(field, wire)?))? {
            "" => Value::from("0"),
            text => Value::from(text),
        },
        Type::IntOrString => int_or_string(field, bytes(field, wire)?)?,
        Type::Time | Type::MicroTime => timestamp(field, bytes(field, wire)?)?,
        _ => Value::from(text(field, wire)?),
    })
}

/// Writes one value of a type that is no message in JSON.
pub(super) fn encode(out: &mut Writer, field: &Field, number: u32, value: &Value) -> Result<(), EncodeError> {
    let misfit = || EncodeError { field: field.name };
    let text = || value.as_str().ok_or_else(misfit);
    match field.kind {
        Type::Bool => out.varint(number, value.as_bool().ok_or_else(misfit)?.into()),
        Type::Int32 | Type::Int64 => out.varint(number, value.as_i64().ok_or_else(misfit)? as u64),
        Type::Double => out.double(number, value.as_f64().ok_or_else(misfit)?),
        Type::Bytes => {
            let bytes: ByteString = serde_json::from_value(value.clone()).map_err(|_| misfit())?;
            out.bytes(number, &bytes.0);
        }
        Type::Quantity => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return out.nested(number, |out| {
                out.bytes(1, text.as_bytes());
                Ok(())
            });
        }
        Type::IntOrString => {
            let (kind, int, text) = match value {
                Value::String(text) => (1, 0, &**text),
                other => (0, other.as_i64().ok_or_else(misfit)?, ""),
            };
            return out.nested(number, |out| {
                out.varint(1, kind);
                out.varint(2, int as u64);
                out.bytes(3, text.as_bytes());
                Ok(())
            });
        }
        Type::Time | Type::MicroTime => {
            let time = time::read(value).ok_or_else(misfit)?;
            let nanos = if field.kind == Type::Time { 0 } else { time.subsec_nanosecond() };
            let (seconds, nanos) =
                if nanos < 0 { (time.as_second() - 1, nanos + 1_000_000_000) } else { (time.as_second(), nanos) };
            return out.nested(number, |out| {
                out.varint(1, seconds as u64);
                out.varint(2, nanos as u64);
                Ok(())
            });
        }
        _ => out.bytes(number, text()?.as_bytes()),
    }
    Ok(())
}

/// What Go's `omitempty` leaves out.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(_) => false,
    }
}

/// Whether values of the type are varints.
pub(super) fn is_varint(kind: Type) -> bool {
    matches!(kind, Type::Bool | Type::Int32 | Type::Int64)
}

/// The bytes of a field that is bytes, text or a message.
pub(super) fn bytes<'a>(field: &Field, wire: Wire<'a>) -> Result<&'a [u8], DecodeError> {
    match wire {
        Wire::Bytes(bytes) => Ok(bytes),
        other => Err(wrong(field, other)),
    }
}

/// The text of a field.
pub(super) fn text<'a>(field: &Field, wire: Wire<'a>) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes(field, wire)?).map_err(|_| DecodeError::Utf8(field.name))
}

/// The bytes in a message that has them alone, as its field 1.
pub(super) fn raw<'a>(field: &Field, message: &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(message);
    while let Some((number, wire)) = reader.field()? {
        if number == 1 {
            raw = bytes(field, wire)?;
        }
    }
    Ok(raw)
}

/// The number of a field.
pub(super) fn varint(field: &Field, wire: Wire<'_>) -> Result<u64, DecodeError> {
    match wire {
        Wire::Varint(value) => Ok(value),
        other => Err(wrong(field, other)),
    }
}

fn wrong(field: &Field, wire: Wire<'_>) -> DecodeError {
    DecodeError::WireType { field: field.name, wire: wire.kind() }
}

fn raw_or_empty<'a>(field: &Field, wire: Wire<'a>) -> Result<&'a [u8], DecodeError> {
    raw(field, bytes(field, wire)?)
}

/// JSON writes whole doubles without a point, and has no word for what is no number.
fn double(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < EXACT {
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn int_or_string(field: &Field, message: &[u8]) -> Result<Value, DecodeError> {
    let (mut is_text, mut int, mut string) = (false, 0, "");
    let mut reader = Reader::new(message);
    while let Some((number, wire)) = reader.field()? {
        match number {
            1 => is_text = varint(field, wire)? != 0,
            2 => int = varint(field, wire)? as i32,
            3 => string = text(field, wire)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::from(string) } else { Value::from(int) })
}

/// An empty message is Go's zero time, which JSON writes as null.
fn timestamp(field: &Field, message: &[u8]) -> Result<Value, DecodeError> {
    if message.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some((number, wire)) = reader.field()? {
        match number {
            1 => seconds = varint(field, wire)? as i64,
            2 => nanos = varint(field, wire)? as i32,
            _ => {}
        }
    }
    if field.kind == Type::Time {
        nanos = 0;
    }
    let time = Timestamp::new(seconds, nanos).map_err(|_| DecodeError::Time(field.name))?;
    Ok(Value::from(if field.kind == Type::Time { time::format(time) } else { time::format_micro(time) }))
}
