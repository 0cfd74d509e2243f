//! The group `apps`.

use super::{
    cells::{self, NONE, containers, images, joined},
    row::{Group, Row, integer, named, text, wide},
};
use crate::{
    access::{boolean, get, integer as number, list, map, text as field},
    key::Gvk,
    kind::{Column, Kind},
};
use serde_json::Value;

const APPS: Group = Group { group: "apps", version: "v1", package: "io.k8s.api.apps.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![controller_revision(), daemon_set(), deployment(), replica_set(), stateful_set()]
}

fn controller_revision() -> Kind {
    APPS.namespaced("ControllerRevision", "controllerrevisions").columns(named([
        text("Controller", "Controller of the object", |o, _| controller(o).into()),
        text("Revision", "Number of the revision.", |o, _| number(o, "revision").into()),
    ]))
}

/// `daemonset.apps/name` of the controlling owner.
fn controller(object: &Value) -> String {
    let Some(owner) = list(object, "metadata.ownerReferences").iter().find(|o| boolean(o, "controller")) else {
        return NONE.into();
    };
    let kind = Gvk::parse(field(owner, "apiVersion"), field(owner, "kind"));
    let dot = if kind.group.is_empty() { "" } else { "." };
    format!("{}{dot}{}/{}", kind.kind, kind.group, field(owner, "name")).to_lowercase()
}

fn daemon_set() -> Kind {
    let columns = named([
        integer("Desired", "Nodes that should run the pod.", |o, _| number(o, "status.desiredNumberScheduled").into()),
        integer("Current", "Nodes that run the pod.", |o, _| number(o, "status.currentNumberScheduled").into()),
        integer("Ready", "Nodes whose pod is ready.", |o, _| number(o, "status.numberReady").into()),
        integer("Up-to-date", "Nodes that run the latest pod.", |o, _| {
            number(o, "status.updatedNumberScheduled").into()
        }),
        integer("Available", "Nodes whose pod is available.", |o, _| number(o, "status.numberAvailable").into()),
        text("Node Selector", "Labels of the nodes that run the pod.", |o, _| {
            cells::labels(map(o, "spec.template.spec.nodeSelector"))
        }),
    ]);
    APPS.namespaced("DaemonSet", "daemonsets")
        .short(&["ds"])
        .categories(&["all"])
        .status()
        .columns(with_template(columns))
}

fn deployment() -> Kind {
    let mut columns = named([
        ready(),
        text("Up-to-date", "Number of pods of the latest template.", |o, _| number(o, "status.updatedReplicas").into()),
        text("Available", "Number of pods that are available.", |o, _| number(o, "status.availableReplicas").into()),
    ]);
    columns.extend(template());
    columns.push(wide(text("Selector", SELECTOR, |o, _| match cells::selector(get(o, "spec.selector")) {
        Value::String(text) if text == NONE => Value::from(""),
        Value::String(text) if text == "<error>" => Value::from("<invalid>"),
        selector => selector,
    })));
    APPS.namespaced("Deployment", "deployments")
        .short(&["deploy"])
        .categories(&["all"])
        .scale()
        .status()
        .columns(columns)
}

fn replica_set() -> Kind {
    let columns = named([
        integer("Desired", "Number of replicas that are wanted.", |o, _| number(o, "spec.replicas").into()),
        integer("Current", "Number of replicas that exist.", |o, _| number(o, "status.replicas").into()),
        integer("Ready", "Number of replicas that are ready.", |o, _| number(o, "status.readyReplicas").into()),
    ]);
    APPS.namespaced("ReplicaSet", "replicasets")
        .short(&["rs"])
        .categories(&["all"])
        .scale()
        .status()
        .columns(with_template(columns))
}

fn stateful_set() -> Kind {
    let mut columns = named([ready()]);
    columns.extend(template());
    APPS.namespaced("StatefulSet", "statefulsets")
        .short(&["sts"])
        .categories(&["all"])
        .scale()
        .status()
        .columns(columns)
}

fn ready() -> Column {
    text("Ready", "Number of the pod with ready state", |o, _| {
        Value::from(format!("{}/{}", number(o, "status.readyReplicas"), number(o, "spec.replicas")))
    })
}

const SELECTOR: &str = "Labels that a pod must have.";

fn with_template(mut columns: Vec<Column>) -> Vec<Column> {
    columns.extend(template());
    columns.push(wide(text("Selector", SELECTOR, |o, _| cells::selector(get(o, "spec.selector")))));
    columns
}

fn template() -> [Column; 2] {
    [
        containers(|o, _| joined(o, "spec.template.spec.containers", "name")),
        images(|o, _| joined(o, "spec.template.spec.containers", "image")),
    ]
}
