//! The facts that the types themselves do not carry: how lists, maps and objects merge, and the defaults that
//! OpenAPI publishes. The table is `facts.txt`, from Kubernetes' `api/openapi-spec`.

use super::{ListMerge, ListPatch};
use serde_json::Value;
use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

/// What is known of one field, or of a type where the field is `.`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    /// `x-kubernetes-list-type` with its keys; `None` where the field is no list or an atomic one.
    pub list: Option<ListMerge>,
    /// `x-kubernetes-map-type: atomic` (true) or `granular` (false).
    pub atomic: Option<bool>,
    /// `x-kubernetes-patch-strategy: merge` with its key.
    pub patch: Option<ListPatch>,
    /// `x-kubernetes-patch-strategy: retainKeys`.
    pub retain_keys: bool,
    /// The published default.
    pub default: Option<Value>,
    /// Go's name of a type of texts, such as `v1.PullPolicy`, or `[]v1.KeyUsage` for a list of them.
    pub go_type: Option<&'static str>,
}

/// The fact of a field of a definition (`.` is the type itself), if there is one.
pub fn of(definition: &str, field: &str) -> Option<&'static Fact> {
    static TABLE: OnceLock<HashMap<&'static str, HashMap<&'static str, Fact>>> = OnceLock::new();
    TABLE.get_or_init(|| read(include_str!("facts.txt"))).get(short(definition))?.get(field)
}

/// `io.k8s.api.core.v1.Pod` is `core.v1.Pod` in the table.
pub(crate) fn short(definition: &str) -> &str {
    let end = definition.len();
    let dots = definition.rmatch_indices('.').nth(2).map_or(0, |(at, _)| at + 1);
    definition.get(dots..end).unwrap_or(definition)
}

fn read(text: &'static str) -> HashMap<&'static str, HashMap<&'static str, Fact>> {
    let mut table: HashMap<&str, HashMap<&str, Fact>> = HashMap::new();
    let mut definition = "";
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        match line.strip_prefix("  ").and_then(|l| l.split_once(' ')) {
            None => definition = line,
            Some((field, words)) => {
                table.entry(definition).or_default().insert(field, words.split(' ').fold(Fact::default(), with_word));
            }
        }
    }
    table
}

fn with_word(mut fact: Fact, word: &'static str) -> Fact {
    match word.split_once('=').unwrap_or((word, "")) {
        ("map", keys) => fact.list = Some(ListMerge::Map(keys.split(',').map(Cow::Borrowed).collect())),
        ("set", _) => fact.list = Some(ListMerge::Set),
        ("atomic", _) => fact.atomic = Some(true),
        ("granular", _) => fact.atomic = Some(false),
        ("merge", key) => fact.patch = Some(ListPatch::Merge { key: Cow::Borrowed(key) }),
        ("retainKeys", _) => fact.retain_keys = true,
        ("type", name) => fact.go_type = Some(name),
        ("default", json) => fact.default = serde_json::from_str(json).ok(),
        _ => {}
    }
    fact
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_line_of_the_table_says_something() {
        for (definition, fields) in read(include_str!("facts.txt")) {
            for (field, fact) in fields {
                assert_ne!(fact, Fact::default(), "{definition} {field}");
            }
        }
    }

    #[test]
    fn a_fact_is_found_by_the_full_name_of_the_definition() {
        let ports = of("io.k8s.api.core.v1.ServiceSpec", "ports").unwrap();
        assert_eq!(ports.list, Some(ListMerge::Map(vec!["port".into(), "protocol".into()])));
        assert_eq!(ports.patch, Some(ListPatch::Merge { key: "port".into() }));
        assert_eq!(of("io.k8s.api.core.v1.ContainerPort", "protocol").unwrap().default, Some(json!("TCP")));
        assert_eq!(of("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", ".").unwrap().atomic, Some(true));
        assert_eq!(of("io.k8s.api.core.v1.PodSpec", "nodeName"), None);
    }
}
