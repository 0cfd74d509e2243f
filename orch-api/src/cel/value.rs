//! [`Value`]: what an expression computes with. JSON is read in place, along its declaration.

use super::{
    authorizer::Check,
    go,
    types::{Decl, Type},
};
use crate::schema::ListMerge;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};
use std::{borrow::Cow, cmp::Ordering, sync::Arc};

/// A value. Those that come from JSON borrow it.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is not negative.
    Uint(u64),
    /// A number.
    Double(f64),
    /// A text.
    String(Cow<'a, str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A moment.
    Timestamp(Timestamp),
    /// A span of time.
    Duration(SignedDuration),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Entries<'a>),
    /// A type, by name.
    Type(Arc<str>),
    /// A value or none.
    Optional(Option<Box<Value<'a>>>),
    /// A value of one of Kubernetes' libraries.
    Opaque(Opaque),
    /// A step of an authorization check.
    Check(Arc<Check>),
    /// An object whose fields are computed when they are asked for.
    Lazy(Lazy<'a>),
    /// An error that a later operand may make irrelevant; never a result.
    Pending(Box<super::EvalError>),
}

/// A value of one of Kubernetes' libraries (a quantity, an address, …).
#[derive(Clone, Debug)]
pub struct Opaque(pub(super) kube_cel::cel::Value);

/// The items of a list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// In JSON.
    Json(&'a [Json], Option<&'a Decl>),
    /// Computed.
    Made(Arc<Vec<Value<'a>>>),
}

/// The entries of a map.
#[derive(Clone, Debug)]
pub enum Entries<'a> {
    /// In JSON.
    Json(&'a Map<String, Json>, Option<&'a Decl>),
    /// Computed.
    Made(Arc<Vec<(Value<'a>, Value<'a>)>>),
}

/// Fields that are computed when they are asked for, such as the `variables` of an admission policy.
pub trait Fields: Send + Sync {
    /// The value of a field, with what it cost; `None` where there is no such field.
    fn field(&self, name: &str) -> Option<Result<(Json, u64), super::EvalError>>;
}

/// A reference to [`Fields`].
#[derive(Clone, Copy)]
pub struct Lazy<'a>(pub &'a dyn Fields);

impl std::fmt::Debug for Lazy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lazy")
    }
}

impl<'a> Value<'a> {
    /// JSON as a declaration reads it.
    pub fn from_json(json: &'a Json, decl: Option<&'a Decl>) -> Self {
        match (json, decl.map(|d| &d.ty)) {
            (Json::Null, _) => Self::Null,
            (Json::Bool(truth), _) => Self::Bool(*truth),
            (Json::Number(n), Some(Type::Double)) => Self::Double(n.as_f64().unwrap_or_default()),
            (Json::Number(n), ty) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(n), ..) => Self::Int(n),
                (None, Some(n), _) => Self::Uint(n),
                (.., Some(n)) if matches!(ty, Some(Type::Int)) => Self::Int(n as i64),
                (.., n) => Self::Double(n.unwrap_or_default()),
            },
            (Json::String(text), Some(Type::Timestamp)) => {
                read_time(text).map_or_else(|| Self::String(text.into()), Self::Timestamp)
            }
            (Json::String(text), Some(Type::Duration)) => {
                read_duration(text).map_or_else(|| Self::String(text.into()), Self::Duration)
            }
            (Json::String(text), Some(Type::Bytes)) => {
                base64(text).map_or_else(|| Self::String(text.into()), |bytes| Self::Bytes(bytes.into()))
            }
            (Json::String(text), _) => Self::String(Cow::Borrowed(text)),
            (Json::Array(items), _) => Self::List(List::Json(items, decl)),
            (Json::Object(map), _) => Self::Map(Entries::Json(map, decl)),
        }
    }

    /// JSON that nobody else holds. It is read without a declaration.
    pub fn owned(json: Json) -> Value<'a> {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(n) => match (n.as_i64(), n.as_u64()) {
                (Some(n), _) => Self::Int(n),
                (None, Some(n)) => Self::Uint(n),
                _ => Self::Double(n.as_f64().unwrap_or_default()),
            },
            Json::String(text) => Self::String(Cow::Owned(text)),
            Json::Array(items) => Self::list(items.into_iter().map(Self::owned).collect()),
            Json::Object(map) => {
                let entries = map.into_iter().map(|(k, v)| (Self::String(Cow::Owned(k)), Self::owned(v)));
                Self::Map(Entries::Made(Arc::new(entries.collect())))
            }
        }
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::String(Cow::Owned(text.into()))
    }

    pub(super) fn list(items: Vec<Value<'a>>) -> Self {
        Self::List(List::Made(Arc::new(items)))
    }

    pub(super) fn some(value: Self) -> Self {
        Self::Optional(Some(Box::new(value)))
    }

    /// The value as JSON; what JSON has no form for becomes text.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Optional(None) => Json::Null,
            Self::Bool(truth) => Json::Bool(*truth),
            Self::Int(n) => Json::from(*n),
            Self::Uint(n) => Json::from(*n),
            Self::Double(n) => Json::from(*n),
            Self::String(text) => Json::from(&**text),
            Self::Bytes(bytes) => Json::from(to_base64(bytes)),
            Self::Timestamp(at) => Json::from(write_time(*at)),
            Self::Duration(span) => Json::from(go::print(*span)),
            Self::List(List::Json(items, _)) => Json::from(items.to_vec()),
            Self::List(list) => Json::Array(list.iter().map(|item| item.to_json()).collect()),
            Self::Map(Entries::Json(map, _)) => Json::Object((*map).clone()),
            Self::Map(entries) => Json::Object(entries.iter().map(|(k, v)| (k.shown(), v.to_json())).collect()),
            Self::Type(name) => Json::from(&**name),
            Self::Optional(Some(inner)) => inner.to_json(),
            Self::Opaque(_) | Self::Check(_) | Self::Lazy(_) | Self::Pending(_) => Json::from(self.shown()),
        }
    }

    /// The truth, where it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The value as a key of a map or part of a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::String(text) => text.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Uint(n) => n.to_string(),
            Self::Double(n) => n.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Opaque(opaque) => format!("{:?}", opaque.0),
            Self::Check(check) => check.type_name().into(),
            Self::Lazy(_) => "variables".into(),
            Self::Pending(error) => error.to_string(),
            other => other.to_json().to_string(),
        }
    }

    /// The name of the type, as `type(x)` gives it.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) | Self::Lazy(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(_) => "kubernetes.Opaque",
            Self::Check(check) => check.type_name(),
            Self::Pending(_) => "error",
        }
    }

    /// The length as costs count it: 1 for what has no parts.
    pub(super) fn size(&self) -> u64 {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(entries) => entries.len(),
            _ => 1,
        };
        size as u64
    }

    /// Whether two values are equal; numbers of different kinds are where their values are.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.equals(b),
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, value)| b.get(&key).is_some_and(|other| other.equals(&value)))
            }
            (Self::Optional(a), Self::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Null, Self::Null) => true,
            (Self::Opaque(a), Self::Opaque(b)) => a.0 == b.0,
            (a, b) => a.compare(b) == Some(Ordering::Equal),
        }
    }

    /// The order of two values, where they have one.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Double(a), b) => a.partial_cmp(&b.number()?),
            (a, Self::Double(b)) => a.number()?.partial_cmp(b),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(*n as f64),
            Self::Uint(n) => Some(*n as f64),
            Self::Double(n) => Some(*n),
            _ => None,
        }
    }
}

impl<'a> List<'a> {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, i: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(items, decl) => items.get(i).map(|item| Value::from_json(item, elem(*decl))),
            Self::Made(items) => items.get(i).cloned(),
        }
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    fn merge(&self) -> Option<&'a ListMerge> {
        match self {
            Self::Json(_, Some(decl)) => Some(&decl.merge),
            _ => None,
        }
    }

    fn equals(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match self.merge().or(other.merge()) {
            Some(ListMerge::Set | ListMerge::Map(_)) => {
                self.iter().all(|item| other.iter().any(|other| other.equals(&item)))
            }
            _ => self.iter().zip(other.iter()).all(|(a, b)| a.equals(&b)),
        }
    }

    /// Both lists; of sets the union, and of maps those of the right by key in the place of those of the left
    /// (`apiserver/pkg/cel/common/values.go`).
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut all: Vec<Value<'a>> = self.iter().collect();
        match self.merge() {
            Some(ListMerge::Set) => {
                for item in other.iter() {
                    if !all.iter().any(|known| known.equals(&item)) {
                        all.push(item);
                    }
                }
            }
            Some(ListMerge::Map(keys)) => {
                let key = |item: &Value<'a>| -> Vec<Option<Value<'a>>> {
                    keys.iter().map(|key| if let Value::Map(map) = item { map.field(key) } else { None }).collect()
                };
                let same = |a: &[Option<Value<'a>>], b: &[Option<Value<'a>>]| {
                    a.iter().zip(b).all(|(a, b)| match (a, b) {
                        (Some(a), Some(b)) => a.equals(b),
                        (a, b) => a.is_none() && b.is_none(),
                    })
                };
                for item in other.iter() {
                    let wanted = key(&item);
                    match all.iter_mut().find(|known| same(&key(known), &wanted)) {
                        Some(known) => *known = item,
                        None => all.push(item),
                    }
                }
            }
            _ => all.extend(other.iter()),
        }
        Self::Made(Arc::new(all))
    }
}

impl<'a> Entries<'a> {
    /// Number of entries that expressions can see.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(map, _) => map.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Json(map, decl), Value::String(key)) => {
                map.get(&**key).map(|value| Value::from_json(value, decl.and_then(|d| of_field(d, key))))
            }
            (Self::Json(..), _) => None,
            (Self::Made(entries), key) => {
                entries.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value.clone())
            }
        }
    }

    /// The field of that name as expressions write it.
    pub(super) fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(map, Some(decl)) if matches!(decl.ty, Type::Object(_)) => {
                let field = decl.field(name)?;
                map.get(&field.json).map(|value| Value::from_json(value, Some(&field.decl)))
            }
            _ => self.get(&Value::String(Cow::Borrowed(name))),
        }
    }

    /// The entries.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Json(map, decl) => Box::new(map.iter().map(move |(key, value)| {
                let value = Value::from_json(value, decl.and_then(|d| of_field(d, key)));
                (Value::String(Cow::Borrowed(key.as_str())), value)
            })),
            Self::Made(entries) => Box::new(entries.iter().cloned()),
        }
    }
}

/// The declaration of the value of a key in JSON.
fn of_field<'a>(decl: &'a Decl, key: &str) -> Option<&'a Decl> {
    match &decl.ty {
        Type::Object(object) => object.fields.values().find(|field| field.json == key).map(|field| &*field.decl),
        _ => elem(Some(decl)),
    }
}

fn elem(decl: Option<&Decl>) -> Option<&Decl> {
    decl.and_then(|d| d.elem.as_deref())
}

/// RFC 3339, or a date alone.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

/// A moment as CEL prints it: with as many digits after the second as it has.
pub(super) fn write_time(at: Timestamp) -> String {
    at.to_string()
}

/// A span in Go's form, such as `1h30m`.
pub(super) fn read_duration(text: &str) -> Option<SignedDuration> {
    go::parse(text)
}

pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let quoted = serde_json::Value::from(text);
    serde_json::from_value::<k8s_openapi::ByteString>(quoted).ok().map(|bytes| bytes.0)
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    let value = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
