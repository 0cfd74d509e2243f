//! Objects within objects say of what kind they are and have metadata (`apiserver/schema/objectmeta`).

use super::node::Node;
use crate::{
    FieldError, FieldErrors, Path,
    decode::{self, DecodeError},
    kind::Scope,
    names, schema, validation,
};
use serde_json::Value;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Brings the metadata of a resource, and of every resource embedded in it, into the form of its type. Returns the paths
/// of metadata fields that are not known.
pub(super) fn coerce(value: &mut Value, schema: &Node, resource: bool) -> Result<Vec<String>, FieldError> {
    let mut unknown = Vec::new();
    walk(&Path::default(), value, schema, resource, &mut unknown)?;
    Ok(unknown)
}

fn walk(
    path: &Path,
    value: &mut Value,
    schema: &Node,
    resource: bool,
    unknown: &mut Vec<String>,
) -> Result<(), FieldError> {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if resource && name == "metadata" {
                    metadata(&path.child("metadata"), value, unknown)?;
                } else if resource && matches!(&**name, "apiVersion" | "kind") {
                    if !value.is_string() {
                        return Err(FieldError::invalid(&path.child(name), value.clone(), "must be a string"));
                    }
                } else if let Some(inner) = schema.field(name) {
                    let below = if schema.properties.contains_key(name) { path.child(name) } else { path.key(name) };
                    walk(&below, value, inner, inner.embedded, unknown)?;
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return Ok(()) };
            for (i, item) in items.iter_mut().enumerate() {
                walk(&path.index(i), item, inner, inner.embedded, unknown)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn metadata(path: &Path, value: &mut Value, unknown: &mut Vec<String>) -> Result<(), FieldError> {
    let Some(meta) = schema::builtin(META) else { return Ok(()) };
    let before = value.clone();
    match decode::conform(value, &meta) {
        Ok(conformed) => unknown.extend(conformed.unknown.into_iter().map(|field| format!("{path}.{field}"))),
        Err(error) => return Err(FieldError::invalid(path, before, says(&error))),
    }
    Ok(())
}

/// Go decodes the metadata alone, and so its paths begin there.
fn says(error: &DecodeError) -> String {
    error.to_string()
}

/// Judges what every embedded resource must say of itself.
pub(super) fn check(path: &Path, value: &Value, schema: &Node, resource: bool, out: &mut FieldErrors) {
    match value {
        Value::Object(map) => {
            if resource {
                identity(path, value, out);
            }
            for (name, value) in map {
                if let Some(inner) = schema.field(name) {
                    let below = if schema.properties.contains_key(name) { path.child(name) } else { path.key(name) };
                    check(&below, value, inner, inner.embedded, out);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = &schema.items else { return };
            for (i, item) in items.iter().enumerate() {
                check(&path.index(i), item, inner, inner.embedded, out);
            }
        }
        _ => {}
    }
}

fn identity(path: &Path, value: &Value, out: &mut FieldErrors) {
    match value.get("apiVersion") {
        None => out.push(FieldError::required(&path.child("apiVersion"), "")),
        Some(Value::String(text)) if text.is_empty() => {
            out.push(FieldError::invalid(&path.child("apiVersion"), "", "must not be empty"));
        }
        Some(Value::String(text)) if text.matches('/').count() > 1 => {
            let words = format!("unexpected GroupVersion string: {text}");
            out.push(FieldError::invalid(&path.child("apiVersion"), &**text, words));
        }
        Some(_) => {}
    }
    match value.get("kind") {
        None => out.push(FieldError::required(&path.child("kind"), "")),
        Some(Value::String(text)) if text.is_empty() => {
            out.push(FieldError::invalid(&path.child("kind"), "", "must not be empty"));
        }
        Some(Value::String(text)) => {
            let faults = names::dns1035_label(&text.to_lowercase());
            if !faults.is_empty() {
                let words = format!("may have mixed case, but should otherwise match: {}", faults.join(","));
                out.push(FieldError::invalid(&path.child("kind"), &**text, words));
            }
        }
        Some(_) => {}
    }
    if let Some(meta) = value.get("metadata").filter(|meta| meta.is_object()) {
        let namespaced = meta.get("namespace").and_then(Value::as_str).is_some_and(|n| !n.is_empty());
        let scope = if namespaced { Scope::Namespaced } else { Scope::Cluster };
        out.extend(validation::embedded_metadata(&path.child("metadata"), scope, meta));
    }
}
