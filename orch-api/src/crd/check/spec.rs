//! The spec of a definition: group, scope, names, versions.

use super::{
    columns::{printer_column, selectable_fields, subresources},
    conversion::conversion,
    schema,
    tree::{any, flag, get, items, text},
};
use crate::{
    FieldError, FieldErrors, Path,
    access::{boolean, get as at, list, text as text_at},
    names,
};
use serde_json::Value;

/// A part of the versions with the path that upstream gives it: above the versions where it is the same in all.
pub(super) fn hoisted<'a>(definition: &'a Value, field: &str, above: &str) -> Vec<(Path, &'a Value)> {
    let path = Path::new("spec");
    let parts: Vec<Option<&Value>> = list(definition, "spec.versions").iter().map(|v| get(v, field)).collect();
    let same = parts.windows(2).all(|pair| pair.first() == pair.last());
    match parts.first() {
        Some(Some(first)) if same => vec![(path.child(above), *first)],
        _ => parts
            .into_iter()
            .enumerate()
            .filter_map(|(i, part)| Some((path.child("versions").index(i).child(field), part?)))
            .collect(),
    }
}

/// The schemas of a definition with their paths.
pub(super) fn schemas(definition: &Value) -> Vec<(Path, &Value)> {
    hoisted(definition, "schema", "validation")
        .into_iter()
        .filter_map(|(path, part)| Some((path.child("openAPIV3Schema"), get(part, "openAPIV3Schema")?)))
        .collect()
}

/// Judges the spec of a definition; `old` is what it was, in an update.
pub(super) fn check(definition: &Value, old: Option<&Value>, out: &mut FieldErrors) {
    let path = Path::new("spec");
    group(definition, &path, out);
    scope(definition, &path, out);
    let (versions, at_versions) = (list(definition, "spec.versions"), path.child("versions"));
    for (i, version) in versions.iter().enumerate() {
        let lax =
            old.is_some_and(|old| list(old, "spec.versions").iter().any(|v| at(v, "schema.openAPIV3Schema").is_none()));
        if at(version, "schema.openAPIV3Schema").is_none_or(Value::is_null) && !lax {
            out.push(FieldError::required(&at_versions.index(i).child("schema").child("openAPIV3Schema"), ""));
        }
    }
    let preserve = boolean(definition, "spec.preserveUnknownFields");
    if preserve {
        if schemas(definition).iter().any(|(_, s)| any(s, &|s| get(s, "default").is_some())) {
            let words = "must be false in order to use defaults in the schema";
            out.push(FieldError::invalid(&path.child("preserveUnknownFields"), true, words));
        }
        if old.is_none_or(|old| !boolean(old, "spec.preserveUnknownFields")) {
            let words = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                 spec.versions[*].schema instead";
            out.push(FieldError::invalid(&path.child("preserveUnknownFields"), true, words));
        }
    }
    version_names(versions, &at_versions, out);
    for (i, version) in versions.iter().enumerate() {
        deprecation(version, &at_versions.index(i), out);
    }
    schema_parts(definition, old, out);
    for (path, part) in hoisted(definition, "subresources", "subresources") {
        subresources(part, &path, out);
    }
    for (path, part) in hoisted(definition, "additionalPrinterColumns", "additionalPrinterColumns") {
        for (i, column) in part.as_array().into_iter().flatten().enumerate() {
            printer_column(column, &path.index(i), out);
        }
    }
    selectable_fields(definition, out);
    required_names(definition, &path.child("names"), out);
    if let Some(names_of) = at(definition, "spec.names") {
        names(names_of, &path.child("names"), out);
    }
    conversion(definition, old, &path.child("conversion"), out);
}

fn group(definition: &Value, path: &Path, out: &mut FieldErrors) {
    let (group, path) = (text_at(definition, "spec.group"), path.child("group"));
    let faults = names::dns1123_subdomain(group);
    if group.is_empty() {
        out.push(FieldError::required(&path, ""));
    } else if !faults.is_empty() {
        out.push(FieldError::invalid(&path, group, faults.join(",")));
    } else if !group.contains('.') {
        out.push(FieldError::invalid(&path, group, "should be a domain with at least one dot"));
    }
}

fn scope(definition: &Value, path: &Path, out: &mut FieldErrors) {
    match text_at(definition, "spec.scope") {
        "Cluster" | "Namespaced" => {}
        "" => out.push(FieldError::required(&path.child("scope"), "")),
        other => out.push(FieldError::not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"])),
    }
}

fn version_names(versions: &[Value], path: &Path, out: &mut FieldErrors) {
    for (i, version) in versions.iter().enumerate() {
        let name = text(version, "name");
        let faults = names::dns1035_label(name);
        if !faults.is_empty() {
            out.push(FieldError::invalid(&path.index(i).child("name"), name, faults.join(",")));
        }
    }
    let shown = || Value::Array(versions.to_vec());
    let repeated = versions
        .iter()
        .enumerate()
        .any(|(i, v)| versions.iter().take(i).any(|other| text(other, "name") == text(v, "name")));
    if repeated {
        out.push(FieldError::invalid(path, shown(), "must contain unique version names"));
    }
    if versions.iter().filter(|version| flag(version, "storage")).count() != 1 {
        out.push(FieldError::invalid(path, shown(), "must have exactly one version marked as storage version"));
    }
}

fn deprecation(version: &Value, path: &Path, out: &mut FieldErrors) {
    let Some(words) = get(version, "deprecationWarning").and_then(Value::as_str) else { return };
    let path = path.child("deprecationWarning");
    let mut refuse = |why: String| out.push(FieldError::invalid(&path, words, why));
    if !flag(version, "deprecated") {
        return refuse("can only be set for deprecated versions".into());
    }
    if words.len() > 256 {
        refuse("must be <= 256 characters long".into());
    }
    if words.is_empty() {
        refuse("must not be an empty string".into());
    }
    if let Some((i, _)) = words.char_indices().find(|(_, c)| c.is_control()) {
        refuse(format!("must only contain printable UTF-8 characters; non-printable character found at index {i}"));
    }
}

fn schema_parts(definition: &Value, old: Option<&Value>, out: &mut FieldErrors) {
    let versions = list(definition, "spec.versions");
    let with_status = |version: &Value| at(version, "subresources.status").is_some_and(|s| !s.is_null());
    let parts = schemas(definition);
    let shared = parts.first().is_some_and(|(path, _)| path.as_str().starts_with("spec.validation"));
    for (i, (path, part)) in parts.iter().enumerate() {
        let status = if shared { versions.iter().any(with_status) } else { versions.get(i).is_some_and(with_status) };
        // What was let in once stays in, whatever it is estimated to cost.
        let unchanged = old.is_some_and(|old| schemas(old).iter().any(|(_, before)| before == part));
        schema::check(path, part, status, unchanged, out);
    }
}

fn required_names(definition: &Value, path: &Path, out: &mut FieldErrors) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if text_at(definition, &format!("spec.names.{field}")).is_empty() {
            out.push(FieldError::required(&path.child(field), ""));
        }
    }
}

/// Judges names, wanted or accepted.
pub(super) fn names(names_of: &Value, path: &Path, out: &mut FieldErrors) {
    let label = |path: Path, value: &str, mixed: bool, out: &mut FieldErrors| {
        let shown = if mixed { value.to_lowercase() } else { value.to_owned() };
        let faults = names::dns1035_label(&shown);
        if !value.is_empty() && !faults.is_empty() {
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            out.push(FieldError::invalid(&path, value, format!("{prefix}{}", faults.join(","))));
        }
    };
    for (field, mixed) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        label(path.child(field), text(names_of, field), mixed, out);
    }
    for (i, name) in items(names_of, "shortNames") {
        label(path.child("shortNames").index(i), name.as_str().unwrap_or_default(), false, out);
    }
    let (kind, list_kind) = (text(names_of, "kind"), text(names_of, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        out.push(FieldError::invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same"));
    }
    for (i, name) in items(names_of, "categories") {
        label(path.child("categories").index(i), name.as_str().unwrap_or_default(), false, out);
    }
}
