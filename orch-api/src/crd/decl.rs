//! What rules see of a value: the declaration of a schema for CEL (`apiserver/pkg/cel/common/schemas.go`).

use super::node::{Additional, Node, Type};
use crate::cel::{self, Decl, Field, Object};
use std::{collections::BTreeMap, sync::Arc};

/// The largest request, by which everything is bounded that has no bound of its own.
pub(super) const REQUEST: u64 = 3 * 1024 * 1024;

/// The declaration of a schema; `None` where rules cannot see such values.
pub(super) fn of(node: &Node, resource: bool) -> Option<Decl> {
    let bounded = |ty: cel::Type, max: u64, min_size: u64| Some(Decl { max, min_size, ..Decl::of(ty) });
    let length = |per_character: u64| node.rules.max_length.map(|n| n.max(0) as u64 * per_character);
    if node.int_or_string {
        return bounded(cel::Type::Dyn, length(4).unwrap_or(REQUEST - 2), 1);
    }
    match node.ty {
        Type::Any => None,
        Type::Boolean => bounded(cel::Type::Bool, 0, 4),
        Type::Number => bounded(cel::Type::Double, 0, 1),
        Type::Integer => bounded(cel::Type::Int, 0, 1),
        Type::String => match &*node.rules.format {
            "byte" => bounded(cel::Type::Bytes, length(1).unwrap_or(REQUEST - 2), 2),
            "duration" => bounded(cel::Type::Duration, 32, 3),
            "date" => bounded(cel::Type::Timestamp, 12, 12),
            "date-time" => bounded(cel::Type::Timestamp, 32, 21),
            _ => {
                let longest = node.rules.allowed.iter().filter_map(|v| v.as_str()).map(str::len).max();
                let max = length(4).or(longest.map(|n| n as u64)).unwrap_or(REQUEST - 2);
                bounded(cel::Type::String, max, 2)
            }
        },
        Type::Array => {
            let items = node.items.as_deref()?;
            let item = of(items, items.embedded)?;
            let max = node.rules.max_items.map(|n| n.max(0) as u64).unwrap_or((REQUEST - 2) / (item.min_size + 1));
            let ty = cel::Type::List(Arc::new(item.ty.clone()));
            Some(Decl { ty, max, min_size: 2, elem: Some(Arc::new(item)), merge: node.list.clone() })
        }
        Type::Object => match &node.additional {
            Additional::Schema(values) => {
                let value = of(values, values.embedded)?;
                let max = node.rules.max_properties.map(|n| n.max(0) as u64);
                let max = max.unwrap_or((REQUEST - 2) / (value.min_size + 6));
                let ty = cel::Type::Map(Arc::new(cel::Type::String), Arc::new(value.ty.clone()));
                Some(Decl { ty, max, min_size: 2, elem: Some(Arc::new(value)), merge: Default::default() })
            }
            _ => Some(object(node, resource)),
        },
    }
}

fn object(node: &Node, resource: bool) -> Decl {
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    let mut min_size = 2;
    for (name, property) in &node.properties {
        let Some(decl) = of(property, property.embedded) else { continue };
        if node.rules.required.contains(name) && property.default.is_none() {
            min_size += name.len() as u64 + decl.min_size + 4;
        }
        if let Some(word) = escape(name) {
            fields.insert(word, Field { json: name.clone(), decl: Arc::new(decl) });
        }
    }
    if resource {
        add_identity(&mut fields);
    }
    let ty = cel::Type::Object(Arc::new(Object { name: "object".into(), fields }));
    // Objects have no length that costs grow with.
    Decl { max: 0, min_size, ..Decl::of(ty) }
}

/// What every resource has, whether its schema says so or not.
fn add_identity(fields: &mut BTreeMap<String, Field>) {
    let text = || Decl { max: REQUEST - 2, min_size: 2, ..Decl::of(cel::Type::String) };
    let field = |name: &str, decl: Decl| (name.to_owned(), Field { json: name.to_owned(), decl: Arc::new(decl) });
    let metadata = Decl { max: 0, ..Decl::object("object", [("name", text()), ("generateName", text())]) };
    fields.extend([field("kind", text()), field("apiVersion", text()), field("metadata", metadata)]);
}

/// The identifier by which expressions name a field; `None` where they cannot.
pub(crate) fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if matches!(name, "true" | "false" | "null" | "in") || cel::is_reserved(name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (word, length) = match c {
            '_' if rest.starts_with("__") => ("__underscores__", 2),
            '.' => ("__dot__", 1),
            '-' => ("__dash__", 1),
            '/' => ("__slash__", 1),
            c if c.is_ascii_alphanumeric() || c == '_' => (rest.get(..1)?, 1),
            _ => return None,
        };
        out.push_str(word);
        rest = rest.get(length..)?;
    }
    Some(out)
}
