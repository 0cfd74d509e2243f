//! The components of a document: schemas with Kubernetes' extensions.

use orch_api::{
    Gvk, Kind,
    schema::{ListMerge, ListPatch, facts, roots},
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub(super) const REF: &str = "$ref";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

/// The schemas of the kinds, their lists, their subresources' kinds and everything that these mention.
pub(super) fn of_kinds(kinds: &[Kind], custom: &HashMap<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for kind in kinds {
        match custom.get(&*kind.definition) {
            Some(schema) => {
                all.insert(kind.definition.to_string(), schema.clone());
                add_metadata(&mut all);
            }
            None => add_built_in(&kind.definition, &mut all),
        }
        for sub in kind.subresources.iter() {
            add_built_in(&definition_of(&sub.kind), &mut all);
        }
    }
    for name in ["Status", "DeleteOptions", "APIResourceList"] {
        add_built_in(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"), &mut all);
    }
    for kind in kinds {
        mark(&mut all, &kind.definition, &kind.gvk());
        for sub in kind.subresources.iter() {
            mark(&mut all, &definition_of(&sub.kind), &sub.kind);
        }
        if kind.verbs.names().contains(&"list") {
            all.insert(list_definition(kind), list(kind));
        }
    }
    for name in ["Status", "APIResourceList"] {
        mark(&mut all, &format!("io.k8s.apimachinery.pkg.apis.meta.v1.{name}"), &Gvk::of("", "v1", name));
    }
    mark_options(&mut all, kinds);
    all.entry(LIST_META).or_insert_with(list_meta);
    all.entry(PATCH).or_insert_with(|| json!({"type": "object", "description": "A change to an object."}));
    all
}

/// The definition of a kind that is built in: `io.k8s.api.GROUP.VERSION.KIND`.
pub(super) fn definition_of(kind: &Gvk) -> String {
    let group = match &*kind.group {
        "" => "core",
        group => group.split('.').next().unwrap_or_default(),
    };
    format!("io.k8s.api.{group}.{}.{}", kind.version, kind.kind)
}

/// `…PodList`
pub(super) fn list_definition(kind: &Kind) -> String {
    format!("{}List", kind.definition)
}

/// The path of a definition within a document.
pub(super) fn reference(definition: &str) -> String {
    format!("#/components/schemas/{definition}")
}

/// Adds a definition with all that it mentions, in the dialect of Kubernetes.
fn add_built_in(definition: &str, all: &mut Map<String, Value>) {
    if all.contains_key(definition) {
        return;
    }
    for (name, schema) in roots::definitions(definition).unwrap_or_default() {
        if !all.contains_key(&name) {
            let schema = in_dialect(&name, schema);
            all.insert(name, schema);
        }
    }
}

/// Adds the metadata that every schema refers to; it comes with any type that has some.
fn add_metadata(all: &mut Map<String, Value>) {
    let some = roots::definitions("io.k8s.api.core.v1.Namespace").unwrap_or_default();
    for (name, schema) in some.into_iter().filter(|(name, _)| name.starts_with("io.k8s.apimachinery.")) {
        if !all.contains_key(&name) {
            let schema = in_dialect(&name, schema);
            all.insert(name, schema);
        }
    }
}

fn in_dialect(name: &str, mut schema: Value) -> Value {
    wrap_references(&mut schema);
    if schema.get("x-kubernetes-int-or-string").is_some() {
        let Some(fields) = schema.as_object_mut() else { return schema };
        fields.remove("x-kubernetes-int-or-string");
        let number = if name.ends_with("Quantity") { "number" } else { "integer" };
        fields.insert("oneOf".into(), json!([{"type": "string"}, {"type": number}]));
        if number == "integer" {
            fields.insert("format".into(), "int-or-string".into());
        }
        return schema;
    }
    // The types always have metadata; the API does not ask for it.
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|field| field != "metadata");
    }
    if let Some(fact) = facts::of(name, ".") {
        extend(&mut schema, fact);
    }
    for (field, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(fact) = facts::of(name, field) {
            extend(property, fact);
        }
        // What is not said to merge is replaced as a whole; that is said as well.
        if let Some(list) = property.as_object_mut().filter(|p| p.get("type").is_some_and(|kind| kind == "array")) {
            list.entry("x-kubernetes-list-type").or_insert_with(|| "atomic".into());
        }
    }
    schema
}

/// OpenAPI 3.0 ignores what stands beside a reference, so a reference with a description is wrapped.
fn wrap_references(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(target) = fields.remove(REF) {
        fields.insert("allOf".into(), json!([{REF: target}]));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            wrap_references(inner);
        }
    }
    for (_, property) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        wrap_references(property);
    }
}

fn extend(schema: &mut Value, fact: &facts::Fact) {
    let Value::Object(fields) = schema else { return };
    let mut put = |key: &str, value: Value| drop(fields.insert(key.into(), value));
    match &fact.list {
        Some(ListMerge::Set) => put("x-kubernetes-list-type", "set".into()),
        Some(ListMerge::Map(keys)) => {
            put("x-kubernetes-list-type", "map".into());
            put("x-kubernetes-list-map-keys", json!(keys));
        }
        Some(ListMerge::Atomic) => put("x-kubernetes-list-type", "atomic".into()),
        None => {}
    }
    match fact.atomic {
        Some(true) => put("x-kubernetes-map-type", "atomic".into()),
        Some(false) => put("x-kubernetes-map-type", "granular".into()),
        None => {}
    }
    let mut strategies = Vec::new();
    if let Some(ListPatch::Merge { key }) = &fact.patch {
        strategies.push("merge");
        if !key.is_empty() {
            put("x-kubernetes-patch-merge-key", json!(key));
        }
    }
    if fact.retain_keys {
        strategies.push("retainKeys");
    }
    if !strategies.is_empty() {
        put("x-kubernetes-patch-strategy", strategies.join(",").into());
    }
    if let Some(default) = &fact.default {
        put("default", default.clone());
    }
}

/// Says which kind a schema is of.
fn mark(all: &mut Map<String, Value>, definition: &str, kind: &Gvk) {
    if let Some(Value::Object(schema)) = all.get_mut(definition) {
        schema.insert("x-kubernetes-group-version-kind".into(), json!([gvk(kind)]));
    }
}

/// The options of a delete are of every version, since their bodies say the version of what they delete.
fn mark_options(all: &mut Map<String, Value>, kinds: &[Kind]) {
    let mut versions: Vec<Value> = vec![gvk(&Gvk::of("", "v1", "DeleteOptions"))];
    for kind in kinds {
        let options = gvk(&Gvk { kind: "DeleteOptions".into(), ..kind.gvk() });
        if !versions.contains(&options) {
            versions.push(options);
        }
    }
    if let Some(Value::Object(schema)) = all.get_mut("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions") {
        schema.insert("x-kubernetes-group-version-kind".into(), versions.into());
    }
}

/// A kind as the extension writes it.
pub(super) fn gvk(kind: &Gvk) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn list(kind: &Kind) -> Value {
    let of = |text: &str| json!({"type": "string", "description": text});
    let list_kind = Gvk { kind: kind.list_kind().into(), ..kind.gvk() };
    json!({
        "description": format!("{} is a list of {}", kind.list_kind(), kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": of("Group and version of the list."),
            "kind": of("Kind of the list."),
            "metadata": {"allOf": [{REF: reference(LIST_META)}], "description": "Metadata of the list."},
            "items": {
                "type": "array",
                "description": format!("The objects of kind {}.", kind.kind),
                "items": {"allOf": [{REF: reference(&kind.definition)}]},
            },
        },
        "x-kubernetes-group-version-kind": [gvk(&list_kind)],
    })
}

fn list_meta() -> Value {
    json!({
        "description": "ListMeta describes a list: the revision at which it holds, and where the next page begins.",
        "type": "object",
        "properties": {
            "continue": {"type": "string", "description": "Where the next page begins; empty when there is none."},
            "remainingItemCount": {"type": "integer", "format": "int64", "description": "How many objects follow this page."},
            "resourceVersion": {"type": "string", "description": "The revision at which the list holds."},
            "selfLink": {"type": "string", "description": "No longer set."},
        },
    })
}
