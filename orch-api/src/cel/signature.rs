//! The signatures of all functions, read from `functions.txt`.

use super::types::Type;
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// One way to call a function. The types of a method begin with its target's.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    pub(super) method: bool,
    pub(super) args: Vec<Type>,
    pub(super) result: Type,
}

/// The ways to call a function of that name; none where there is no such function.
pub(super) fn of(function: &str) -> &'static [Signature] {
    static TABLE: OnceLock<HashMap<&'static str, Vec<Signature>>> = OnceLock::new();
    TABLE.get_or_init(|| read(include_str!("functions.txt"))).get(function).map_or(&[], Vec::as_slice)
}

fn read(text: &'static str) -> HashMap<&'static str, Vec<Signature>> {
    let mut table: HashMap<&str, Vec<Signature>> = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, signature)) = signature(line) {
            table.entry(name).or_default().push(signature);
        }
    }
    for operator in ["_<_", "_<=_", "_>_", "_>=_"] {
        table.insert(operator, comparisons());
    }
    table
}

/// Numbers of all kinds compare with each other.
fn comparisons() -> Vec<Signature> {
    let pair = |a: &Type, b: &Type| Signature { method: false, args: vec![a.clone(), b.clone()], result: Type::Bool };
    let numbers = [Type::Int, Type::Uint, Type::Double];
    let others = [Type::Bool, Type::String, Type::Bytes, Type::Timestamp, Type::Duration];
    let mixed = numbers.iter().flat_map(|a| numbers.iter().map(move |b| pair(a, b)));
    mixed.chain(others.iter().map(|t| pair(t, t))).collect()
}

fn signature(line: &'static str) -> Option<(&'static str, Signature)> {
    let (call, result) = line.rsplit_once(": ")?;
    let call = call.strip_suffix(')')?;
    let open = opening(call)?;
    let (name, args) = (call.get(..open)?, call.get(open + 1..)?);
    let mut types: Vec<Type> = split(args).into_iter().map(ty).collect();
    let result = ty(result);
    match target(name) {
        Some((target, method)) => {
            types.insert(0, ty(target));
            Some((method, Signature { method: true, args: types, result }))
        }
        None => Some((name, Signature { method: false, args: types, result })),
    }
}

/// The bracket that opens the arguments: the partner of the last one.
fn opening(call: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in call.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth == 0 => return Some(at),
            '(' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The target's type and the method, where the name is no name of a library such as `sets.contains`.
fn target(name: &'static str) -> Option<(&'static str, &'static str)> {
    let (target, method) = name.rsplit_once('.')?;
    let is_type = target.contains('(')
        || target.starts_with("kubernetes.")
        || matches!(target, "string" | "bytes" | "timestamp" | "duration");
    (is_type && !name.starts_with('_')).then_some((target, method))
}

fn split(args: &'static str) -> Vec<&'static str> {
    let (mut all, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in args.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                all.extend(args.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    all.extend(args.get(start..).filter(|rest| !rest.trim().is_empty()));
    all
}

fn ty(text: &'static str) -> Type {
    let text = text.trim();
    if let Some((name, inner)) = text.strip_suffix(')').and_then(|t| t.split_once('(')) {
        let mut parts = split(inner).into_iter().map(|part| Arc::new(ty(part)));
        let mut next = || parts.next().unwrap_or_else(|| Arc::new(Type::Dyn));
        return match name {
            "list" => Type::List(next()),
            "map" => Type::Map(next(), next()),
            _ => Type::Optional(next()),
        };
    }
    match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "null" => Type::Null,
        "type" => Type::Type,
        "A" => Type::Param(0),
        "B" => Type::Param(1),
        name if name.starts_with("kubernetes.") => Type::Opaque(name),
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_signature() {
        for line in include_str!("functions.txt").lines().filter(|line| !line.starts_with('#')) {
            assert!(signature(line).is_some(), "{line}");
        }
    }

    #[test]
    fn a_method_begins_with_its_target() {
        let join = of("join");
        assert_eq!(join.len(), 2);
        assert!(join[0].method);
        assert_eq!(join[1].args, [Type::List(Arc::new(Type::String)), Type::String]);
        assert!(!of("sets.contains")[0].method);
        assert_eq!(of("getQuery")[0].result.to_string(), "map(string, list(string))");
        assert_eq!(of("_<_").len(), 14);
    }
}
