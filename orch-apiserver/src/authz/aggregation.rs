//! Aggregated cluster roles: a role that takes its rules from others by their labels.

use super::Rule;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The rules that an aggregated cluster role takes from the `roles` that it selects.
pub(super) fn aggregate<'a>(role: &Value, roles: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<Rule> {
    let name = role.pointer("/metadata/name");
    let mut selected: Vec<Value> = roles.cloned().map(Value::Object).filter(|r| selects(role, r)).collect();
    selected.retain(|other| other.pointer("/metadata/name") != name);
    selected.sort_by_key(|r| r.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned());
    distinct(selected.iter().flat_map(rules_in))
}

pub(super) fn distinct(rules: impl Iterator<Item = Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for rule in rules {
        if !out.contains(&rule) {
            out.push(rule);
        }
    }
    out
}

pub(super) fn rules_in(role: &Value) -> Vec<Rule> {
    let rules = role.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(|rule| Rule::deserialize(rule).ok()).collect()
}

/// Whether the aggregation rule of `role` selects `other`.
pub(super) fn selects(role: &Value, other: &Value) -> bool {
    let none = Map::new();
    let labels = other.pointer("/metadata/labels").and_then(Value::as_object).unwrap_or(&none);
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    selectors.into_iter().flatten().any(|selector| matches_labels(selector, labels))
}

fn matches_labels(selector: &Value, labels: &Map<String, Value>) -> bool {
    let exact = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    exact.into_iter().flatten().all(|(k, v)| labels.get(k) == Some(v))
        && expressions.into_iter().flatten().all(|e| {
            let found = e.get("key").and_then(Value::as_str).and_then(|key| labels.get(key));
            let values = e.get("values").and_then(Value::as_array);
            let within = found.is_some_and(|v| values.is_some_and(|values| values.contains(v)));
            match e.get("operator").and_then(Value::as_str) {
                Some("In") => within,
                Some("NotIn") => !within,
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => false,
            }
        })
}
