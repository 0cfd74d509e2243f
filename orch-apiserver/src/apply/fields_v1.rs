//! The written form of a [`Set`]: `{"f:spec":{"f:replicas":{}}}` (`FieldsV1`).

use super::set::{Node, Set, Step};
use serde_json::{Map, Value};

/// Writes a set as FieldsV1.
pub fn to_fields(set: &Set) -> Value {
    Value::Object(write(set, false))
}

/// Reads FieldsV1; what is no path (unknown prefixes, wrong types) is `None`.
pub fn from_fields(fields: &Value) -> Option<Set> {
    let Value::Object(fields) = fields else { return None };
    let mut nodes = Vec::with_capacity(fields.len());
    for (key, below) in fields.iter().filter(|(key, _)| *key != ".") {
        let step = parse_step(key)?;
        let Value::Object(inner) = below else { return None };
        let member = inner.is_empty() || inner.contains_key(".");
        nodes.push(Node { step, member, below: from_fields(below)? });
    }
    Some(Set::from_nodes(nodes))
}

fn write(set: &Set, member: bool) -> Map<String, Value> {
    let mut out = Map::new();
    if member && !set.is_empty() {
        out.insert(".".into(), Value::Object(Map::new()));
    }
    for node in &set.0 {
        out.insert(step_key(&node.step), Value::Object(write(&node.below, node.member)));
    }
    out
}

fn step_key(step: &Step) -> String {
    match step {
        Step::Field(name) => format!("f:{name}"),
        Step::Key(fields) => {
            let object: Map<String, Value> = fields.iter().map(|(k, v)| (k.to_string(), v.clone())).collect();
            format!("k:{}", Value::Object(object))
        }
        Step::Value(value) => format!("v:{value}"),
        Step::Index(at) => format!("i:{at}"),
    }
}

fn parse_step(text: &str) -> Option<Step> {
    let (kind, rest) = text.split_once(':')?;
    Some(match kind {
        "f" => Step::Field(rest.into()),
        "v" => Step::Value(serde_json::from_str(rest).ok()?),
        "i" => Step::Index(rest.parse().ok()?),
        "k" => {
            let object: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let mut fields: Vec<(Box<str>, Value)> = object.into_iter().map(|(k, v)| (k.into(), v)).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Step::Key(fields.into())
        }
        _ => return None,
    })
}
