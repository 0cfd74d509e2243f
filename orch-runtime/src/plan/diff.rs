//! What changed between two JSON trees, in words short enough for one line.

use serde_json::{Map, Value};

/// The changed leaves as `path=value`, `-path` for removed ones. Times are left out unless nothing else
/// changed; items of a list that have a `type` or a `name` are found by it.
pub fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut out = Vec::new();
    walk("", before, after, &mut out);
    let untimed: Vec<String> = out.iter().filter(|line| !is_time(line)).cloned().collect();
    if untimed.is_empty() { out } else { untimed }
}

fn walk(path: &str, before: &Value, after: &Value, out: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) => walk_map(path, before, after, out),
        (Value::Null, Value::Object(after)) => walk_map(path, &Map::new(), after, out),
        (Value::Array(b), Value::Array(a)) if identity(b).is_some() && identity(a).is_some() => {
            walk_map_indexed(path, b, a, out);
        }
        (Value::Null, Value::Array(a)) if identity(a).is_some() => walk_map_indexed(path, &[], a, out),
        (_, Value::Null) => out.push(format!("-{path}")),
        (_, Value::String(text)) if text.is_empty() || text.contains(' ') => out.push(format!("{path}={text:?}")),
        (_, Value::String(text)) => out.push(format!("{path}={text}")),
        (_, after) => out.push(format!("{path}={after}")),
    }
}

fn walk_map(path: &str, before: &Map<String, Value>, after: &Map<String, Value>, out: &mut Vec<String>) {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let step = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(&step, before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null), out);
    }
}

fn walk_map_indexed(path: &str, before: &[Value], after: &[Value], out: &mut Vec<String>) {
    let id = |v: &Value| v.get("type").or_else(|| v.get("name")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut ids: Vec<String> = before.iter().chain(after).map(id).collect();
    ids.sort();
    ids.dedup();
    for name in ids {
        let find = |list: &[Value]| list.iter().find(|v| id(v) == name).cloned().unwrap_or_default();
        walk(&format!("{path}[{name}]"), &find(before), &find(after), out);
    }
}

fn identity(list: &[Value]) -> Option<()> {
    list.iter().all(|v| v.get("type").or_else(|| v.get("name")).is_some_and(Value::is_string)).then_some(())
}

fn is_time(line: &str) -> bool {
    let path = line.split('=').next().unwrap_or(line);
    ["lastTransitionTime", "lastUpdateTime", "lastProbeTime", "lastHeartbeatTime"].iter().any(|t| path.ends_with(t))
        || path.ends_with("].type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(before: Value, after: Value, expect: &str) {
        assert_eq!(changes(&before, &after).join(" "), expect);
    }

    #[test]
    fn only_changed_leaves_are_named() {
        check(
            json!({"a": {"b": 1, "c": "x"}}),
            json!({"a": {"b": 2, "c": "x"}, "d": "two words"}),
            "a.b=2 d=\"two words\"",
        );
        check(json!({"a": 1}), json!({}), "-a");
    }

    #[test]
    fn conditions_are_found_by_type_and_their_times_are_left_out() {
        check(
            json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1"}]}),
            json!({"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2"}]}),
            "conditions[Ready].status=False",
        );
    }
}
