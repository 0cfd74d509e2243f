//! [`Schema`]: the shape of a type as data. One walk over it prunes, type-checks and defaults; apply,
//! strategic merge and OpenAPI read the same facts. Built-in schemas come from schemars plus the table of
//! schema facts, custom ones from a CustomResourceDefinition.

mod builtin;
pub mod facts;
pub mod roots;

pub use builtin::{builtin, resolve};

use crate::key::Name;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The shape of a value.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// What kind of value.
    pub shape: Shape,
    /// The value that stands for an absent field.
    pub default: Option<Value>,
    /// Whether `null` is a value; otherwise it means absent.
    pub nullable: bool,
    /// Whether an empty value is an absent one: a field of Go with `omitempty` that is no pointer.
    pub omit_empty: bool,
}

/// What kind of value a schema describes.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Anything; kept as it is.
    #[default]
    Any,
    /// An object with known fields.
    Object(Fields),
    /// An object whose keys are free.
    Map {
        /// Shape of the values.
        values: Arc<Schema>,
        /// Whether apply and merge treat the map as one value.
        atomic: bool,
    },
    /// A list.
    List(List),
    /// A value without parts.
    Scalar(Scalar),
    /// A built-in definition by name: breaks recursion. Resolve with `schema::builtin`.
    Ref(Name),
}

/// The fields of an object.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// OpenAPI definition name such as `io.k8s.api.core.v1.PodSpec`; empty for inline objects.
    pub definition: Name,
    /// Go's name of the type (`PodSpec`), as decoding errors print it.
    pub type_name: Name,
    /// Known fields.
    pub properties: BTreeMap<Name, Arc<Schema>>,
    /// Fields that must be present.
    pub required: Vec<Name>,
    /// Whether unknown fields are kept instead of pruned.
    pub preserve_unknown: bool,
    /// Whether apply treats the object as one value.
    pub atomic: bool,
    /// Strategic merge with `retainKeys` (unions such as a Deployment's strategy).
    pub retain_keys: bool,
}

/// A list and how two of them merge.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Shape of the items.
    pub items: Arc<Schema>,
    /// How apply merges (`x-kubernetes-list-type`).
    pub merge: ListMerge,
    /// How strategic merge patch merges (`x-kubernetes-patch-strategy`, `-merge-key`).
    pub patch: ListPatch,
}

/// `x-kubernetes-list-type` with its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListMerge {
    /// The list is one value.
    #[default]
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects identified by these fields.
    Map(Vec<Name>),
}

/// `x-kubernetes-patch-strategy` of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListPatch {
    /// The patch's list replaces the old one.
    #[default]
    Replace,
    /// Items merge by this key; an empty key merges scalars as a set.
    Merge {
        /// The item's identifying field.
        key: Name,
    },
}

/// A value without parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    String,
    /// Base64 text.
    Bytes,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Floating point.
    Number,
    /// True or false.
    Boolean,
    /// Integer or text.
    IntOrString,
    /// Resource quantity: number or text, stored in canonical form.
    Quantity,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
}
