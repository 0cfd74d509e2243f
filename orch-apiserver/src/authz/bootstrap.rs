//! The default roles and bindings of every cluster (`bootstrappolicy`), read from a table.

use super::{Rule, rbac::aggregate};
use serde_json::{Map, Value, json};

const TABLE: &str = include_str!("policy.txt");
const GROUP: &str = "rbac.authorization.k8s.io";

/// The objects that a new cluster starts with, as JSON with `apiVersion` and `kind`: ClusterRoles, Roles,
/// ClusterRoleBindings and RoleBindings. Aggregated roles come with the rules that they aggregate.
pub fn bootstrap_objects() -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    for line in TABLE.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        match (line.strip_prefix("  "), objects.last_mut()) {
            (Some(rule), Some(role)) => {
                if let Some(Value::Array(rules)) = role.get_mut("rules") {
                    rules.push(json!(parse_rule(rule)));
                }
            }
            _ => objects.extend(parse_object(line)),
        }
    }
    fill_aggregated(&mut objects);
    objects
}

fn parse_object(line: &str) -> Option<Value> {
    let mut words = line.split(' ');
    let (kind, name) = (words.next()?, words.next()?);
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if let (true, Some((namespace, name))) = (kind.starts_with("Role"), name.split_once('/')) {
        metadata["namespace"] = namespace.into();
        metadata["name"] = name.into();
    }
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind});
    if kind.ends_with("Binding") {
        let (kind, name) = words.next()?.split_once('/')?;
        object["roleRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": name});
        object["subjects"] = words.filter_map(parse_subject).collect();
    } else {
        let mut selected = Vec::new();
        for word in words {
            let (key, value) = word.split_once('=')?;
            match key.strip_prefix('<') {
                Some(key) => selected.push(json!({"matchLabels": {key: value}})),
                None => metadata["labels"][key] = value.into(),
            }
        }
        if !selected.is_empty() {
            object["aggregationRule"] = json!({"clusterRoleSelectors": selected});
        }
        object["rules"] = json!([]);
    }
    object["metadata"] = metadata;
    Some(object)
}

fn parse_subject(word: &str) -> Option<Value> {
    let (kind, name) = word.split_once(':')?;
    Some(match (kind, name.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => json!({"kind": kind, "namespace": namespace, "name": name}),
        _ => json!({"apiGroup": GROUP, "kind": kind, "name": name}),
    })
}

fn parse_rule(line: &str) -> Rule {
    let list = |word: &str| word.split(',').map(|w| if w == "\"\"" { String::new() } else { w.to_owned() }).collect();
    let mut words = line.split(' ');
    let verbs = words.next().map(list).unwrap_or_default();
    match (words.next(), words.next()) {
        (Some("path"), Some(urls)) => Rule { verbs, non_resource_urls: list(urls), ..Rule::default() },
        (Some(groups), Some(resources)) => Rule {
            verbs,
            api_groups: list(groups),
            resources: list(resources),
            resource_names: words.next().map(list).unwrap_or_default(),
            ..Rule::default()
        },
        _ => Rule { verbs, ..Rule::default() },
    }
}

fn fill_aggregated(objects: &mut [Value]) {
    // `edit` is itself aggregated into `admin`, so two rounds reach the fixed point.
    for _ in 0..2 {
        let roles: Vec<Map<String, Value>> =
            objects.iter().filter(|o| o["kind"] == "ClusterRole").filter_map(|o| o.as_object().cloned()).collect();
        for object in objects.iter_mut().filter(|o| o.get("aggregationRule").is_some()) {
            object["rules"] = json!(aggregate(object, roles.iter()));
        }
    }
}

/// The rules of a default cluster role.
pub(super) fn rules_of(role: &str) -> Vec<Rule> {
    let header = format!("ClusterRole {role}");
    let mut lines = TABLE.lines().skip_while(|line| *line != header).skip(1);
    std::iter::from_fn(|| lines.next()?.strip_prefix("  ").map(parse_rule)).collect()
}
