//! The group `rbac.authorization.k8s.io`.

use super::row::{Group, Row, named, text, wide};
use crate::{
    access::{list, text as field},
    kind::{Column, Kind},
};
use serde_json::Value;

const RBAC: Group = Group { group: "rbac.authorization.k8s.io", version: "v1", package: "io.k8s.api.rbac.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![
        RBAC.cluster("ClusterRoleBinding", "clusterrolebindings").columns(binding_columns()),
        RBAC.cluster("ClusterRole", "clusterroles"),
        RBAC.namespaced("RoleBinding", "rolebindings").columns(binding_columns()),
        RBAC.namespaced("Role", "roles"),
    ]
}

fn binding_columns() -> Vec<Column> {
    let mut columns = named([text("Role", "The role that is granted.", |o, _| {
        Value::from(format!("{}/{}", field(o, "roleRef.kind"), field(o, "roleRef.name")))
    })]);
    columns.extend(
        [
            text("Users", "Users in the roleBinding", |o, _| subjects(o, "User").into()),
            text("Groups", "Groups in the roleBinding", |o, _| subjects(o, "Group").into()),
            text("ServiceAccounts", "ServiceAccounts in the roleBinding", |o, _| subjects(o, "ServiceAccount").into()),
        ]
        .map(wide),
    );
    columns
}

fn subjects(binding: &Value, kind: &str) -> String {
    let subjects = list(binding, "subjects").iter().filter(|s| field(s, "kind") == kind);
    let name = |subject| match (kind, field(subject, "namespace"), field(subject, "name")) {
        ("ServiceAccount", namespace, name) => format!("{namespace}/{name}"),
        (_, _, name) => name.to_owned(),
    };
    subjects.map(name).collect::<Vec<_>>().join(", ")
}
