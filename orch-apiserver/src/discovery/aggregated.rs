//! The aggregated form: `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.

use super::groups::{Group, Version};
use orch_api::{Gvk, Kind, Scope};
use serde_json::{Value, json};

/// All groups with their versions and resources.
pub(super) fn list(groups: &[&Group<'_>]) -> Value {
    let items: Vec<Value> = groups.iter().map(|g| group(g)).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn group(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn version(version: &Version<'_>) -> Value {
    let resources: Vec<Value> = version.kinds.iter().map(|kind| resource(kind)).collect();
    json!({"version": version.name, "resources": resources, "freshness": "Current"})
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "resource": kind.plural,
        "responseKind": response_kind(&kind.gvk()),
        "scope": if kind.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs.names(),
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if !kind.subresources.is_empty() {
        let subresources: Vec<Value> = kind
            .subresources
            .iter()
            .map(|sub| json!({"subresource": sub.name, "responseKind": response_kind(&sub.kind), "verbs": sub.verbs}))
            .collect();
        entry["subresources"] = subresources.into();
    }
    entry
}

fn response_kind(kind: &Gvk) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}
