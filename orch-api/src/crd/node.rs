//! [`Node`]: a schema of a custom kind, read from the JSON of a CustomResourceDefinition
//! (`apiextensions-apiserver/pkg/apiserver/schema`).

use crate::{key::Name, pattern, schema::ListMerge};
use regex::Regex;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// What JSON type a schema asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Any.
    #[default]
    Any,
    /// `object`
    Object,
    /// `array`
    Array,
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
}

/// A schema.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The type.
    pub ty: Type,
    /// Known fields.
    pub properties: BTreeMap<String, Arc<Node>>,
    /// What holds for fields that are not known.
    pub additional: Additional,
    /// The items of a list.
    pub items: Option<Arc<Node>>,
    /// What stands for an absent field.
    pub default: Option<Value>,
    /// Whether null is a value.
    pub nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve_unknown: bool,
    /// `x-kubernetes-int-or-string`
    pub int_or_string: bool,
    /// `x-kubernetes-embedded-resource`
    pub embedded: bool,
    /// `x-kubernetes-list-type` with its keys.
    pub list: ListMerge,
    /// `x-kubernetes-map-type: atomic`
    pub atomic: bool,
    /// What values must fulfil.
    pub rules: Box<Rules>,
    /// `x-kubernetes-validations`
    pub validations: Vec<Validation>,
}

/// `additionalProperties`
#[derive(Clone, Debug, Default)]
pub enum Additional {
    /// Not specified.
    #[default]
    None,
    /// `true` or `false`.
    Any(bool),
    /// Of this schema.
    Schema(Arc<Node>),
}

/// What values must fulfil beside their type.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// `format`
    pub format: String,
    /// `maximum` and whether it is exclusive.
    pub maximum: Option<(f64, bool)>,
    /// `minimum` and whether it is exclusive.
    pub minimum: Option<(f64, bool)>,
    /// `multipleOf`
    pub multiple_of: Option<f64>,
    /// `maxLength`
    pub max_length: Option<i64>,
    /// `minLength`
    pub min_length: Option<i64>,
    /// `pattern`, and compiled where it is one.
    pub pattern: Option<(String, Option<Arc<Regex>>)>,
    /// `maxItems`
    pub max_items: Option<i64>,
    /// `minItems`
    pub min_items: Option<i64>,
    /// `uniqueItems`
    pub unique_items: bool,
    /// `maxProperties`
    pub max_properties: Option<i64>,
    /// `minProperties`
    pub min_properties: Option<i64>,
    /// `required`
    pub required: Vec<String>,
    /// `enum`
    pub allowed: Vec<Value>,
    /// `allOf`
    pub all_of: Vec<Node>,
    /// `anyOf`
    pub any_of: Vec<Node>,
    /// `oneOf`
    pub one_of: Vec<Node>,
    /// `not`
    pub not: Option<Box<Node>>,
}

/// An entry of `x-kubernetes-validations`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// The expression that must hold.
    pub rule: String,
    /// What is said where it does not.
    pub message: String,
    /// An expression that says it.
    pub message_expression: String,
    /// `FieldValueInvalid`, …
    pub reason: String,
    /// The field that is at fault.
    pub field_path: String,
    /// Whether `oldSelf` is optional.
    pub optional_old_self: Option<bool>,
}

impl Node {
    /// Reads a schema. What makes no sense is left out: the definition's validation has refused it.
    pub fn read(json: &Value) -> Self {
        let object = json.as_object();
        let get = |name: &str| object.and_then(|o| o.get(name)).filter(|v| !v.is_null());
        let flag = |name: &str| get(name).and_then(Value::as_bool).unwrap_or_default();
        Self {
            ty: Type::read(get("type").and_then(Value::as_str).unwrap_or_default()),
            properties: children(get("properties")),
            additional: match get("additionalProperties") {
                None => Additional::None,
                Some(Value::Bool(any)) => Additional::Any(*any),
                Some(schema) => Additional::Schema(Arc::new(Self::read(schema))),
            },
            items: get("items").filter(|items| items.is_object()).map(|items| Arc::new(Self::read(items))),
            default: get("default").cloned(),
            nullable: flag("nullable"),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            embedded: flag("x-kubernetes-embedded-resource"),
            list: list_merge(get("x-kubernetes-list-type"), get("x-kubernetes-list-map-keys")),
            atomic: get("x-kubernetes-map-type").is_some_and(|t| t == "atomic"),
            rules: Box::new(Rules::read(object)),
            validations: array(get("x-kubernetes-validations")).map(Validation::read).collect(),
        }
    }

    /// The schema of a field, known or not.
    pub fn field(&self, name: &str) -> Option<&Arc<Node>> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            _ => None,
        })
    }

    /// Whether a field of that name may be there.
    pub fn knows(&self, name: &str) -> bool {
        self.properties.contains_key(name) || !matches!(self.additional, Additional::None | Additional::Any(false))
    }

    /// The same schema for an object that says of what kind it is.
    pub fn as_resource(&self) -> Self {
        Self { embedded: true, ..self.clone() }
    }
}

impl Type {
    fn read(word: &str) -> Self {
        match word {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => Self::Any,
        }
    }

    /// The word in the schema; empty for any.
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl Rules {
    fn read(object: Option<&Map<String, Value>>) -> Self {
        let get = |name: &str| object.and_then(|o| o.get(name)).filter(|v| !v.is_null());
        let number = |name: &str| get(name).and_then(Value::as_f64);
        let whole = |name: &str| get(name).and_then(|v| v.as_i64().or_else(|| v.as_f64().map(|f| f as i64)));
        let flag = |name: &str| get(name).and_then(Value::as_bool).unwrap_or_default();
        let nodes = |name: &str| array(get(name)).map(Node::read).collect();
        Self {
            format: get("format").and_then(Value::as_str).unwrap_or_default().to_owned(),
            maximum: number("maximum").map(|n| (n, flag("exclusiveMaximum"))),
            minimum: number("minimum").map(|n| (n, flag("exclusiveMinimum"))),
            multiple_of: number("multipleOf"),
            max_length: whole("maxLength"),
            min_length: whole("minLength"),
            pattern: get("pattern")
                .and_then(Value::as_str)
                .filter(|pattern| !pattern.is_empty())
                .map(|pattern| (pattern.to_owned(), pattern::compile(pattern).ok())),
            max_items: whole("maxItems"),
            min_items: whole("minItems"),
            unique_items: flag("uniqueItems"),
            max_properties: whole("maxProperties"),
            min_properties: whole("minProperties"),
            required: array(get("required")).filter_map(Value::as_str).map(str::to_owned).collect(),
            allowed: array(get("enum")).cloned().collect(),
            all_of: nodes("allOf"),
            any_of: nodes("anyOf"),
            one_of: nodes("oneOf"),
            not: get("not").map(|not| Box::new(Node::read(not))),
        }
    }
}

impl Validation {
    fn read(json: &Value) -> Self {
        let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            rule: text("rule"),
            message: text("message"),
            message_expression: text("messageExpression"),
            reason: text("reason"),
            field_path: text("fieldPath"),
            optional_old_self: json.get("optionalOldSelf").and_then(Value::as_bool),
        }
    }
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn children(value: Option<&Value>) -> BTreeMap<String, Arc<Node>> {
    let fields = value.and_then(Value::as_object).into_iter().flatten();
    fields.map(|(name, schema)| (name.clone(), Arc::new(Node::read(schema)))).collect()
}

fn list_merge(list_type: Option<&Value>, keys: Option<&Value>) -> ListMerge {
    match list_type.and_then(Value::as_str) {
        Some("set") => ListMerge::Set,
        Some("map") => {
            ListMerge::Map(array(keys).filter_map(Value::as_str).map(|key| Name::Owned(key.to_owned())).collect())
        }
        _ => ListMerge::Atomic,
    }
}
