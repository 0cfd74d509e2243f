//! Steps through a [`Schema`]: what lies under a field, with references followed.

use orch_api::schema::{Fields, List, ListPatch, Schema, Shape, builtin};
use std::{ops::Deref, sync::Arc};

/// The schema of anything, for fields that no schema describes.
pub(crate) static ANY: Schema = Schema { shape: Shape::Any, default: None, nullable: false, omit_empty: false };

/// A schema with its reference followed.
pub(crate) enum Held<'a> {
    /// Part of a larger schema.
    Borrowed(&'a Schema),
    /// A definition of its own.
    Shared(Arc<Schema>),
}

impl Deref for Held<'_> {
    type Target = Schema;

    fn deref(&self) -> &Schema {
        match self {
            Self::Borrowed(schema) => schema,
            Self::Shared(schema) => schema,
        }
    }
}

/// Follows a reference to a definition; a name that nobody defines is anything.
pub(crate) fn resolve(schema: &Schema) -> Held<'_> {
    match &schema.shape {
        Shape::Ref(name) => builtin(name).map_or(Held::Borrowed(&ANY), Held::Shared),
        _ => Held::Borrowed(schema),
    }
}

/// The schema of the field `key`, or of the map's value at `key`.
pub(crate) fn child<'a>(schema: &'a Schema, key: &str) -> &'a Schema {
    match &schema.shape {
        Shape::Object(Fields { properties, .. }) => properties.get(key).map_or(&ANY, |s| s),
        Shape::Map { values, .. } => values,
        _ => &ANY,
    }
}

/// The schema of the list's items and the key by which strategic merge joins them: `None` to replace
/// the list, an empty key to join scalars.
pub(crate) fn list_patch(schema: &Schema) -> (&Schema, Option<&str>) {
    match &schema.shape {
        Shape::List(List { items, patch, .. }) => match patch {
            ListPatch::Replace => (items, None),
            ListPatch::Merge { key } => (items, Some(key)),
        },
        _ => (&ANY, None),
    }
}
