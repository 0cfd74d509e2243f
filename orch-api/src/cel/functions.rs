//! The functions of CEL's standard library; those of Kubernetes' libraries are kube-cel's ([`super::library`]).

use super::{
    EvalError, go, library, lists,
    value::{Entries, Value, read_time, write_time},
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use std::{cmp::Ordering, sync::Arc};

type Result<T, E = EvalError> = std::result::Result<T, E>;

/// Calls a function. The target of a method is its first argument.
pub(super) fn call<'a>(function: &str, method: bool, args: &[Value<'a>]) -> Result<Value<'a>> {
    if let Some(Value::Check(check)) = args.first().filter(|_| method) {
        return authorization(check, function, args);
    }
    match (function, args) {
        ("_==_", [a, b]) => Ok(Value::Bool(a.equals(b))),
        ("_!=_", [a, b]) => Ok(Value::Bool(!a.equals(b))),
        ("_<_", [a, b]) => compare(a, b, Ordering::is_lt),
        ("_<=_", [a, b]) => compare(a, b, Ordering::is_le),
        ("_>_", [a, b]) => compare(a, b, Ordering::is_gt),
        ("_>=_", [a, b]) => compare(a, b, Ordering::is_ge),
        ("!_", [Value::Bool(truth)]) => Ok(Value::Bool(!truth)),
        ("-_", [Value::Int(n)]) => n.checked_neg().map(Value::Int).ok_or_else(|| message("integer overflow")),
        ("-_", [Value::Double(n)]) => Ok(Value::Double(-n)),
        ("_+_" | "_-_" | "_*_" | "_/_" | "_%_", [a, b]) => arithmetic(function, a, b),
        ("@in", [item, Value::List(list)]) => Ok(Value::Bool(list.iter().any(|known| known.equals(item)))),
        ("@in", [key, Value::Map(map)]) => Ok(Value::Bool(map.get(key).is_some())),
        ("size", [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))]) => {
            Ok(Value::Int(value.size() as i64))
        }
        ("contains", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.contains(&**part))),
        ("startsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
        ("endsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
        ("matches", [Value::String(text), Value::String(pattern)]) => library::matches(text, pattern).map(Value::Bool),
        ("type", [value]) => Ok(Value::Type(value.type_name().into())),
        ("dyn", [value]) => Ok(value.clone()),
        ("bool" | "bytes" | "double" | "int" | "uint" | "string" | "timestamp" | "duration", [value]) => {
            convert(function, value)
        }
        ("cel.@mapInsert", [Value::Map(map), more @ ..]) => insert(map, more),
        ("optional.of", [value]) => Ok(Value::some(value.clone())),
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(if is_zero(value) { Value::Optional(None) } else { Value::some(value.clone()) })
        }
        ("hasValue", [Value::Optional(inner)]) => Ok(Value::Bool(inner.is_some())),
        ("value", [Value::Optional(inner)]) => {
            inner.as_deref().cloned().ok_or_else(|| message("optional.none() dereference"))
        }
        ("optional.unwrap" | "unwrapOpt", [Value::List(list)]) => {
            let inner = list.iter().filter_map(|item| if let Value::Optional(inner) = item { inner } else { None });
            Ok(Value::list(inner.map(|inner| *inner).collect()))
        }
        (accessor, [Value::Timestamp(at), zone @ ..]) if method && accessor.starts_with("get") => {
            time_part(accessor, *at, zone)
        }
        (accessor, [Value::Duration(span)]) if method && accessor.starts_with("get") => span_part(accessor, *span),
        _ => match lists::call(function, args) {
            Some(result) => result,
            None => library::call(function, method, args),
        },
    }
}

pub(super) fn message(words: impl Into<String>) -> EvalError {
    EvalError::Message(words.into())
}

fn authorization<'a>(check: &super::Check, function: &str, args: &[Value<'a>]) -> Result<Value<'a>> {
    if let super::Check::Decision(decision) = check {
        return match function {
            "allowed" => Ok(Value::Bool(decision.allowed)),
            "reason" => Ok(Value::text(&*decision.reason)),
            "errored" => Ok(Value::Bool(!decision.error.is_empty())),
            "error" => Ok(Value::text(&*decision.error)),
            _ => Err(EvalError::no_overload()),
        };
    }
    let words: Vec<&str> = args.iter().skip(1).filter_map(Value::as_str).collect();
    check.then(function, &words).map(|next| Value::Check(Arc::new(next))).ok_or_else(EvalError::no_overload)
}

fn compare<'a>(a: &Value<'a>, b: &Value<'a>, holds: fn(Ordering) -> bool) -> Result<Value<'a>> {
    match (a, b, a.compare(b)) {
        (.., Some(order)) => Ok(Value::Bool(holds(order))),
        // A number that is none compares with nothing.
        (Value::Double(_), ..) | (_, Value::Double(_), _) => Ok(Value::Bool(false)),
        _ => Err(EvalError::no_overload()),
    }
}

fn arithmetic<'a>(operator: &str, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
    let signed = |n: Option<i64>| n.map(Value::Int).ok_or_else(|| message("integer overflow"));
    let unsigned = |n: Option<u64>| n.map(Value::Uint).ok_or_else(|| message("unsigned integer overflow"));
    match (operator, a, b) {
        ("_/_", Value::Int(_), Value::Int(0)) | ("_/_", Value::Uint(_), Value::Uint(0)) => {
            Err(message("division by zero"))
        }
        ("_%_", Value::Int(_), Value::Int(0)) | ("_%_", Value::Uint(_), Value::Uint(0)) => {
            Err(message("modulus by zero"))
        }
        (_, Value::Int(a), Value::Int(b)) => signed(match operator {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            "_*_" => a.checked_mul(*b),
            "_/_" => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }),
        (_, Value::Uint(a), Value::Uint(b)) => unsigned(match operator {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            "_*_" => a.checked_mul(*b),
            "_/_" => a.checked_div(*b),
            _ => a.checked_rem(*b),
        }),
        ("_+_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a + b)),
        ("_-_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a - b)),
        ("_*_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a * b)),
        ("_/_", Value::Double(a), Value::Double(b)) => Ok(Value::Double(a / b)),
        ("_+_", Value::String(a), Value::String(b)) => Ok(Value::text(format!("{a}{b}"))),
        ("_+_", Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([&a[..], &b[..]].concat().into())),
        ("_+_", Value::List(a), Value::List(b)) => Ok(Value::List(a.plus(b))),
        _ => time_arithmetic(operator, a, b),
    }
}

fn time_arithmetic<'a>(operator: &str, a: &Value<'a>, b: &Value<'a>) -> Result<Value<'a>> {
    let moment =
        |at: Result<Timestamp, jiff::Error>| at.map(Value::Timestamp).map_err(|_| message("timestamp overflow"));
    let span = |d: Option<SignedDuration>| d.map(Value::Duration).ok_or_else(|| message("duration overflow"));
    match (operator, a, b) {
        ("_+_", Value::Timestamp(at), Value::Duration(d)) | ("_+_", Value::Duration(d), Value::Timestamp(at)) => {
            moment(at.checked_add(*d))
        }
        ("_-_", Value::Timestamp(at), Value::Duration(d)) => moment(at.checked_sub(*d)),
        ("_-_", Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.duration_since(*b))),
        ("_+_", Value::Duration(a), Value::Duration(b)) => span(a.checked_add(*b)),
        ("_-_", Value::Duration(a), Value::Duration(b)) => span(a.checked_sub(*b)),
        _ => Err(EvalError::no_overload()),
    }
}

fn convert<'a>(to: &str, value: &Value<'a>) -> Result<Value<'a>> {
    let fails = || message(format!("type conversion error from '{}' to '{to}'", value.type_name()));
    let range = || message("range error");
    Ok(match (to, value) {
        ("bool", Value::Bool(_))
        | ("bytes", Value::Bytes(_))
        | ("double", Value::Double(_))
        | ("int", Value::Int(_))
        | ("uint", Value::Uint(_))
        | ("string", Value::String(_))
        | ("timestamp", Value::Timestamp(_))
        | ("duration", Value::Duration(_)) => value.clone(),
        ("bool", Value::String(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::Bool(false),
            _ => return Err(fails()),
        },
        ("bytes", Value::String(text)) => Value::Bytes(text.as_bytes().into()),
        ("double", Value::Int(n)) => Value::Double(*n as f64),
        ("double", Value::Uint(n)) => Value::Double(*n as f64),
        ("double", Value::String(text)) => Value::Double(text.parse().map_err(|_| fails())?),
        ("int", Value::Uint(n)) => Value::Int(i64::try_from(*n).map_err(|_| range())?),
        ("int", Value::Double(n)) if n.abs() < 9.2e18 => Value::Int(*n as i64),
        ("int" | "uint", Value::Double(n)) if *n >= 0.0 && *n < 1.8e19 && to == "uint" => Value::Uint(*n as u64),
        ("int" | "uint", Value::Double(_)) => return Err(range()),
        ("int", Value::String(text)) => Value::Int(text.parse().map_err(|_| fails())?),
        ("int", Value::Timestamp(at)) => Value::Int(at.as_second()),
        ("int", Value::Duration(span)) => Value::Int(i64::try_from(span.as_nanos()).map_err(|_| range())?),
        ("uint", Value::Int(n)) => Value::Uint(u64::try_from(*n).map_err(|_| range())?),
        ("uint", Value::String(text)) => Value::Uint(text.parse().map_err(|_| fails())?),
        ("string", Value::Bytes(bytes)) => Value::text(
            std::str::from_utf8(bytes).map_err(|_| message("invalid UTF-8 in bytes, cannot convert to string"))?,
        ),
        ("string", Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_)) => Value::text(value.shown()),
        ("string", Value::Timestamp(at)) => Value::text(write_time(*at)),
        ("string", Value::Duration(span)) => Value::text(go::print(*span)),
        ("string", Value::Opaque(_)) => return library::call("string", false, std::slice::from_ref(value)),
        ("timestamp", Value::String(text)) => Value::Timestamp(read_time(text).ok_or_else(fails)?),
        ("timestamp", Value::Int(n)) => Value::Timestamp(Timestamp::from_second(*n).map_err(|_| range())?),
        ("duration", Value::String(text)) => Value::Duration(go::parse(text).ok_or_else(fails)?),
        ("duration", Value::Int(n)) => Value::Duration(SignedDuration::from_nanos(*n)),
        _ => return Err(EvalError::no_overload()),
    })
}

fn insert<'a>(map: &Entries<'a>, more: &[Value<'a>]) -> Result<Value<'a>> {
    let mut all: Vec<(Value<'a>, Value<'a>)> = map.iter().collect();
    let added: Vec<(Value<'a>, Value<'a>)> = match more {
        [key, value] => vec![(key.clone(), value.clone())],
        [Value::Map(entries)] => entries.iter().collect(),
        _ => return Err(EvalError::no_overload()),
    };
    for (key, value) in added {
        if all.iter().any(|(known, _)| known.equals(&key)) {
            return Err(message(format!("insert failed: key {} already exists", key.shown())));
        }
        all.push((key, value));
    }
    Ok(Value::Map(Entries::Made(Arc::new(all))))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(truth) => !truth,
        Value::Int(n) => *n == 0,
        Value::Uint(n) => *n == 0,
        Value::Double(n) => *n == 0.0,
        Value::Duration(span) => span.is_zero(),
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => value.size() == 0,
        _ => false,
    }
}

/// A part of a moment, in UTC or in the zone of the argument (a name, or an offset such as `-02:00`).
fn time_part<'a>(accessor: &str, at: Timestamp, zone: &[Value<'a>]) -> Result<Value<'a>> {
    let zone = match zone {
        [] => TimeZone::UTC,
        [Value::String(name)] => time_zone(name).ok_or_else(|| message(format!("unknown time zone {name}")))?,
        _ => return Err(EvalError::no_overload()),
    };
    let local = at.to_zoned(zone).datetime();
    let part = match accessor {
        "getFullYear" => i64::from(local.year()),
        "getMonth" => i64::from(local.month()) - 1,
        "getDayOfYear" => i64::from(local.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(local.day()) - 1,
        "getDate" => i64::from(local.day()),
        "getDayOfWeek" => i64::from(local.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(local.hour()),
        "getMinutes" => i64::from(local.minute()),
        "getSeconds" => i64::from(local.second()),
        "getMilliseconds" => i64::from(local.millisecond()),
        _ => return Err(EvalError::no_overload()),
    };
    Ok(Value::Int(part))
}

fn time_zone(name: &str) -> Option<TimeZone> {
    if matches!(name, "UTC" | "") {
        return Some(TimeZone::UTC);
    }
    let (sign, rest) = match name.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, name.strip_prefix('+').unwrap_or(name)),
    };
    match rest.split_once(':') {
        Some((hours, minutes)) => {
            let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
            jiff::tz::Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
        }
        None => TimeZone::get(name).ok(),
    }
}

fn span_part<'a>(accessor: &str, span: SignedDuration) -> Result<Value<'a>> {
    Ok(Value::Int(match accessor {
        "getHours" => span.as_hours(),
        "getMinutes" => span.as_mins(),
        "getSeconds" => span.as_secs(),
        "getMilliseconds" => i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
        _ => return Err(EvalError::no_overload()),
    }))
}
