//! [`Kind`]: what the API server, discovery, RBAC, the GC and the docs need to know of a kind.

use crate::{
    crd::Version,
    key::{Gvk, Gvr, Name},
};
use std::{borrow::Cow, sync::Arc};

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One set of names for the whole cluster.
    Cluster,
    /// A set of names per namespace.
    Namespaced,
}

/// One row of the kinds table. Built-in rows are constants, custom ones own their strings.
#[derive(Clone, Debug)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: Name,
    /// Served version.
    pub version: Name,
    /// CamelCase kind.
    pub kind: Name,
    /// Lower-case plural, as in paths.
    pub plural: Name,
    /// Lower-case singular.
    pub singular: Name,
    /// Namespaced or cluster-wide.
    pub scope: Scope,
    /// Names that kubectl accepts instead of the plural.
    pub short_names: Cow<'static, [Name]>,
    /// Groups of kinds, such as `all`.
    pub categories: Cow<'static, [Name]>,
    /// Verbs served on the resource itself.
    pub verbs: Verbs,
    /// Subresources with kinds of their own.
    pub subresources: Cow<'static, [Subresource]>,
    /// Columns of `kubectl get`.
    pub columns: Cow<'static, [Column]>,
    /// Fields that a field selector may name beside `metadata.name` and `metadata.namespace`.
    pub selectable: Cow<'static, [SelectableField]>,
    /// OpenAPI definition of the type, such as `io.k8s.api.core.v1.Pod`.
    pub definition: Name,
    /// The schema and all else that a CustomResourceDefinition says; `None` for built-in kinds.
    pub custom: Option<Arc<Version>>,
}

/// Which verbs a resource serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbs {
    /// create, delete, deletecollection, get, list, patch, update, watch.
    All,
    /// All but deletecollection: namespaces.
    NoCollection,
    /// get and list: computed at each read.
    ReadOnly,
    /// Only create: reviews and requests that are answered and never stored.
    CreateOnly,
}

impl Verbs {
    /// The verbs in the order in which discovery lists them.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::All => &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            Self::NoCollection => &["create", "delete", "get", "list", "patch", "update", "watch"],
            Self::ReadOnly => &["get", "list"],
            Self::CreateOnly => &["create"],
        }
    }
}

/// A path below an object, such as `status` or `scale`.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The path segment.
    pub name: Name,
    /// The kind that the subresource reads and writes (`Scale` for `scale`).
    pub kind: Gvk,
    /// Served verbs, sorted.
    pub verbs: &'static [&'static str],
}

/// A column of the `Table` form.
#[derive(Clone, Debug)]
pub struct Column {
    /// Heading.
    pub name: Name,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: Name,
    /// `name` for the identifying column, else empty.
    pub format: Name,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
    /// Explanation for clients.
    pub description: Name,
    /// How the cell's value comes from the object.
    pub cell: Cell,
}

/// How a cell is computed from the object's JSON.
#[derive(Clone, Debug)]
pub enum Cell {
    /// A JSON path such as `.spec.replicas`, as custom kinds declare them.
    Path(Name),
    /// A function, for built-in kinds whose cells are more than a field.
    Computed(fn(&serde_json::Value, now: jiff::Timestamp) -> serde_json::Value),
}

/// A field that field selectors may name.
#[derive(Clone, Debug)]
pub struct SelectableField {
    /// The selector's word, such as `spec.nodeName`.
    pub name: Name,
    /// The value of the field as a selector sees it; missing fields are the empty string.
    pub value: FieldValue,
}

/// How the value of a selectable field comes from the object's JSON.
#[derive(Clone, Debug)]
pub enum FieldValue {
    /// A JSON path equal to the name.
    Path(Name),
    /// A function, where the value is computed (`status.podIPs`, booleans with defaults).
    Computed(fn(&serde_json::Value) -> String),
}

impl Kind {
    /// Group, version and resource.
    pub fn gvr(&self) -> Gvr {
        Gvr { group: self.group.clone(), version: self.version.clone(), resource: self.plural.clone() }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk { group: self.group.clone(), version: self.version.clone(), kind: self.kind.clone() }
    }

    /// `DeploymentList`
    pub fn list_kind(&self) -> String {
        match &self.custom {
            Some(custom) if !custom.list_kind.is_empty() => custom.list_kind.clone(),
            _ => format!("{}List", self.kind),
        }
    }

    /// The subresource of that name, where the kind has it.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}
