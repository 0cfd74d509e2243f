//! The schema of a version: what OpenAPI allows of it, list types, and rules with their estimated cost
//! (`ValidateCustomResourceDefinitionOpenAPISchema`, `cel_validation.go`).

mod lists;
mod root;
pub(super) mod rules;

use super::{
    defaults, structural,
    tree::{entries, flag, get, has, items, object, text},
};
use crate::{FieldError, FieldErrors, Path, crd::node::Node};
use rules::{SCHEMA_LIMIT, too_expensive};
use serde_json::Value;
use std::sync::Arc;

/// Judges a schema. `status` says that the version has the subresource; `unchanged`, that the schema stood so before.
pub(super) fn check(path: &Path, schema: &Value, status: bool, unchanged: bool, out: &mut FieldErrors) {
    let before = out.len();
    if status {
        root::fields(path, schema, out);
    }
    if flag(schema, "nullable") {
        out.push(FieldError::forbidden(&path.child("nullable"), "nullable cannot be true at the root"));
    }
    let unsupported = structural::unsupported(schema);
    let mut faults = if unsupported.is_some() { Vec::new() } else { structural::check(path, schema) };
    let node = Arc::new(Node::read(schema));
    if unsupported.is_none() && faults.is_empty() {
        defaults::check(path, &Arc::new(node.as_resource()), &mut faults);
    }
    let sound = unsupported.is_none() && faults.is_empty();
    out.append(&mut faults);
    let mut walk = Walk { out: Vec::new(), rules: Vec::new(), total: 0, expensive: Vec::new(), unchanged };
    let here =
        Here { root: true, in_meta: false, no_defaults: None, no_old: None, cardinality: sound.then_some(Some(1)) };
    walk.schema(path, schema, &node, &here);
    let mut found = walk.out;
    out.append(&mut found);
    out.append(&mut walk.rules);
    if let (true, Some(words)) = (out.len() == before, unsupported) {
        out.push(FieldError::invalid(path, "", words));
    }
    if walk.total > SCHEMA_LIMIT {
        walk.expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        for (path, _) in walk.expensive.iter().take(4) {
            let words = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            out.push(FieldError::forbidden(path, words));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        out.push(FieldError::forbidden(path, too_expensive(what, walk.total, SCHEMA_LIMIT)));
    }
}

struct Walk {
    out: FieldErrors,
    /// Faults of rules come after all others.
    rules: FieldErrors,
    total: u64,
    expensive: Vec<(Path, u64)>,
    unchanged: bool,
}

/// Where in the tree the walk is.
#[derive(Clone)]
struct Here {
    root: bool,
    in_meta: bool,
    /// Why defaults are forbidden here.
    no_defaults: Option<&'static str>,
    /// The nearest place above whose parts cannot be compared with old ones.
    no_old: Option<Path>,
    /// How often a value of this schema may be in an object; the inner `None` is no bound, the outer that rules are not
    /// looked at.
    cardinality: Option<Option<u64>>,
}

impl Here {
    fn below(&self) -> Self {
        Self { root: false, ..self.clone() }
    }

    fn times(mut self, count: Option<u64>) -> Self {
        self.cardinality = self.cardinality.map(|n| Some(n?.saturating_mul(count?)));
        self
    }
}

impl Walk {
    fn schema(&mut self, path: &Path, schema: &Value, node: &Arc<Node>, here: &Here) {
        let before = self.out.len();
        self.standard(path, schema, here);
        if flag(schema, "uniqueItems") {
            let words = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.out.push(FieldError::forbidden(&path.child("uniqueItems"), words));
        }
        self.children(path, schema, node, here);
        self.maps(path, schema);
        self.lists(path, schema);
        if has(schema, "x-kubernetes-validations") {
            self.rule_texts(path, schema, node);
            if self.out.len() == before {
                self.compile(path, schema, node, here);
            }
        }
    }

    fn standard(&mut self, path: &Path, schema: &Value, here: &Here) {
        const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
        let ty = text(schema, "type");
        if !ty.is_empty() && !TYPES.contains(&ty) {
            self.out.push(FieldError::not_supported(&path.child("type"), ty, &TYPES));
        }
        if let (Some(_), Some(why)) = (get(schema, "default"), here.no_defaults) {
            let words = format!("must not be set {why}");
            self.out.push(FieldError::forbidden(&path.child("default"), words));
        }
        for field in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
            if has(schema, field) {
                self.out.push(FieldError::forbidden(&path.child(field), format!("{field} is not supported")));
            }
        }
        if ty == "null" {
            let words = "type cannot be set to null, use nullable as an alternative";
            self.out.push(FieldError::forbidden(&path.child("type"), words));
        }
        if get(schema, "items").is_some_and(Value::is_array) {
            let words = "items must be a schema object and not an array";
            self.out.push(FieldError::forbidden(&path.child("items"), words));
        }
        if here.in_meta && flag(schema, "x-kubernetes-embedded-resource") {
            let words = "must not be used inside of resource meta";
            self.out.push(FieldError::forbidden(&path.child("x-kubernetes-embedded-resource"), words));
        }
        if get(schema, "x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let path = path.child("x-kubernetes-preserve-unknown-fields");
            self.out.push(FieldError::invalid(&path, false, "must be true or undefined"));
        }
    }

    fn children(&mut self, path: &Path, schema: &Value, node: &Arc<Node>, here: &Here) {
        let empty: Arc<Node> = Arc::default();
        if let Some(additional) = get(schema, "additionalProperties") {
            if has(schema, "properties") && *additional != Value::Bool(true) {
                let words = "additionalProperties and properties are mutual exclusive";
                self.out.push(FieldError::forbidden(&path.child("additionalProperties"), words));
            }
            let mut below = here.below().times(get(schema, "maxProperties").and_then(Value::as_u64));
            if here.in_meta {
                below.no_defaults = Some("inside additionalProperties applying to object metadata");
            }
            if additional.is_object() {
                let inner = match &node.additional {
                    crate::crd::Additional::Schema(inner) => inner,
                    _ => &empty,
                };
                self.schema(&path.child("additionalProperties"), additional, inner, &below);
            }
        }
        let resource = here.root || flag(schema, "x-kubernetes-embedded-resource");
        for (name, inner) in entries(schema, "properties") {
            let mut below = here.below();
            if resource && matches!(name, "metadata" | "kind" | "apiVersion") {
                below.in_meta = true;
                if here.root {
                    below.no_defaults = Some(match name {
                        "metadata" => "in top-level metadata",
                        "kind" => "in top-level kind",
                        _ => "in top-level apiVersion",
                    });
                }
            }
            let inner_node = node.properties.get(name).unwrap_or(&empty);
            self.schema(&path.child("properties").key(name), inner, inner_node, &below);
        }
        let alone = Here { cardinality: None, ..here.below() };
        if let Some(inner) = object(schema, "not") {
            self.schema(&path.child("not"), inner, &empty, &alone);
        }
        for field in ["allOf", "oneOf", "anyOf"] {
            for (i, inner) in items(schema, field) {
                self.schema(&path.child(field).index(i), inner, &empty, &alone);
            }
        }
        if let Some(inner) = object(schema, "items") {
            let mut below = here.below().times(get(schema, "maxItems").and_then(Value::as_u64));
            if text(schema, "x-kubernetes-list-type") != "map" && below.no_old.is_none() {
                below.no_old = Some(path.clone());
            }
            self.schema(&path.child("items"), inner, node.items.as_ref().unwrap_or(&empty), &below);
        }
    }
}
