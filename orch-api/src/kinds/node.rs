//! Nodes and their runtime classes.

use super::{
    cells::{NONE, text_or},
    core::CORE,
    row::{Group, Row, named, text, wide},
};
use crate::{
    access::{boolean, condition, list, map, text as field},
    key::Gvk,
    kind::Kind,
};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn kind() -> Kind {
    let mut columns = named([
        text("Status", "The status of the node", |o, _| status(o).into()),
        text("Roles", "The roles of the node", |o, _| roles(o).into()),
    ]);
    columns
        .push(text("Version", "Version of the node agent.", |o, _| field(o, "status.nodeInfo.kubeletVersion").into()));
    columns.extend(
        [
            text("Internal-IP", "The address inside of the cluster.", |o, _| address(o, "InternalIP").into()),
            text("External-IP", "The address outside of the cluster.", |o, _| address(o, "ExternalIP").into()),
            text("OS-Image", "The operating system.", |o, _| text_or(o, "status.nodeInfo.osImage", "<unknown>")),
            text("Kernel-Version", "The kernel and its architecture.", |o, _| kernel(o).into()),
            text("Container-Runtime", "The container runtime and its version.", |o, _| {
                text_or(o, "status.nodeInfo.containerRuntimeVersion", "<unknown>")
            }),
        ]
        .map(wide),
    );
    CORE.cluster("Node", "nodes")
        .short(&["no"])
        .sub("proxy", Gvk::of("", "v1", "NodeProxyOptions"), &["create", "delete", "get", "patch", "update"])
        .status()
        .columns(columns)
        .selectable_by("spec.unschedulable", |o| boolean(o, "spec.unschedulable").to_string())
}

pub(super) fn runtime_classes() -> Vec<Kind> {
    let group = Group { group: "node.k8s.io", version: "v1", package: "io.k8s.api.node.v1" };
    let handler = text("Handler", "The runtime's name on the node.", |o, _| field(o, "handler").into());
    vec![group.cluster("RuntimeClass", "runtimeclasses").columns(named([handler]))]
}

fn status(node: &Value) -> String {
    let ready = match condition(node, "Ready").map(|c| field(c, "status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    let cordoned = if boolean(node, "spec.unschedulable") { ",SchedulingDisabled" } else { "" };
    format!("{ready}{cordoned}")
}

fn roles(node: &Value) -> String {
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> = map(node, "metadata.labels").into_iter().flatten().filter_map(role).collect();
    let roles: Vec<String> = roles.into_iter().filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { NONE.into() } else { roles.join(",") }
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let address = list(node, "status.addresses").iter().find(|a| field(a, "type") == kind);
    address.map_or(NONE, |a| field(a, "address"))
}

fn kernel(node: &Value) -> String {
    let version = match field(node, "status.nodeInfo.kernelVersion") {
        "" => "<unknown>",
        version => version,
    };
    match field(node, "status.nodeInfo.architecture") {
        "" => version.into(),
        architecture => format!("{version} ({architecture})"),
    }
}
