//! Paths of fields as rules and selectable fields write them: `.spec.a['b.c']` (`ValidFieldPath`).

use super::node::{Additional, Node};
use crate::Path;
use std::sync::Arc;

/// The field that a path leads to from a schema, with the path in its normal form.
pub(super) fn resolve(path: &str, schema: &Node, brackets: bool) -> Result<(Path, Option<Arc<Node>>), String> {
    let lost = || "does not refer to a valid field".to_owned();
    let mut normal = Path::default();
    let mut found: Option<Arc<Node>> = None;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = step(rest, brackets)?;
        let here: &Node = found.as_deref().unwrap_or(schema);
        let next = match (here.properties.is_empty(), &here.additional) {
            (false, _) => {
                normal = normal.child(&name);
                here.properties.get(&name).cloned().ok_or_else(lost)?
            }
            (true, Additional::Schema(values)) => {
                normal = normal.key(&name);
                values.clone()
            }
            _ => return Err(lost()),
        };
        found = Some(next);
        rest = after;
    }
    Ok((normal, found))
}

/// The normal form of a rule's field path; `None` where it has none, or a wrong one.
pub(super) fn normal(path: &str, schema: &Node) -> Option<Path> {
    let path = path.trim();
    if path.is_empty() { None } else { resolve(path, schema, true).ok().map(|(path, _)| path) }
}

/// The first step of a path, and the rest.
fn step(path: &str, brackets: bool) -> Result<(String, &str), String> {
    let ended = || "unexpected end of JSON path".to_owned();
    if let Some(rest) = path.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at_checked(end).ok_or_else(ended)?;
        return if name.is_empty() { Err(ended()) } else { Ok((name.to_owned(), rest)) };
    }
    let Some(rest) = path.strip_prefix('[') else {
        let end = path.find(['.', '[', ']']).unwrap_or(path.len());
        return Err(format!("expected [ or . but got: {}", path.get(..end.max(1)).unwrap_or_default()));
    };
    if !brackets {
        return Err("array notation is not allowed".into());
    }
    let Some(quoted) = rest.strip_prefix('\'') else {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        return Err(format!("expected single quoted string but got {}", rest.get(..end).unwrap_or_default()));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' => {
                let after = quoted.get(at + 1..).unwrap_or_default();
                let after = after.strip_prefix(']').ok_or_else(|| match after {
                    "" => ended(),
                    other => format!("expected ] but got {}", other.get(..1).unwrap_or_default()),
                })?;
                return Ok((name, after));
            }
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => name.push('\n'),
                Some('t') => name.push('\t'),
                Some('r') => name.push('\r'),
                Some(c @ ('\'' | '\\')) => name.push(c),
                other => {
                    let c = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid string literal: invalid escape char \\{c}"));
                }
            },
            c => name.push(c),
        }
    }
    Err(ended())
}
