//! The schemas of the built-in types: what schemars says of k8s-openapi's types, joined with [`super::facts`].

use super::{
    Fields, List, ListMerge, Scalar, Schema, Shape,
    facts::{self, Fact},
    roots,
};
use crate::{key::Name, protobuf};
use serde_json::{Map, Value};
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The schema of a built-in definition such as `io.k8s.api.core.v1.Pod`, built at first use and then shared.
/// Types that appear inside of others (`…v1.PodSpec`) are known by their names too.
pub fn builtin(definition: &str) -> Option<Arc<Schema>> {
    let mut cache = cache().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = cache.get(definition) {
        return Some(known.clone());
    }
    let definitions = roots::definitions(definition).unwrap_or_else(|| roots_that_mention(definition));
    if !definitions.contains_key(definition) {
        return None;
    }
    Some(Builder { definitions: &definitions, done: &mut cache, open: Vec::new() }.definition(definition))
}

/// The schema that a [`Shape::Ref`] stands for; any other schema stands for itself.
pub fn resolve(schema: &Arc<Schema>) -> Arc<Schema> {
    match &schema.shape {
        Shape::Ref(name) => builtin(name).unwrap_or_default(),
        _ => schema.clone(),
    }
}

/// A part that no root is named after: every root is asked. Happens at most once per part.
fn roots_that_mention(definition: &str) -> Map<String, Value> {
    roots::names().filter_map(roots::definitions).find(|all| all.contains_key(definition)).unwrap_or_default()
}

fn cache() -> &'static Mutex<HashMap<String, Arc<Schema>>> {
    static CACHE: OnceLock<Mutex<HashMap<String, Arc<Schema>>>> = OnceLock::new();
    CACHE.get_or_init(Mutex::default)
}

struct Builder<'a> {
    definitions: &'a Map<String, Value>,
    done: &'a mut HashMap<String, Arc<Schema>>,
    /// Definitions under construction: meeting one again is recursion.
    open: Vec<String>,
}

impl Builder<'_> {
    fn definition(&mut self, name: &str) -> Arc<Schema> {
        if let Some(known) = self.done.get(name) {
            return known.clone();
        }
        if self.open.iter().any(|open| open == name) {
            return Arc::new(Schema { shape: Shape::Ref(Cow::Owned(name.to_owned())), ..Schema::default() });
        }
        self.open.push(name.to_owned());
        let shape = match special(name) {
            Some(shape) => shape,
            None => self.definitions.get(name).map_or(Shape::Any, |json| self.shape(name, json)),
        };
        self.open.pop();
        let schema = Arc::new(Schema { shape, ..Schema::default() });
        self.done.insert(name.to_owned(), schema.clone());
        schema
    }

    fn schema(&mut self, json: &Value) -> Arc<Schema> {
        match json.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
            Some(name) => self.definition(name),
            None => Arc::new(Schema { shape: self.shape("", json), ..Schema::default() }),
        }
    }

    fn shape(&mut self, definition: &str, json: &Value) -> Shape {
        let word = |name| json.get(name).and_then(Value::as_str).unwrap_or_default();
        match (word("type"), word("format")) {
            ("object", _) => self.object(definition, json),
            ("array", _) => {
                let items = json.get("items").map(|items| self.schema(items)).unwrap_or_default();
                Shape::List(List { items, ..List::default() })
            }
            ("string", "byte") => Shape::Scalar(Scalar::Bytes),
            ("string", "date-time") => Shape::Scalar(Scalar::Time),
            ("string", _) => Shape::Scalar(Scalar::String),
            ("integer", "int32") => Shape::Scalar(Scalar::Int32),
            ("integer", _) => Shape::Scalar(Scalar::Int64),
            ("number", _) => Shape::Scalar(Scalar::Number),
            ("boolean", _) => Shape::Scalar(Scalar::Boolean),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, definition: &str, json: &Value) -> Shape {
        if let Some(values) = json.get("additionalProperties") {
            return Shape::Map { values: self.schema(values), atomic: false };
        }
        let required = json.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let mut properties = BTreeMap::new();
        for (name, json) in json.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let schema = self.schema(json);
            let mut schema =
                facts::of(definition, name).map_or_else(|| schema.clone(), |fact| with_fact(&schema, fact));
            let omits = protobuf::omits_empty(facts::short(definition), name);
            // Of what the table does not know, a list or a map is no pointer, and everything else may be one.
            if omits
                .unwrap_or(matches!(schema.shape, Shape::List(_) | Shape::Map { .. }) && !required.contains(&&**name))
            {
                Arc::make_mut(&mut schema).omit_empty = true;
            }
            properties.insert(Cow::Owned(name.clone()), schema);
        }
        Shape::Object(Fields {
            definition: Cow::Owned(definition.to_owned()),
            type_name: Cow::Owned(definition.rsplit('.').next().unwrap_or_default().to_owned()),
            properties,
            required: required.into_iter().map(|name| Name::Owned(name.to_owned())).collect(),
            atomic: facts::of(definition, ".").and_then(|fact| fact.atomic).unwrap_or_default(),
            ..Fields::default()
        })
    }
}

/// The shapes that JSON Schema cannot tell apart.
fn special(definition: &str) -> Option<Shape> {
    Some(match definition.rsplit('.').next()? {
        "Quantity" => Shape::Scalar(Scalar::Quantity),
        "IntOrString" => Shape::Scalar(Scalar::IntOrString),
        "Time" => Shape::Scalar(Scalar::Time),
        "MicroTime" => Shape::Scalar(Scalar::MicroTime),
        "RawExtension" | "FieldsV1" | "JSON" => Shape::Any,
        _ => return None,
    })
}

/// A field's own facts stand above those of its type.
fn with_fact(schema: &Arc<Schema>, fact: &Fact) -> Arc<Schema> {
    let mut schema = Schema::clone(schema);
    match &mut schema.shape {
        Shape::List(list) => {
            list.merge = fact.list.clone().unwrap_or(ListMerge::Atomic);
            list.patch = fact.patch.clone().unwrap_or_default();
            if fact.retain_keys {
                let mut items = Schema::clone(&list.items);
                if let Shape::Object(fields) = &mut items.shape {
                    fields.retain_keys = true;
                }
                list.items = Arc::new(items);
            }
        }
        Shape::Map { atomic, .. } => *atomic = fact.atomic.unwrap_or(*atomic),
        Shape::Object(fields) => {
            fields.atomic = fact.atomic.unwrap_or(fields.atomic);
            fields.retain_keys = fact.retain_keys;
        }
        _ => {}
    }
    schema.default = fact.default.clone();
    Arc::new(schema)
}
