//! From a CustomResourceDefinition to rows of the kinds table: one per version.

use super::{Conversion, Scale, Version, merge, node::Node, rules::Rules};
use crate::{
    access::{boolean, condition, get, list, text, texts},
    key::{Gvk, Name},
    kind::{Cell, Column, FieldValue, Kind, Scope, SelectableField, Subresource, Verbs},
    kinds,
};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

const READ_WRITE: &[&str] = &["get", "patch", "update"];
const SCALE: Gvk = Gvk::of("autoscaling", "v1", "Scale");

/// A version with its row.
pub struct Row {
    /// The row.
    pub kind: Arc<Kind>,
    /// Whether clients may use the version.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
}

/// The rows of all versions of a definition, under the names that the definition asks for (`accepted` is false) or that
/// were accepted.
pub fn rows(definition: &Value, accepted: bool) -> Vec<Row> {
    let names = if accepted { "status.acceptedNames" } else { "spec.names" };
    let names = get(definition, names).cloned().unwrap_or_default();
    let storage = list(definition, "spec.versions").iter().find(|v| boolean(v, "storage")).map(|v| text(v, "name"));
    let storage: Name = Cow::Owned(storage.unwrap_or_default().to_owned());
    let conversion = Arc::new(Conversion::read(definition));
    list(definition, "spec.versions")
        .iter()
        .map(|version| Row {
            kind: Arc::new(row(definition, &names, version, &storage, &conversion)),
            served: boolean(version, "served"),
            storage: boolean(version, "storage"),
        })
        .collect()
}

fn row(definition: &Value, names: &Value, version: &Value, storage: &Name, conversion: &Arc<Conversion>) -> Kind {
    let own = |text: &str| Name::Owned(text.to_owned());
    let many = |path| Cow::Owned(texts(names, path).map(own).collect());
    let (group, name) = (text(definition, "spec.group"), text(version, "name"));
    let kind = text(names, "kind");
    let namespaced = text(definition, "spec.scope") == "Namespaced";
    let gvk = Gvk { group: own(group), version: own(name), kind: own(kind) };
    let schema = get(version, "schema.openAPIV3Schema").cloned().unwrap_or_default();
    let preserve = boolean(definition, "spec.preserveUnknownFields");
    let mut node = Node::read(&schema);
    node.preserve_unknown |= preserve;
    let node = Arc::new(node);
    let defaults = has_defaults(&schema);
    let own_scale = get(version, "subresources.scale").filter(|s| s.is_object()).map(Scale::read);
    let has_status = get(version, "subresources.status").is_some_and(|s| !s.is_null());
    let custom = Version {
        list_kind: text(names, "listKind").to_owned(),
        scale: own_scale,
        storage: storage.clone(),
        schema: Arc::new(merge::schema(&node)),
        rules: Rules::of(&node, true),
        published: Arc::new(schema),
        node,
        preserve_unknown: preserve,
        deprecation: deprecation(version, &gvk),
        conversion: conversion.clone(),
        terminating: condition(definition, "Terminating").is_some_and(|c| text(c, "status") == "True"),
        as_stored: list(definition, "spec.versions").len() == 1
            && texts(definition, "status.storedVersions").count() <= 1
            && !defaults,
    };
    Kind {
        group: gvk.group.clone(),
        version: gvk.version.clone(),
        kind: gvk.kind.clone(),
        plural: own(text(names, "plural")),
        singular: own(text(names, "singular")),
        scope: if namespaced { Scope::Namespaced } else { Scope::Cluster },
        short_names: many("shortNames"),
        categories: many("categories"),
        verbs: Verbs::All,
        subresources: Cow::Owned(subresources(&gvk, has_status, custom.scale.is_some())),
        columns: Cow::Owned(columns(version)),
        selectable: Cow::Owned(list(version, "selectableFields").iter().map(selectable).collect()),
        definition: Name::Owned(definition_name(&gvk)),
        custom: Some(Arc::new(custom)),
    }
}

/// Whether reading fills anything in.
fn has_defaults(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.iter().any(|(key, value)| key == "default" || has_defaults(value)),
        Value::Array(items) => items.iter().any(has_defaults),
        _ => false,
    }
}

/// The name of the OpenAPI definition: the group backwards, the version and the kind (`com.example.v1.Widget`).
fn definition_name(kind: &Gvk) -> String {
    let group: Vec<&str> = kind.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

fn deprecation(version: &Value, kind: &Gvk) -> Option<String> {
    if !boolean(version, "deprecated") {
        return None;
    }
    Some(match text(version, "deprecationWarning") {
        "" => format!("{} {} is deprecated", kind.api_version(), kind.kind),
        words => words.to_owned(),
    })
}

fn subresources(kind: &Gvk, status: bool, scale: bool) -> Vec<Subresource> {
    let sub = |name: &'static str, kind: Gvk| Subresource { name: Cow::Borrowed(name), kind, verbs: READ_WRITE };
    let status = status.then(|| sub("status", kind.clone()));
    status.into_iter().chain(scale.then(|| sub("scale", SCALE))).collect()
}

fn columns(version: &Value) -> Vec<Column> {
    let declared = list(version, "additionalPrinterColumns");
    let own = |column: &Value, field: &str| Name::Owned(text(column, field).to_owned());
    let mut all = vec![kinds::name_column()];
    match declared {
        [] => all.push(kinds::age_column()),
        declared => all.extend(declared.iter().map(|column| Column {
            name: own(column, "name"),
            kind: own(column, "type"),
            format: own(column, "format"),
            priority: column.get("priority").and_then(Value::as_i64).and_then(|p| i32::try_from(p).ok()).unwrap_or(0),
            description: match text(column, "description") {
                "" => Name::Owned(format!(
                    "Custom resource definition column (in JSONPath format): {}",
                    text(column, "jsonPath")
                )),
                words => Name::Owned(words.to_owned()),
            },
            cell: Cell::Path(own(column, "jsonPath")),
        })),
    }
    all
}

fn selectable(field: &Value) -> SelectableField {
    let path = text(field, "jsonPath");
    let name = Name::Owned(path.trim_start_matches('.').to_owned());
    SelectableField { value: FieldValue::Path(name.clone()), name }
}
