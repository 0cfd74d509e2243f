//! A v2 document as gnostic's `openapi.v2.Document` (`gnostic/openapiv2/OpenAPIv2.proto`). Only what our documents
//! have is written; values whose kind is open (defaults, extensions) travel as YAML, of which JSON is a part.

use super::message::Message;
use serde_json::{Map, Value};

/// The whole document.
pub(super) fn document(document: &Value) -> Vec<u8> {
    let info = Message::default().text(1, text(&document["info"], "title")).text(2, text(&document["info"], "version"));
    let paths = named(object(document, "paths"), path_item);
    let definitions = named(object(document, "definitions"), schema);
    let key = |key: &Value| {
        let names = Message::default().text(1, text(key, "type")).text(2, text(key, "name"));
        Message::default().message(2, names.text(3, text(key, "in")).text(4, text(key, "description")))
    };
    let required = items(document, "security").iter().filter_map(Value::as_object).map(|all| {
        let each = all.keys().map(|name| Message::default().text(1, name).message(2, Message::default()));
        Message::default().messages(1, each)
    });
    Message::default()
        .text(1, text(document, "swagger"))
        .message(2, info)
        .message(8, Message::default().messages(2, paths))
        .message(9, Message::default().messages(1, definitions))
        .messages(12, required)
        .message(13, Message::default().messages(1, named(object(document, "securityDefinitions"), key)))
        .bytes()
}

fn path_item(item: &Value) -> Message {
    let one = |method: &str| item.get(method).map(operation);
    Message::default()
        .maybe(2, one("get"))
        .maybe(3, one("put"))
        .maybe(4, one("post"))
        .maybe(5, one("delete"))
        .maybe(6, one("options"))
        .maybe(7, one("head"))
        .maybe(8, one("patch"))
        .messages(9, items(item, "parameters").iter().map(parameter))
        .messages(10, extensions(item))
}

fn operation(operation: &Value) -> Message {
    let response = |response: &Value| {
        let schema = response.get("schema").map(|s| Message::default().message(1, schema(s)));
        Message::default().message(1, Message::default().text(1, text(response, "description")).maybe(2, schema))
    };
    Message::default()
        .texts(1, texts(operation, "tags"))
        .text(3, text(operation, "description"))
        .text(5, text(operation, "operationId"))
        .texts(6, texts(operation, "produces"))
        .texts(7, texts(operation, "consumes"))
        .messages(8, items(operation, "parameters").iter().map(parameter))
        .message(9, Message::default().messages(1, named(object(operation, "responses"), response)))
        .texts(10, texts(operation, "schemes"))
        .messages(13, extensions(operation))
}

/// A `ParametersItem`: a body, or one of the query or path.
fn parameter(parameter: &Value) -> Message {
    let (name, place, about) = (text(parameter, "name"), text(parameter, "in"), text(parameter, "description"));
    let (required, kind) = (flag(parameter, "required"), text(parameter, "type"));
    let start = || Message::default().flag(1, required).text(2, place).text(3, about).text(4, name);
    let inner = match place {
        "body" => {
            let body = Message::default().text(1, about).text(2, name).text(3, place).flag(4, required);
            Message::default().message(1, body.maybe(5, parameter.get("schema").map(schema)))
        }
        "query" => {
            let query = start().text(6, kind).flag(20, flag(parameter, "uniqueItems"));
            Message::default().message(2, Message::default().message(3, query))
        }
        _ => {
            let path = start().text(5, kind).flag(19, flag(parameter, "uniqueItems"));
            Message::default().message(2, Message::default().message(4, path))
        }
    };
    Message::default().message(1, inner)
}

fn schema(of: &Value) -> Message {
    let number = |name: &str| of.get(name).and_then(Value::as_f64).unwrap_or_default();
    let integer = |name: &str| of.get(name).and_then(Value::as_i64).unwrap_or_default();
    let additional = of.get("additionalProperties").map(|value| match value {
        Value::Bool(allowed) => Message::default().flag(2, *allowed),
        other => Message::default().message(1, schema(other)),
    });
    let kinds: Vec<&str> = match of.get("type") {
        Some(Value::String(kind)) => vec![kind],
        _ => texts(of, "type").collect(),
    };
    let properties = of.get("properties").and_then(Value::as_object);
    Message::default()
        .text(1, text(of, "$ref"))
        .text(2, text(of, "format"))
        .text(3, text(of, "title"))
        .text(4, text(of, "description"))
        .maybe(5, of.get("default").map(any))
        .double(6, number("multipleOf"))
        .double(7, number("maximum"))
        .flag(8, flag(of, "exclusiveMaximum"))
        .double(9, number("minimum"))
        .flag(10, flag(of, "exclusiveMinimum"))
        .integer(11, integer("maxLength"))
        .integer(12, integer("minLength"))
        .text(13, text(of, "pattern"))
        .integer(14, integer("maxItems"))
        .integer(15, integer("minItems"))
        .flag(16, flag(of, "uniqueItems"))
        .integer(17, integer("maxProperties"))
        .integer(18, integer("minProperties"))
        .texts(19, texts(of, "required"))
        .messages(20, items(of, "enum").iter().map(any))
        .maybe(21, additional)
        .maybe(22, (!kinds.is_empty()).then(|| Message::default().texts(1, kinds)))
        .maybe(23, of.get("items").map(|inner| Message::default().message(1, schema(inner))))
        .maybe(25, properties.map(|all| Message::default().messages(1, named(Some(all), schema))))
        .maybe(30, of.get("example").map(any))
        .messages(31, extensions(of))
}

/// Pairs of a name and a message.
fn named<'a>(
    all: Option<&'a Map<String, Value>>,
    value: impl Fn(&Value) -> Message + 'a,
) -> impl Iterator<Item = Message> + 'a {
    let pairs = all.into_iter().flatten();
    pairs.map(move |(name, of)| Message::default().text(1, name).message(2, value(of)))
}

fn extensions(of: &Value) -> impl Iterator<Item = Message> + '_ {
    let all = of.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    all.map(|(name, value)| Message::default().text(1, name).message(2, any(value)))
}

fn any(value: &Value) -> Message {
    Message::default().text(2, &format!("{value}\n"))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn flag(of: &Value, name: &str) -> bool {
    of.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn items<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn texts<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    items(of, name).iter().filter_map(Value::as_str)
}

fn object<'a>(of: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    of.get(name).and_then(Value::as_object)
}
