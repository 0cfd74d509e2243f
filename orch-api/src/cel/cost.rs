//! What a call costs, measured at run time (`interpreter/runtimecost.go`, `apiserver/pkg/cel/library/cost.go`).

use super::value::Value;

/// A tenth of a unit per character that is looked at.
pub(super) const TRAVERSAL: f64 = 0.1;
/// A quarter of a unit per character of a regular expression.
pub(super) const REGEX: f64 = 0.25;
/// One question to the authorizer; two fit into an expression's limit.
pub(super) const AUTHORIZATION: u64 = 350_000;

/// `size * factor`, rounded up.
pub(super) fn scaled(size: u64, factor: f64) -> u64 {
    if size == u64::MAX {
        return u64::MAX;
    }
    (size as f64 * factor).ceil() as u64
}

/// The cost of a call that was made with these arguments, target first, and whose result has this size.
pub(super) fn runtime(function: &str, method: bool, args: &[Value<'_>], result: u64) -> u64 {
    let size = |i: usize| args.get(i).map_or(1, Value::size);
    let text = |i: usize, factor: f64| scaled(size(i), factor);
    let is_text = |i: usize| matches!(args.get(i), Some(Value::String(_) | Value::Bytes(_)));
    match function {
        "check" if method => AUTHORIZATION,
        "fieldSelector" | "labelSelector" => 10 + text(1, TRAVERSAL) + scaled(text(1, 0.5), 50.0),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" if method => args.first().map_or(0, traversal),
        "url"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "jsonpatch.escapeKey"
        | "cidr"
        | "isIP"
        | "isCIDR"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver" => text(0, TRAVERSAL),
        "ip" if !method => text(0, TRAVERSAL),
        "replace" | "split" | "ip.isCanonical" => text(0, 2.0 * TRAVERSAL),
        "join" => scaled(result, 2.0 * TRAVERSAL),
        "find" | "findAll" | "matches" => scaled(1 + size(0), TRAVERSAL) * text(1, REGEX),
        "validate" => scaled(1 + size(1), TRAVERSAL) * scaled(128, REGEX),
        "containsIP" => scaled(32, TRAVERSAL) + if is_text(1) { text(1, TRAVERSAL) } else { 0 },
        "containsCIDR" => {
            scaled(32, TRAVERSAL) + scaled(16, TRAVERSAL) + 1 + if is_text(1) { text(1, TRAVERSAL) } else { 0 }
        }
        "startsWith" | "endsWith" | "format" | "strings.quote" => text(0, TRAVERSAL),
        "bytes" | "string" if is_text(0) => text(0, TRAVERSAL),
        "contains" => text(0, TRAVERSAL) * text(1, TRAVERSAL),
        "@in" if matches!(args.get(1), Some(Value::List(_))) => size(1),
        "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => scaled(size(0).min(size(1)), TRAVERSAL),
        "_+_" if is_text(0) => scaled(size(0) + size(1), TRAVERSAL),
        _ => 1,
    }
}

fn traversal(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Value::List(list) => list.iter().map(|item| traversal(&item)).sum(),
        Value::Map(map) => map.iter().map(|(key, value)| traversal(&key) + traversal(&value)).sum(),
        _ => 1,
    }
}
