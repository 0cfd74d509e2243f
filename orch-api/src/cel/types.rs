//! [`Type`]: what the checker knows of a value, and [`Decl`]: a type with the bounds of its values, from which JSON is
//! read and costs are estimated (`apiserver/pkg/cel/types.go`).

use crate::schema::ListMerge;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The type of an expression.
#[derive(Clone, Debug)]
pub enum Type {
    /// Not known before evaluation.
    Dyn,
    /// `null`
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// A moment.
    Timestamp,
    /// A span of time.
    Duration,
    /// A type as a value.
    Type,
    /// A list of items of a type.
    List(Arc<Type>),
    /// A map from keys to values.
    Map(Arc<Type>, Arc<Type>),
    /// A value or none.
    Optional(Arc<Type>),
    /// An object with known fields.
    Object(Arc<Object>),
    /// A type of a library, such as `kubernetes.Quantity`.
    Opaque(&'static str),
    /// Stands for any type in a signature.
    Param(u32),
}

/// An object with known fields.
#[derive(Debug, Default)]
pub struct Object {
    /// The name that errors show.
    pub name: String,
    /// The fields by the names that expressions use.
    pub fields: BTreeMap<String, Field>,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in JSON.
    pub json: String,
    /// Its type.
    pub decl: Arc<Decl>,
}

/// A type with the bounds of its values.
#[derive(Clone, Debug)]
pub struct Decl {
    /// The type.
    pub ty: Type,
    /// The greatest length of a text, list or map.
    pub max: u64,
    /// The least number of bytes in JSON.
    pub min_size: u64,
    /// The items of a list or the values of a map.
    pub elem: Option<Arc<Decl>>,
    /// How the items of a list are told apart; equality and `+` follow it.
    pub merge: ListMerge,
}

impl Decl {
    /// Values of a type without bounds.
    pub fn of(ty: Type) -> Self {
        let elem = match &ty {
            Type::List(item) => Some(Arc::new(Self::of(Type::clone(item)))),
            Type::Map(_, value) => Some(Arc::new(Self::of(Type::clone(value)))),
            _ => None,
        };
        Self { ty, max: u64::MAX, min_size: 0, elem, merge: ListMerge::Atomic }
    }

    /// Anything.
    pub fn dynamic() -> Self {
        Self::of(Type::Dyn)
    }

    /// A list of these items.
    pub fn list(item: Self) -> Self {
        let ty = Type::List(Arc::new(item.ty.clone()));
        Self { ty, max: u64::MAX, min_size: 2, elem: Some(Arc::new(item)), merge: ListMerge::Atomic }
    }

    /// A map from text to these values.
    pub fn map(value: Self) -> Self {
        let ty = Type::Map(Arc::new(Type::String), Arc::new(value.ty.clone()));
        Self { ty, max: u64::MAX, min_size: 2, elem: Some(Arc::new(value)), merge: ListMerge::Atomic }
    }

    /// An object of these fields, whose names in JSON are those of the expressions.
    pub fn object(name: &str, fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        let fields = fields
            .into_iter()
            .map(|(field, decl)| (field.to_owned(), Field { json: field.to_owned(), decl: Arc::new(decl) }));
        Self::of(Type::Object(Arc::new(Object { name: name.to_owned(), fields: fields.collect() })))
    }

    /// The field of that name, as expressions write it.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match &self.ty {
            Type::Object(object) => object.fields.get(name),
            _ => None,
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a == b,
            (Self::Map(a, b), Self::Map(c, d)) => a == c && b == d,
            (Self::Object(a), Self::Object(b)) => Arc::ptr_eq(a, b),
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            (Self::Param(a), Self::Param(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b) && a.is_plain(),
        }
    }
}

impl Type {
    /// Whether the type has no parts.
    fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::List(_) | Self::Map(..) | Self::Optional(_) | Self::Object(_) | Self::Opaque(_) | Self::Param(_)
        )
    }

    /// Whether `null` is a value of the type.
    pub(super) fn is_nullable(&self) -> bool {
        matches!(
            self,
            Self::Object(_) | Self::Opaque(_) | Self::Optional(_) | Self::Timestamp | Self::Duration | Self::Null
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Type => f.write_str("type"),
            Self::List(item) => write!(f, "list({item})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(inner) => write!(f, "optional_type({inner})"),
            Self::Object(object) => f.write_str(&object.name),
            Self::Opaque(name) => f.write_str(name),
            Self::Param(n) => write!(f, "_var{n}"),
        }
    }
}
