//! Structural schemas: every value validation has a place in the structure, and nothing else stands in it
//! (`apiserver/schema/validation.go`, `complete.go`).

use super::tree::{any, entries, flag, get, has, items, object, text};
use crate::{FieldError, FieldErrors, Path, pattern};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Why a schema is not structural; sorted.
pub(super) fn check(path: &Path, schema: &Value) -> FieldErrors {
    if let Some(words) = unsupported(schema) {
        return vec![FieldError::invalid(path, "", words)];
    }
    let mut out = Vec::new();
    invariants(path, schema, Level::Root, &mut out);
    complete(path, path, schema, Some(schema), &mut out);
    out.sort_by_key(ToString::to_string);
    out
}

/// What has no form in a structural schema at all.
pub(super) fn unsupported(schema: &Value) -> Option<String> {
    for field in ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"] {
        let name = field.trim_start_matches("$s");
        let name = if field == "$schema" { "schema" } else { name };
        if any(schema, &|s| has(s, field)) {
            return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
        }
    }
    any(schema, &|s| get(s, "items").is_some_and(Value::is_array))
        .then(|| "OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned())
}

fn invariants(path: &Path, schema: &Value, level: Level, out: &mut FieldErrors) {
    let ty = text(schema, "type");
    if ty == "array" && object(schema, "items").is_none() {
        out.push(FieldError::required(&path.child("items"), "must be specified"));
    }
    if let Some(inner) = object(schema, "items") {
        invariants(&path.child("items"), inner, Level::Item, out);
    }
    for (name, inner) in entries(schema, "properties") {
        invariants(&path.child("properties").key(name), inner, Level::Field, out);
    }
    let additional = get(schema, "additionalProperties");
    if additional.is_some() && level == Level::Root {
        out.push(FieldError::forbidden(&path.child("additionalProperties"), "must not be used at the root"));
    }
    if let Some(inner) = additional.filter(|a| a.is_object()) {
        invariants(&path.child("additionalProperties"), inner, Level::Field, out);
    }
    let (int_or_string, embedded, preserve) = (
        flag(schema, "x-kubernetes-int-or-string"),
        flag(schema, "x-kubernetes-embedded-resource"),
        flag(schema, "x-kubernetes-preserve-unknown-fields"),
    );
    for (set, field) in
        [(preserve, "x-kubernetes-preserve-unknown-fields"), (embedded, "x-kubernetes-embedded-resource")]
    {
        if int_or_string && set {
            let words = "must be false if x-kubernetes-int-or-string is true";
            out.push(FieldError::invalid(&path.child(field), true, words));
        }
    }
    values(path, schema, level, is_int_or_string(get(schema, "anyOf")), first_is_int_or_string(schema), out);
    types(path, schema, level, out);
    if embedded && additional.is_some() {
        let words = "must not be used if x-kubernetes-embedded-resource is set";
        out.push(FieldError::forbidden(&path.child("additionalProperties"), words));
    }
    identity(path, schema, level, embedded, out);
    if embedded && !preserve && !has(schema, "properties") {
        let words =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        out.push(FieldError::required(&path.child("properties"), words));
    }
}

fn types(path: &Path, schema: &Value, level: Level, out: &mut FieldErrors) {
    let ty = text(schema, "type");
    let path = path.child("type");
    let free = flag(schema, "x-kubernetes-int-or-string") || flag(schema, "x-kubernetes-preserve-unknown-fields");
    if flag(schema, "x-kubernetes-embedded-resource") && ty != "object" {
        let words = "must be object if x-kubernetes-embedded-resource is true";
        out.push(match ty {
            "" => FieldError::required(&path, words),
            ty => FieldError::invalid(&path, ty, words),
        });
    } else if ty.is_empty() && !free {
        out.push(FieldError::required(
            &path,
            match level {
                Level::Root => "must not be empty at the root",
                Level::Item => "must not be empty for specified array items",
                Level::Field => "must not be empty for specified object fields",
            },
        ));
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        out.push(FieldError::invalid(&path, ty, "must be object at the root"));
    }
}

/// `kind`, `apiVersion` and `metadata` of a resource are Kubernetes'.
fn identity(path: &Path, schema: &Value, level: Level, embedded: bool, out: &mut FieldErrors) {
    let resource = level == Level::Root || embedded;
    let properties = path.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(inner) = get(schema, "properties").and_then(|p| p.get(name)).filter(|_| resource)
            && text(inner, "type") != "string"
        {
            let path = properties.key(name).child("type");
            out.push(FieldError::invalid(&path, text(inner, "type"), "must be string"));
        }
    }
    let Some(metadata) = get(schema, "properties").and_then(|p| p.get("metadata")) else { return };
    let path = properties.key("metadata");
    if resource && text(metadata, "type") != "object" {
        out.push(FieldError::invalid(&path.child("type"), text(metadata, "type"), "must be object"));
    }
    if level == Level::Root {
        let mut rest: Map<String, Value> = metadata.as_object().cloned().unwrap_or_default();
        let names: Vec<&str> = entries(metadata, "properties").map(|(name, _)| name).collect();
        if names.iter().all(|name| matches!(*name, "name" | "generateName")) {
            rest.remove("properties");
        }
        for field in ["type", "default"] {
            rest.remove(field);
        }
        rest.retain(|field, _| has(metadata, field));
        if !rest.is_empty() {
            let words =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            out.push(FieldError::forbidden(&path, words));
        }
    }
}

/// `[{type: integer}, {type: string}]`, the one exception from the rule that alternatives have no types.
fn is_int_or_string(alternatives: Option<&Value>) -> bool {
    alternatives.is_some_and(|a| *a == json!([{"type": "integer"}, {"type": "string"}]))
}

fn first_is_int_or_string(schema: &Value) -> bool {
    items(schema, "allOf").next().is_some_and(|(_, first)| is_int_or_string(get(first, "anyOf")))
}

fn values(path: &Path, schema: &Value, level: Level, skip_any: bool, skip_first: bool, out: &mut FieldErrors) {
    if !skip_any {
        for (i, inner) in items(schema, "anyOf") {
            nested(&path.child("anyOf").index(i), inner, level, false, out);
        }
    }
    for (i, inner) in items(schema, "allOf") {
        nested(&path.child("allOf").index(i), inner, level, skip_first && i == 0, out);
    }
    for (i, inner) in items(schema, "oneOf") {
        nested(&path.child("oneOf").index(i), inner, level, false, out);
    }
    if let Some(inner) = object(schema, "not") {
        nested(&path.child("not"), inner, level, false, out);
    }
    let regex = text(schema, "pattern");
    if let Some(why) = Some(regex).filter(|r| !r.is_empty()).and_then(|r| pattern::compile(r).err()) {
        let words = format!("must be a valid regular expression, but isn't: error parsing regexp: {why}");
        out.push(FieldError::invalid(&path.child("pattern"), regex, words));
    }
}

fn nested(path: &Path, schema: &Value, level: Level, skip_any: bool, out: &mut FieldErrors) {
    values(path, schema, level, skip_any, false, out);
    if let Some(inner) = object(schema, "items") {
        nested(&path.child("items"), inner, level, false, out);
    }
    for (name, inner) in entries(schema, "properties") {
        nested(&path.child("properties").key(name), inner, Level::Field, false, out);
    }
    const FORBIDDEN: [(&str, &str); 12] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
    ];
    for (field, words) in FORBIDDEN {
        let set = match field {
            "additionalProperties" | "default" => get(schema, field).is_some(),
            field => has(schema, field),
        };
        if set {
            out.push(FieldError::forbidden(&path.child(field), words));
        }
    }
    if has(schema, "x-kubernetes-validations") {
        out.push(FieldError::forbidden(&path.child("x-kubernetes-validations"), "must be empty to be structural"));
    }
    if get(schema, "properties").and_then(|p| p.get("metadata")).is_some() {
        let path = path.child("properties").key("metadata");
        out.push(FieldError::forbidden(&path, "must not be specified in a nested context"));
    }
}

/// Everything that alternatives speak of must be specified outside of them too.
fn complete(at: &Path, rule: &Path, values: &Value, structure: Option<&Value>, out: &mut FieldErrors) {
    let Some(structure) = structure else {
        out.push(FieldError::required(at, format!("because it is defined in {rule}")));
        return;
    };
    let within = |path: Path, inner: &Value, out: &mut FieldErrors| {
        complete(at, &path, inner, Some(structure), out);
        parts(at, &path, inner, structure, out);
    };
    if let Some(inner) = object(values, "not") {
        within(rule.child("not"), inner, out);
    }
    for field in ["allOf", "anyOf", "oneOf"] {
        for (i, inner) in items(values, field) {
            within(rule.child(field).index(i), inner, out);
        }
    }
}

fn parts(at: &Path, rule: &Path, values: &Value, structure: &Value, out: &mut FieldErrors) {
    let mut part = |at: Path, rule: Path, values: &Value, structure: Option<&Value>| {
        complete(&at, &rule, values, structure, out);
        if let Some(structure) = structure {
            parts(&at, &rule, values, structure, out);
        }
    };
    if let Some(inner) = object(values, "items") {
        part(at.child("items"), rule.child("items"), inner, object(structure, "items"));
    }
    for (name, inner) in entries(values, "properties") {
        let found = get(structure, "properties").and_then(|p| p.get(name));
        part(at.child("properties").key(name), rule.child("properties").key(name), inner, found);
    }
}
