//! Custom kinds in OpenAPI: the schema of the definition with Kubernetes' own fields
//! (`apiextensions-apiserver/pkg/controller/openapi/builder`).

use orch_api::Kind;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, sync::Arc};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The published schemas of the custom kinds, by definition name.
pub fn custom<'a>(kinds: impl IntoIterator<Item = &'a Arc<Kind>>) -> HashMap<String, Value> {
    let published = |kind: &'a Arc<Kind>| {
        let custom = kind.custom.as_ref()?;
        Some((kind.definition.to_string(), resource(&custom.published, custom.preserve_unknown)))
    };
    kinds.into_iter().filter_map(published).collect()
}

fn resource(schema: &Value, preserve: bool) -> Value {
    let mut schema = if preserve { json!({"type": "object"}) } else { schema.clone() };
    embed(&mut schema);
    add_identity(&mut schema);
    schema
}

/// Every embedded resource has Kubernetes' fields too.
fn embed(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            embed(inner);
        }
    }
    for (_, inner) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        embed(inner);
    }
    if fields.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        add_identity(schema);
    }
}

fn add_identity(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    fields.entry("type").or_insert_with(|| "object".into());
    let properties = fields.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(properties) = properties else { return };
    let text = |words: &str| json!({"type": "string", "description": words});
    let described = |property: Option<&Value>| property.is_some_and(|p| p.get("description").is_some());
    if !described(properties.get("apiVersion")) {
        let words = "APIVersion defines the versioned schema of this representation of an object. Servers should convert \
             recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
             https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
        properties.insert("apiVersion".into(), text(words));
    }
    if !described(properties.get("kind")) {
        let words = "Kind is a string value representing the REST resource this object represents. Servers may infer this \
             from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
             https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
        properties.insert("kind".into(), text(words));
    }
    let words = "Standard object's metadata. More info: \
         https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
    let reference = json!({"allOf": [{"$ref": super::schemas::reference(META)}], "description": words});
    properties.insert("metadata".into(), reference);
}
