//! How apply and merge see a custom kind: its schema as [`Schema`], with Kubernetes' own metadata.

use super::node::{Additional, Node, Type};
use crate::{
    key::Name,
    schema::{self, Fields, List, Scalar, Schema, Shape},
};
use std::{collections::BTreeMap, sync::Arc};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of a resource.
pub(super) fn schema(node: &Node) -> Schema {
    of(node, true)
}

fn of(node: &Node, resource: bool) -> Schema {
    let (default, nullable) = (node.default.clone(), node.nullable);
    Schema { shape: shape(node, resource), default, nullable, omit_empty: false }
}

fn shape(node: &Node, resource: bool) -> Shape {
    if node.int_or_string {
        return Shape::Any;
    }
    match node.ty {
        Type::Object => object(node, resource || node.embedded),
        Type::Array => Shape::List(List {
            items: node.items.as_ref().map(|items| Arc::new(of(items, false))).unwrap_or_default(),
            merge: node.list.clone(),
            ..List::default()
        }),
        Type::String => Shape::Scalar(Scalar::String),
        Type::Integer => Shape::Scalar(Scalar::Int64),
        Type::Number => Shape::Scalar(Scalar::Number),
        Type::Boolean => Shape::Scalar(Scalar::Boolean),
        Type::Any if resource => object(node, true),
        Type::Any => Shape::Any,
    }
}

fn object(node: &Node, resource: bool) -> Shape {
    if let (Additional::Schema(values), true) = (&node.additional, node.properties.is_empty()) {
        return Shape::Map { values: Arc::new(of(values, false)), atomic: node.atomic };
    }
    let mut properties: BTreeMap<Name, Arc<Schema>> = BTreeMap::new();
    for (name, property) in &node.properties {
        properties.insert(Name::Owned(name.clone()), Arc::new(of(property, false)));
    }
    if resource {
        let text = || Arc::new(Schema { shape: Shape::Scalar(Scalar::String), ..Schema::default() });
        properties.insert("apiVersion".into(), text());
        properties.insert("kind".into(), text());
        properties.insert("metadata".into(), schema::builtin(META).unwrap_or_default());
    }
    Shape::Object(Fields {
        properties,
        // What is not known has been pruned already, or is meant to stay.
        preserve_unknown: true,
        atomic: node.atomic,
        ..Fields::default()
    })
}
