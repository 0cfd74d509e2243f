//! What a version shows of its objects by paths: scale, printer columns, selectable fields.

use super::{
    spec::hoisted,
    tree::{get, text},
};
use crate::{
    FieldError, FieldErrors, Path,
    access::{get as at, list},
    crd::{
        field_path,
        node::{Node, Type},
    },
};
use serde_json::Value;

/// As many selectable fields as a version may have.
const SELECTABLE_MAX: usize = 8;

pub(super) fn subresources(part: &Value, path: &Path, out: &mut FieldErrors) {
    let Some(scale) = get(part, "scale").filter(|s| s.is_object()) else { return };
    for (field, root, optional) in [
        ("specReplicasPath", ".spec.", false),
        ("statusReplicasPath", ".status.", false),
        ("labelSelectorPath", ".status.", true),
    ] {
        let (value, path) = (text(scale, field), path.child(&format!("scale.{field}")));
        if value.is_empty() {
            if !optional {
                out.push(FieldError::required(&path, ""));
            }
        } else if !simple_path(value, &path, out) {
            // Said already.
        } else if optional && !value.starts_with(".spec.") && !value.starts_with(".status.") {
            out.push(FieldError::invalid(&path, value, "should be a json path under either .spec or .status"));
        } else if !optional && !value.starts_with(root) {
            let root = root.trim_end_matches('.');
            out.push(FieldError::invalid(&path, value, format!("should be a json path under {root}")));
        }
    }
}

fn simple_path(value: &str, path: &Path, out: &mut FieldErrors) -> bool {
    let fits = value.starts_with('.');
    if !fits {
        out.push(FieldError::invalid(path, value, "must be a simple json path starting with ."));
    }
    fits
}

pub(super) fn printer_column(column: &Value, path: &Path, out: &mut FieldErrors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    if text(column, "name").is_empty() {
        out.push(FieldError::required(&path.child("name"), ""));
    }
    let types = format!("must be one of {}", TYPES.join(","));
    match text(column, "type") {
        "" => out.push(FieldError::required(&path.child("type"), types)),
        ty if !TYPES.contains(&ty) => out.push(FieldError::invalid(&path.child("type"), ty, types)),
        _ => {}
    }
    let format = text(column, "format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let words = format!("must be one of {}", FORMATS.join(","));
        out.push(FieldError::invalid(&path.child("format"), format, words));
    }
    let path = path.child("JSONPath");
    match text(column, "jsonPath") {
        "" => out.push(FieldError::required(&path, "")),
        json_path => drop(simple_path(json_path, &path, out)),
    }
}

pub(super) fn selectable_fields(definition: &Value, out: &mut FieldErrors) {
    let versions = list(definition, "spec.versions");
    for (path, fields) in hoisted(definition, "selectableFields", "selectableFields") {
        let own = versions.iter().find(|version| get(version, "selectableFields") == Some(fields));
        let node = own.and_then(|version| at(version, "schema.openAPIV3Schema")).map(Node::read).unwrap_or_default();
        let mut seen: Vec<Path> = Vec::new();
        for (i, field) in fields.as_array().into_iter().flatten().enumerate() {
            let (path, json_path) = (path.index(i).child("jsonPath"), text(field, "jsonPath"));
            if json_path.is_empty() {
                out.push(FieldError::required(&path, ""));
                continue;
            }
            let (normal, found) = match field_path::resolve(json_path, &node, false) {
                Ok(found) => found,
                Err(why) => {
                    out.push(FieldError::invalid(&path, json_path, format!("is an invalid path: {why}")));
                    continue;
                }
            };
            if normal.as_str() == "metadata" || normal.as_str().starts_with("metadata.") {
                out.push(FieldError::invalid(&path, json_path, "must not point to fields in metadata"));
            }
            if !found.is_some_and(|n| matches!(n.ty, Type::String | Type::Boolean | Type::Integer)) {
                let words = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                     with formats are allowed.";
                out.push(FieldError::invalid(&path, json_path, words));
            }
            if seen.contains(&normal) {
                out.push(FieldError::duplicate(&path, json_path));
            } else {
                seen.push(normal);
            }
        }
        if seen.len() > SELECTABLE_MAX {
            out.push(FieldError::too_many(&path, seen.len(), SELECTABLE_MAX));
        }
    }
}
