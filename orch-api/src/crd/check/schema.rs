//! The schema of a version: what OpenAPI allows of it, list types, and rules with their estimated cost
//! (`ValidateCustomResourceDefinitionOpenAPISchema`, `cel_validation.go`).

use super::{
    defaults, structural,
    tree::{entries, flag, get, has, items, object, text},
};
use crate::{
    FieldError, FieldErrors, Path,
    crd::{
        decl, field_path,
        node::Node,
        rules::{self, Compiled},
    },
};
use serde_json::Value;
use std::sync::Arc;

/// The most that one rule may be estimated to cost.
pub(super) const RULE_LIMIT: u64 = 10_000_000;
/// The most that all rules of a schema may be estimated to cost.
const SCHEMA_LIMIT: u64 = 100_000_000;

/// Judges a schema. `status` says that the version has the subresource; `unchanged`, that the schema stood so before.
pub(super) fn check(path: &Path, schema: &Value, status: bool, unchanged: bool, out: &mut FieldErrors) {
    let before = out.len();
    if status {
        root_fields(path, schema, out);
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

/// With a status subresource the root says little beside its properties, so that the status can be judged alone.
fn root_fields(path: &Path, schema: &Value, out: &mut FieldErrors) {
    const ALLOWED: [(&str, &str); 22] = [
        ("description", "Description"),
        ("type", "Type"),
        ("format", "Format"),
        ("title", "Title"),
        ("maximum", "Maximum"),
        ("exclusiveMaximum", "ExclusiveMaximum"),
        ("minimum", "Minimum"),
        ("exclusiveMinimum", "ExclusiveMinimum"),
        ("maxLength", "MaxLength"),
        ("minLength", "MinLength"),
        ("pattern", "Pattern"),
        ("maxItems", "MaxItems"),
        ("minItems", "MinItems"),
        ("uniqueItems", "UniqueItems"),
        ("multipleOf", "MultipleOf"),
        ("required", "Required"),
        ("items", "Items"),
        ("properties", "Properties"),
        ("externalDocs", "ExternalDocs"),
        ("example", "Example"),
        ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
        ("x-kubernetes-validations", "XValidations"),
    ];
    let ty = text(schema, "type");
    if !ty.is_empty() && ty != "object" {
        let words =
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        out.push(FieldError::invalid(&path.child("type"), ty, words));
        return;
    }
    let fields = schema.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    let strange = |field: &&str| has(schema, field) && ALLOWED.iter().all(|(allowed, _)| allowed != field);
    if fields.into_iter().any(|field| strange(&field)) {
        let words: Vec<&str> = ALLOWED.iter().map(|(_, word)| *word).collect();
        let words = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            words.join(" ")
        );
        out.push(FieldError::invalid(path, schema.clone(), words));
    }
}

fn too_expensive(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = match factor {
        f if f > 100.0 => "more than 100x".to_owned(),
        f if f < 1.5 => format!("{f:.6}x"),
        f => format!("{f:.1}x"),
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
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

    fn maps(&mut self, path: &Path, schema: &Value) {
        let Some(map_type) = get(schema, "x-kubernetes-map-type").and_then(Value::as_str) else { return };
        let words = "must be object if x-kubernetes-map-type is specified";
        self.must_be(&path.child("type"), text(schema, "type"), "object", words);
        if !matches!(map_type, "atomic" | "granular") {
            let path = path.child("x-kubernetes-map-type");
            self.out.push(FieldError::not_supported(&path, map_type, &["atomic", "granular"]));
        }
    }

    fn must_be(&mut self, path: &Path, found: &str, wanted: &str, words: &str) {
        match found {
            "" => self.out.push(FieldError::required(path, words)),
            found if found != wanted => self.out.push(FieldError::invalid(path, found, words)),
            _ => {}
        }
    }

    fn lists(&mut self, path: &Path, schema: &Value) {
        let list_type = get(schema, "x-kubernetes-list-type").and_then(Value::as_str);
        let keys: Vec<&str> = items(schema, "x-kubernetes-list-map-keys").filter_map(|(_, k)| k.as_str()).collect();
        let inner = object(schema, "items");
        let at_type = path.child("x-kubernetes-list-type");
        match list_type {
            Some(_) if text(schema, "type") != "array" => {
                let words = "must be array if x-kubernetes-list-type is specified";
                self.must_be(&path.child("type"), text(schema, "type"), "array", words);
            }
            Some("set") => {
                if let Some(inner) = inner {
                    self.set_items(&path.child("items"), inner);
                }
            }
            _ => {}
        }
        if let Some(other) = list_type.filter(|t| !matches!(*t, "atomic" | "set" | "map")) {
            self.out.push(FieldError::not_supported(&at_type, other, &["atomic", "set", "map"]));
        }
        if !keys.is_empty() && list_type != Some("map") {
            let words = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.out.push(match list_type {
                None => FieldError::required(&at_type, words),
                Some(other) => FieldError::invalid(&at_type, other, words),
            });
        }
        if list_type == Some("map") {
            self.map_list(path, schema, &keys);
        }
        if let (Some(list_type @ ("set" | "map")), Some(inner)) = (list_type, inner) {
            if flag(inner, "nullable") {
                let words = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
                self.out.push(FieldError::forbidden(&path.child("items").child("nullable"), words));
            }
            if list_type == "map" {
                self.map_keys(&path.child("items"), inner, &keys);
            }
        }
    }

    fn set_items(&mut self, path: &Path, items: &Value) {
        let words = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let list_type = get(items, "x-kubernetes-list-type").and_then(Value::as_str);
        match text(items, "type") {
            "array" if list_type.is_some_and(|t| t != "atomic") => {
                let path = path.child("x-kubernetes-list-type");
                self.out.push(FieldError::invalid(&path, list_type, words));
            }
            "object" if text(items, "x-kubernetes-map-type") != "atomic" => {
                let path = path.child("x-kubernetes-map-type");
                self.out.push(FieldError::invalid(&path, list_type, words));
            }
            _ => {}
        }
    }

    fn map_list(&mut self, path: &Path, schema: &Value, keys: &[&str]) {
        let at_keys = path.child("x-kubernetes-list-map-keys");
        if keys.is_empty() {
            self.out.push(FieldError::required(&at_keys, "must not be empty if x-kubernetes-list-type is map"));
        }
        let Some(inner) = object(schema, "items") else {
            let words = "must have a schema if x-kubernetes-list-type is map";
            self.out.push(FieldError::required(&path.child("items"), words));
            return;
        };
        if text(inner, "type") != "object" {
            let words = "must be object if parent array's x-kubernetes-list-type is map";
            let path = path.child("items").child("type");
            self.out.push(FieldError::invalid(&path, text(inner, "type"), words));
            return;
        }
        for (i, key) in keys.iter().enumerate() {
            match get(inner, "properties").and_then(|p| p.get(*key)) {
                Some(field) if matches!(text(field, "type"), "array" | "object") => {
                    let words = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    let path = path.child("items").child("properties").key(key).child("type");
                    self.out.push(FieldError::invalid(&path, text(inner, "type"), words));
                }
                Some(_) => {}
                None => {
                    let words = "entries must all be names of item properties";
                    self.out.push(FieldError::invalid(&at_keys, keys.to_vec(), words));
                }
            }
            if keys.iter().take(i).any(|other| other == key) {
                self.out.push(FieldError::invalid(&at_keys, keys.to_vec(), "must not contain duplicate entries"));
            }
        }
    }

    /// Keys always have a value.
    fn map_keys(&mut self, path: &Path, inner: &Value, keys: &[&str]) {
        for key in keys {
            let Some(field) = get(inner, "properties").and_then(|p| p.get(*key)) else { continue };
            let path = path.child("properties").key(key);
            let required = items(inner, "required").any(|(_, name)| name == key);
            if !required && get(field, "default").is_none() {
                let words = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                     property";
                self.out.push(FieldError::required(&path.child("default"), words));
            }
            if flag(field, "nullable") {
                let words = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.out.push(FieldError::forbidden(&path.child("nullable"), words));
            }
        }
    }

    fn rule_texts(&mut self, path: &Path, schema: &Value, node: &Arc<Node>) {
        const REASONS: [&str; 4] =
            ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        for (i, rule) in items(schema, "x-kubernetes-validations") {
            let path = path.child("x-kubernetes-validations").index(i);
            let (words, message) = (text(rule, "rule").trim(), text(rule, "message"));
            let breaks = |text: &str| text.contains(['\n', '\r']);
            if words.is_empty() {
                self.out.push(FieldError::required(&path.child("rule"), "rule is not specified"));
            } else if !message.is_empty() && message.trim().is_empty() {
                let why = "must be non-empty if specified";
                self.out.push(FieldError::invalid(&path.child("message"), message, why));
            } else if breaks(message.trim()) {
                self.out.push(FieldError::invalid(&path.child("message"), message, "must not contain line breaks"));
            } else if breaks(words) && message.is_empty() {
                let why = "message must be specified if rule contains line breaks";
                self.out.push(FieldError::required(&path.child("message"), why));
            }
            let expression = text(rule, "messageExpression");
            if !expression.is_empty() && expression.trim().is_empty() {
                let why = "messageExpression must be non-empty if specified";
                self.out.push(FieldError::required(&path.child("messageExpression"), why));
            }
            let reason = text(rule, "reason");
            if !reason.is_empty() && !REASONS.contains(&reason) {
                self.out.push(FieldError::not_supported(&path.child("reason"), reason, &REASONS));
            }
            let field = text(rule, "fieldPath");
            if field.is_empty() {
                continue;
            }
            let path = path.child("fieldPath");
            if field.trim().is_empty() {
                self.out.push(FieldError::invalid(&path, field, "must be non-empty if specified"));
            }
            if breaks(field) {
                self.out.push(FieldError::invalid(&path, field, "must not contain line breaks"));
            }
            if field_path::resolve(field, node, true).is_err() {
                self.out.push(FieldError::invalid(&path, field, "must be a valid path"));
            }
        }
    }

    fn compile(&mut self, path: &Path, schema: &Value, node: &Arc<Node>, here: &Here) {
        let Some(cardinality) = here.cardinality else { return };
        let path = path.child("x-kubernetes-validations");
        let resource = here.root || node.embedded;
        let Some(decl) = decl::of(node, resource).map(Arc::new) else {
            let words = "internal error: failed to construct type information for x-kubernetes-validations rules: unable \
                 to convert structural schema to CEL declarations";
            self.rules.push(FieldError::internal(&path, words));
            return;
        };
        let unbounded = decl::REQUEST / (decl.min_size + 1);
        let times = cardinality.unwrap_or(unbounded);
        for ((i, source), rule) in items(schema, "x-kubernetes-validations").zip(&node.validations) {
            let path = path.index(i);
            match rules::compile(&decl, rule) {
                Err(why) => self.rules.push(FieldError::invalid(&path.child("rule"), source.clone(), why)),
                Ok(compiled) => self.compiled(&path, source, &compiled, times, here),
            }
        }
    }

    fn compiled(&mut self, path: &Path, source: &Value, compiled: &Compiled, times: u64, here: &Here) {
        let cost = compiled.program.cost().max.saturating_mul(times);
        self.observe(path.child("rule"), "estimated rule cost", cost);
        match &compiled.message {
            Some(Err(why)) => {
                self.rules.push(FieldError::invalid(&path.child("messageExpression"), source.clone(), why.clone()));
            }
            Some(Ok(message)) => {
                let cost = message.cost().max;
                self.observe(path.child("messageExpression"), "estimated messageExpression cost", cost);
            }
            None => {}
        }
        let optional = get(source, "optionalOldSelf").and_then(Value::as_bool);
        if compiled.uses_old {
            if let Some(above) = &here.no_old {
                let words =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
                self.rules.push(FieldError::invalid(&path.child("rule"), text(source, "rule"), words));
            }
        } else if let Some(optional) = optional {
            let words = "may not be set if oldSelf is not used in rule";
            self.rules.push(FieldError::invalid(&path.child("optionalOldSelf"), optional, words));
        }
    }

    fn observe(&mut self, path: Path, what: &str, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost > RULE_LIMIT && !self.unchanged {
            self.rules.push(FieldError::forbidden(&path, too_expensive(what, cost, RULE_LIMIT)));
        }
        if cost >= SCHEMA_LIMIT / 100 {
            self.expensive.push((path, cost));
        }
    }
}
