//! From v3's words to v2's (`kube-openapi/pkg/handler`, `apiextensions-apiserver/pkg/controller/openapi/v2`).

use super::super::schemas::REF;
use serde_json::{Map, Value, json};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];
const V3: &str = "#/components/schemas/";
const V2: &str = "#/definitions/";

/// What v2 has no word for, or old clients take amiss. References with something beside them are unwrapped before.
const UNKNOWN: [&str; 6] = ["oneOf", "anyOf", "allOf", "not", "nullable", "default"];

/// A document in the making.
pub(in super::super) struct Builder {
    paths: Map<String, Value>,
    definitions: Map<String, Value>,
}

impl Builder {
    pub(in super::super) fn new() -> Self {
        Self { paths: Map::new(), definitions: Map::new() }
    }

    /// Adds the paths of a v3 document.
    pub(in super::super) fn paths(&mut self, paths: Map<String, Value>) {
        for (path, item) in paths {
            self.paths.insert(path, page(item));
        }
    }

    /// Adds the schemas of a v3 document; those that are there already are the same.
    pub(in super::super) fn schemas(&mut self, schemas: Map<String, Value>) {
        for (name, schema) in schemas {
            if !self.definitions.contains_key(&name) {
                self.definitions.insert(name, definition(schema));
            }
        }
    }

    /// The document.
    pub(in super::super) fn finish(self, version: &str) -> Value {
        json!({
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": version},
            "paths": self.paths,
            "definitions": self.definitions,
            "securityDefinitions": {"BearerToken": {
                "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
            }},
            "security": [{"BearerToken": []}],
        })
    }
}

fn page(mut item: Value) -> Value {
    let Value::Object(page) = &mut item else { return item };
    for (key, value) in page.iter_mut() {
        match key.as_str() {
            "parameters" => parameters(value),
            method if METHODS.contains(&method) => operation(value),
            _ => {}
        }
    }
    item
}

fn operation(operation: &mut Value) {
    let Value::Object(fields) = operation else { return };
    let body = fields.remove("requestBody");
    let sent: Vec<String> = body.as_ref().map(types).unwrap_or_default();
    let consumes = if sent.is_empty() { vec!["*/*".to_owned()] } else { sent };
    let mut produces = Vec::new();
    for response in fields.get_mut("responses").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let Value::Object(response) = response else { continue };
        let Some(content) = response.remove("content") else { continue };
        let content = json!({"content": content});
        types(&content).into_iter().for_each(|kind| {
            if !produces.contains(&kind) {
                produces.push(kind);
            }
        });
        if let Some(schema) = schema_of(&content) {
            response.insert("schema".into(), definition(schema));
        }
    }
    if produces.is_empty() {
        produces.push("application/json".into());
    }
    let list = fields.entry("parameters").or_insert_with(|| json!([]));
    parameters(list);
    if let (Value::Array(list), Some(body)) = (list, body) {
        let mut parameter = json!({"name": "body", "in": "body"});
        parameter["schema"] = schema_of(&body).map_or_else(|| json!({"type": "object"}), definition);
        if body.get("required") == Some(&Value::Bool(true)) {
            parameter["required"] = true.into();
        }
        list.insert(0, parameter);
    }
    fields.insert("consumes".into(), consumes.into());
    fields.insert("produces".into(), produces.into());
    fields.insert("schemes".into(), json!(["https"]));
}

/// The media types of a body or answer.
fn types(of: &Value) -> Vec<String> {
    of.get("content").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned().collect()
}

/// The schema of a body or answer, which is the same for each media type.
fn schema_of(of: &Value) -> Option<Value> {
    of.get("content")?.as_object()?.values().next()?.get("schema").cloned()
}

/// Parameters have their type beside their name, not in a schema.
fn parameters(list: &mut Value) {
    for parameter in list.as_array_mut().into_iter().flatten() {
        let Value::Object(fields) = parameter else { continue };
        if let Some(Value::Object(schema)) = fields.remove("schema") {
            fields.extend(schema);
        }
    }
}

/// A schema and all in it.
pub(super) fn definition(mut schema: Value) -> Value {
    convert(&mut schema);
    schema
}

fn convert(schema: &mut Value) {
    let Value::Object(fields) = schema else { return };
    if let Some(target) = reference(fields) {
        fields.insert(REF.into(), target.into());
    }
    let is_number_or_string = fields.get("oneOf").is_some_and(|one| {
        one.as_array().is_some_and(|of| of.len() == 2 && of.iter().any(|kind| kind["type"] == "string"))
    });
    if is_number_or_string {
        fields.insert("type".into(), "string".into());
    }
    // What may be null has no type that old clients would accept null for.
    if fields.get("nullable") == Some(&Value::Bool(true)) {
        ["type", "items", "properties"].iter().for_each(|word| drop(fields.remove(*word)));
    }
    // Old clients refuse fields beside those that are named.
    if fields.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        ["items", "properties"].iter().for_each(|word| drop(fields.remove(*word)));
    }
    UNKNOWN.iter().for_each(|word| drop(fields.remove(*word)));
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            convert(inner);
        }
    }
    for (_, property) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        convert(property);
    }
}

/// What a schema refers to, in v2's words; v3 wraps references that have something beside them.
fn reference(fields: &Map<String, Value>) -> Option<String> {
    let wrapped = fields.get("allOf").and_then(Value::as_array).filter(|all| all.len() == 1);
    let target = fields.get(REF).or_else(|| wrapped?.first()?.get(REF))?.as_str()?;
    Some(match target.strip_prefix(V3) {
        Some(name) => format!("{V2}{name}"),
        None => target.to_owned(),
    })
}
