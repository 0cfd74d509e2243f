//! How the rows of the table are written.

use super::cells::{age, name};
use crate::{
    access,
    key::{Gvk, Name},
    kind::{Cell, Column, FieldValue, Kind, Scope, SelectableField, Subresource, Verbs},
};
use jiff::Timestamp;
use serde_json::Value;
use std::borrow::Cow;

/// A group and version, from which rows are made.
pub(super) struct Group {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    /// The package of the types, such as `io.k8s.api.core.v1`.
    pub(super) package: &'static str,
}

impl Group {
    /// A kind whose objects live in namespaces.
    pub(super) fn namespaced(&self, kind: &'static str, plural: &'static str) -> Kind {
        self.row(kind, plural, Scope::Namespaced)
    }

    /// A kind with one set of names for the whole cluster.
    pub(super) fn cluster(&self, kind: &'static str, plural: &'static str) -> Kind {
        self.row(kind, plural, Scope::Cluster)
    }

    fn row(&self, kind: &'static str, plural: &'static str, scope: Scope) -> Kind {
        Kind {
            group: Cow::Borrowed(self.group),
            version: Cow::Borrowed(self.version),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            singular: Cow::Owned(kind.to_lowercase()),
            scope,
            short_names: Cow::Borrowed(&[]),
            categories: Cow::Borrowed(&[]),
            verbs: Verbs::All,
            subresources: Cow::Borrowed(&[]),
            columns: Cow::Owned(vec![name(), created_at()]),
            selectable: Cow::Borrowed(&[]),
            definition: Cow::Owned(format!("{}.{kind}", self.package)),
            custom: None,
        }
    }
}

const READ_WRITE: &[&str] = &["get", "patch", "update"];
const SCALE: Gvk = Gvk::of("autoscaling", "v1", "Scale");

/// Adjectives of a row.
pub(super) trait Row: Sized {
    /// Other verbs than all.
    fn verbs(self, verbs: Verbs) -> Self;
    /// Short names.
    fn short(self, names: &[&'static str]) -> Self;
    /// Categories.
    fn categories(self, names: &[&'static str]) -> Self;
    /// A subresource with its kind and verbs.
    fn sub(self, name: &'static str, kind: Gvk, verbs: &'static [&'static str]) -> Self;
    /// A subresource that reads and writes the object itself.
    fn part(self, name: &'static str) -> Self;
    /// The subresources `status`.
    fn status(self) -> Self {
        self.part("status")
    }
    /// The subresource `scale`.
    fn scale(self) -> Self {
        self.sub("scale", SCALE, READ_WRITE)
    }
    /// The columns after `Name`, with their last one, `Age`, where it belongs.
    fn columns(self, columns: Vec<Column>) -> Self;
    /// A selectable field whose name is its path.
    fn selectable(self, paths: &[&'static str]) -> Self;
    /// A selectable field whose value is computed.
    fn selectable_by(self, name: &'static str, value: fn(&Value) -> String) -> Self;
}

impl Row for Kind {
    fn verbs(self, verbs: Verbs) -> Self {
        Self { verbs, ..self }
    }

    fn short(self, names: &[&'static str]) -> Self {
        Self { short_names: borrowed(names), ..self }
    }

    fn categories(self, names: &[&'static str]) -> Self {
        Self { categories: borrowed(names), ..self }
    }

    fn sub(mut self, name: &'static str, kind: Gvk, verbs: &'static [&'static str]) -> Self {
        self.subresources.to_mut().push(Subresource { name: Cow::Borrowed(name), kind, verbs });
        self
    }

    fn part(self, name: &'static str) -> Self {
        let kind = self.gvk();
        self.sub(name, kind, READ_WRITE)
    }

    fn columns(self, columns: Vec<Column>) -> Self {
        Self { columns: Cow::Owned(columns), ..self }
    }

    fn selectable(mut self, paths: &[&'static str]) -> Self {
        let fields = paths
            .iter()
            .map(|path| SelectableField { name: Cow::Borrowed(path), value: FieldValue::Path(Cow::Borrowed(path)) });
        self.selectable.to_mut().extend(fields);
        self
    }

    fn selectable_by(mut self, name: &'static str, value: fn(&Value) -> String) -> Self {
        self.selectable
            .to_mut()
            .push(SelectableField { name: Cow::Borrowed(name), value: FieldValue::Computed(value) });
        self
    }
}

/// A column whose cell is computed.
pub(super) fn column(
    name: &'static str,
    kind: &'static str,
    description: &'static str,
    cell: fn(&Value, Timestamp) -> Value,
) -> Column {
    Column {
        name: Cow::Borrowed(name),
        kind: Cow::Borrowed(kind),
        format: Cow::Borrowed(""),
        priority: 0,
        description: Cow::Borrowed(description),
        cell: Cell::Computed(cell),
    }
}

/// A column of text.
pub(super) fn text(name: &'static str, description: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    column(name, "string", description, cell)
}

/// A column of whole numbers.
pub(super) fn integer(name: &'static str, description: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    column(name, "integer", description, cell)
}

/// A column of truths.
pub(super) fn boolean(name: &'static str, description: &'static str, cell: fn(&Value, Timestamp) -> Value) -> Column {
    column(name, "boolean", description, cell)
}

/// The column, shown only with `-o wide`.
pub(super) fn wide(column: Column) -> Column {
    Column { priority: 1, ..column }
}

/// `Name` and `Age` around some columns.
pub(super) fn named(columns: impl IntoIterator<Item = Column>) -> Vec<Column> {
    std::iter::once(name()).chain(columns).chain([age()]).collect()
}

/// The second column of kinds that have no columns of their own. Unlike the others it shows the time itself.
fn created_at() -> Column {
    Column {
        kind: Cow::Borrowed("date"),
        cell: Cell::Computed(|object, _| Value::from(access::text(object, "metadata.creationTimestamp"))),
        name: Cow::Borrowed("Created At"),
        ..age()
    }
}

fn borrowed(names: &[&'static str]) -> Cow<'static, [Name]> {
    names.iter().map(|name| Cow::Borrowed(*name)).collect()
}
