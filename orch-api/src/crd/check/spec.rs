//! The spec of a definition: group, scope, names, versions, columns, subresources, conversion.

use super::{
    schema,
    tree::{any, flag, get, has, items, text},
};
use crate::{
    FieldError, FieldErrors, Path,
    access::{boolean, condition, get as at, list, text as text_at, texts},
    crd::{
        bundle, field_path,
        node::{Node, Type},
    },
    names,
};
use serde_json::Value;

/// As many selectable fields as a version may have.
const SELECTABLE_MAX: usize = 8;

/// A part of the versions with the path that upstream gives it: above the versions where it is the same in all.
fn hoisted<'a>(definition: &'a Value, field: &str, above: &str) -> Vec<(Path, &'a Value)> {
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

fn subresources(part: &Value, path: &Path, out: &mut FieldErrors) {
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

fn printer_column(column: &Value, path: &Path, out: &mut FieldErrors) {
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

fn selectable_fields(definition: &Value, out: &mut FieldErrors) {
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

fn conversion(definition: &Value, old: Option<&Value>, path: &Path, out: &mut FieldErrors) {
    let Some(conversion) = at(definition, "spec.conversion").filter(|c| c.is_object()) else { return };
    let at_client = path.child("webhookClientConfig");
    let client = at(conversion, "webhook.clientConfig").filter(|c| !c.is_null());
    let versions: Vec<&str> = texts(conversion, "webhook.conversionReviewVersions").collect();
    match text(conversion, "strategy") {
        "Webhook" => {}
        "None" => {
            if client.is_some() {
                let words = "should not be set when strategy is not set to Webhook";
                out.push(FieldError::forbidden(&at_client, words));
            }
            if !versions.is_empty() {
                let words = "should not be set when strategy is not set to Webhook";
                out.push(FieldError::forbidden(&path.child("conversionReviewVersions"), words));
            }
            return;
        }
        "" => return out.push(FieldError::required(&path.child("strategy"), "")),
        other => return out.push(FieldError::not_supported(&path.child("strategy"), other, &["None", "Webhook"])),
    }
    match client {
        None => out.push(FieldError::required(&at_client, "required when strategy is set to Webhook")),
        Some(client) => match (has(client, "url"), get(client, "service")) {
            (true, Some(_)) | (false, None) => {
                out.push(FieldError::required(&at_client, "exactly one of url or service is required"));
            }
            (true, None) => url(text(client, "url"), &at_client.child("url"), out),
            (false, Some(service)) => service_reference(service, &at_client.child("service"), out),
        },
    }
    let bundle = client.map_or("", |client| text(client, "caBundle"));
    if let Some(why) = bundle::fault(bundle).filter(|_| !old.is_none_or(may_have_no_authority)) {
        out.push(FieldError::invalid(&at_client.child("caBundle"), bundle, why));
    }
    review_versions(&versions, old, &path.child("conversionReviewVersions"), out);
}

/// Whether a definition may have an unreadable bundle of authorities: it has already, or serves nothing yet.
fn may_have_no_authority(old: &Value) -> bool {
    let established = condition(old, "Established").is_some_and(|c| text_at(c, "status") == "True");
    !established || bundle::fault(text_at(old, "spec.conversion.webhook.clientConfig.caBundle")).is_some()
}

fn url(text: &str, path: &Path, out: &mut FieldErrors) {
    let form = "desired format: https://host[/path]";
    let Some(rest) = text.strip_prefix("https://") else {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let words = format!("'https' is the only allowed URL scheme; {form}");
        out.push(FieldError::invalid(path, scheme, words));
        return;
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        out.push(FieldError::invalid(path, "", format!("host must be specified; {form}")));
    }
    if let Some((user, _)) = host.split_once('@') {
        let words = "user information is not permitted in the URL";
        out.push(FieldError::invalid(path, user, words));
    }
    for (sign, words) in
        [('#', "fragments are not permitted in the URL"), ('?', "query parameters are not permitted in the URL")]
    {
        if let Some((_, part)) = rest.split_once(sign) {
            out.push(FieldError::invalid(path, part, words));
        }
    }
}

fn service_reference(service: &Value, path: &Path, out: &mut FieldErrors) {
    for (field, words) in [("name", "service name is required"), ("namespace", "service namespace is required")] {
        if text(service, field).is_empty() {
            out.push(FieldError::required(&path.child(field), words));
        }
    }
    if let Some(port) = get(service, "port").and_then(Value::as_i64) {
        for why in names::port_number(port) {
            let words = format!("port is not valid: {why}");
            out.push(FieldError::invalid(&path.child("port"), port, words));
        }
    }
}

fn review_versions(versions: &[&str], old: Option<&Value>, path: &Path, out: &mut FieldErrors) {
    if versions.is_empty() {
        return out.push(FieldError::required(path, ""));
    }
    let known = |version: &&str| matches!(*version, "v1" | "v1beta1");
    for (i, version) in versions.iter().enumerate() {
        if versions.iter().take(i).any(|other| other == version) {
            out.push(FieldError::invalid(&path.index(i), *version, "duplicate version"));
            continue;
        }
        for why in names::dns1035_label(version) {
            out.push(FieldError::invalid(&path.index(i), *version, why));
        }
    }
    let lax = old.is_some_and(|old| {
        let mut before = texts(old, "spec.conversion.webhook.conversionReviewVersions").peekable();
        before.peek().is_some() && !before.any(|version| known(&version))
    });
    if !lax && !versions.iter().any(known) {
        out.push(FieldError::invalid(path, versions.to_vec(), "must include at least one of v1, v1beta1"));
    }
}
