//! The plain form: one small document per URL.

use super::{
    document::storage_version_hash,
    groups::{Group, Version},
};
use orch_api::{Gvk, Kind, Scope};
use serde_json::{Value, json};

/// `APIVersions` of `/api`.
pub(super) fn versions(core: &[&Group<'_>]) -> Value {
    let versions: Vec<&str> = core.iter().flat_map(|g| g.versions.iter().map(|v| v.name)).collect();
    json!({
        "kind": "APIVersions",
        "versions": versions,
        "serverAddressByClientCIDRs": [],
    })
}

/// `APIGroupList` of `/apis`.
pub(super) fn groups(groups: &[&Group<'_>]) -> Value {
    let groups: Vec<Value> = groups.iter().map(|g| group_entry(g)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `APIGroup` of `/apis/GROUP`.
pub(super) fn group(group: &Group<'_>) -> Value {
    let mut entry = group_entry(group);
    entry["kind"] = "APIGroup".into();
    entry["apiVersion"] = "v1".into();
    entry
}

/// `APIResourceList` of a version.
pub(super) fn resources(group: &str, version: &Version<'_>) -> Value {
    let group_version = if group.is_empty() { version.name.to_owned() } else { format!("{group}/{}", version.name) };
    let mut resources: Vec<Value> = Vec::new();
    for kind in &version.kinds {
        resources.push(resource(kind));
        resources.extend(kind.subresources.iter().map(|sub| {
            let mut entry = json!({
                "name": format!("{}/{}", kind.plural, sub.name),
                "singularName": "",
                "namespaced": kind.scope == Scope::Namespaced,
                "kind": sub.kind.kind,
                "verbs": sub.verbs,
            });
            name_foreign_kind(&mut entry, &sub.kind, kind);
            entry
        }));
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let mut list = json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn group_entry(group: &Group<'_>) -> Value {
    let entry = |v: &Version<'_>| json!({"groupVersion": group.api_version(v.name), "version": v.name});
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(entry).collect::<Vec<_>>(),
        "preferredVersion": group.versions.first().map(entry),
    })
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.scope == Scope::Namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs.names(),
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    if kind.verbs == orch_api::kind::Verbs::All {
        entry["storageVersionHash"] = storage_version_hash(&kind.group, &kind.version, &kind.kind).into();
    }
    entry
}

/// A subresource of another group says which.
fn name_foreign_kind(entry: &mut Value, sub: &Gvk, of: &Kind) {
    if (&sub.group, &sub.version) != (&of.group, &of.version) {
        if !sub.group.is_empty() {
            entry["group"] = sub.group.as_ref().into();
        }
        entry["version"] = sub.version.as_ref().into();
    }
}
