//! What a CustomResourceDefinition must fulfil (`apis/apiextensions/validation`), with upstream's paths and words. Upstream
//! validates its internal form, in which what is the same in all versions stands above them; so the paths say
//! `spec.validation` for the schema of a definition with one version.

mod columns;
mod conversion;
#[cfg(test)]
mod costs;
mod defaults;
mod schema;
mod spec;
mod structural;
mod tree;

use crate::{
    FieldError, FieldErrors, Path,
    access::{condition, get, list, text, texts},
};
use serde_json::Value;

/// Judges a new definition, metadata aside.
pub fn created(definition: &Value) -> FieldErrors {
    let mut out = Vec::new();
    let name = text(definition, "metadata.name");
    let wanted = format!("{}.{}", text(definition, "spec.names.plural"), text(definition, "spec.group"));
    if name != wanted {
        let path = Path::new("metadata").child("name");
        out.push(FieldError::invalid(&path, name, "must be spec.names.plural+\".\"+spec.group"));
    }
    spec::check(definition, None, &mut out);
    status(definition, &mut out);
    approval(definition, None, &mut out);
    out
}

/// Judges an update of a definition, metadata aside.
pub fn updated(new: &Value, old: &Value) -> FieldErrors {
    let mut out = Vec::new();
    spec::check(new, Some(old), &mut out);
    let path = Path::new("spec");
    let mut immutable = |field: &str, path: Path| {
        if get(new, field) != get(old, field) {
            out.push(FieldError::invalid(&path, text(new, field), "field is immutable"));
        }
    };
    if is_true(old, "Established") {
        immutable("spec.scope", path.child("scope"));
        immutable("spec.names.kind", path.child("names").child("kind"));
    }
    immutable("spec.group", path.child("group"));
    immutable("spec.names.plural", path.child("names").child("plural"));
    status(new, &mut out);
    approval(new, Some(old), &mut out);
    out
}

/// Status, reason and message of the condition `NonStructuralSchema`; `None` where all schemas are structural. Its paths
/// are those of the versions, unlike the paths of refusals (`controller/nonstructuralschema`).
pub fn structure(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    let mut faults: Vec<String> = Vec::new();
    if get(definition, "spec.preserveUnknownFields") == Some(&Value::Bool(true)) {
        let path = Path::new("spec").child("preserveUnknownFields");
        faults.push(FieldError::invalid(&path, true, "must be false").to_string());
    }
    for (i, version) in list(definition, "spec.versions").iter().enumerate() {
        let Some(schema) = get(version, "schema.openAPIV3Schema") else { continue };
        if let Some(why) = structural::unsupported(schema) {
            let message = format!("failed to check validation schema for version {}: {why}", text(version, "name"));
            return Some(("Unknown", "StructuralError", message));
        }
        let path = Path::new("spec").child("versions").index(i).child("schema").child("openAPIV3Schema");
        for fault in structural::check(&path, schema) {
            let fault = fault.to_string();
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    let message = match &faults[..] {
        [] => return None,
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    Some(("True", "Violations", message))
}

fn is_true(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|c| text(c, "status") == "True")
}

fn status(definition: &Value, out: &mut FieldErrors) {
    let path = Path::new("status");
    if let Some(names) = get(definition, "status.acceptedNames") {
        spec::names(names, &path.child("acceptedNames"), out);
    }
    stored_versions(definition, &path.child("storedVersions"), out);
}

fn stored_versions(definition: &Value, path: &Path, out: &mut FieldErrors) {
    let stored: Vec<&str> = texts(definition, "status.storedVersions").collect();
    if stored.is_empty() {
        out.push(FieldError::invalid(path, Value::Array(Vec::new()), "must have at least one stored version"));
        return;
    }
    let versions = list(definition, "spec.versions");
    for version in versions {
        let name = text(version, "name");
        if version.get("storage") == Some(&Value::Bool(true)) && !stored.contains(&name) {
            out.push(FieldError::invalid(path, stored.clone(), format!("must have the storage version {name}")));
        }
    }
    for (i, name) in stored.iter().enumerate() {
        if versions.iter().all(|version| text(version, "name") != *name) {
            let words = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            out.push(FieldError::invalid(&path.index(i), *name, words));
        }
    }
}

/// Groups of the Kubernetes community need a word of its reviewers (`validateAPIApproval`).
fn approval(new: &Value, old: Option<&Value>, out: &mut FieldErrors) {
    const KEY: &str = "api-approved.kubernetes.io";
    let group = text(new, "spec.group");
    let protected = |group: &str| {
        ["k8s.io", "kubernetes.io"].iter().any(|domain| group == *domain || group.ends_with(&format!(".{domain}")))
    };
    if !protected(group) {
        return;
    }
    let of = |definition: &Value| {
        let annotations = get(definition, "metadata.annotations");
        annotations.and_then(|a| a.get(KEY)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let approved = |word: &str| word.starts_with("http://") || word.starts_with("https://");
    let value = of(new);
    let path = Path::new("metadata").child("annotations").key(KEY);
    if old.is_some_and(|old| of(old) == value) || approved(&value) || value.starts_with("unapproved") {
        return;
    }
    let why = "see https://github.com/kubernetes/enhancements/pull/1111";
    if value.is_empty() {
        out.push(FieldError::required(&path, format!("protected groups must have approval annotation {KEY:?}, {why}")));
    } else {
        let words = format!(
            "protected groups must have approval annotation {KEY:?} with either a URL or a reason starting with \
             \"unapproved\", {why}"
        );
        out.push(FieldError::invalid(&path, value, words));
    }
}
