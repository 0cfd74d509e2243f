//! The group `resource.k8s.io`: dynamic resource allocation.

use super::{
    cells::{is_deleting, since},
    row::{Group, Row, named, text},
};
use crate::{
    access::{get, list, text as field},
    kind::Kind,
};
use serde_json::Value;

const RESOURCE: Group = Group { group: "resource.k8s.io", version: "v1", package: "io.k8s.api.resource.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    let state = "A summary of the current state (allocated, pending, reserved, etc.).";
    vec![
        RESOURCE.cluster("DeviceClass", "deviceclasses").columns(named([])),
        RESOURCE.cluster("DeviceTaintRule", "devicetaintrules").status().columns(named([
            text("Key", "Key of the taint.", |o, _| field(o, "spec.taint.key").into()),
            text("Value", "Value of the taint.", |o, _| field(o, "spec.taint.value").into()),
            text("Effect", "What the taint does.", |o, _| field(o, "spec.taint.effect").into()),
            text("TimeAdded", "When the taint was added.", |o, now| match get(o, "spec.taint.timeAdded") {
                None => "".into(),
                Some(_) => since(o, "spec.taint.timeAdded", now),
            }),
        ])),
        RESOURCE.namespaced("ResourceClaim", "resourceclaims").status().columns(named([text(
            "State",
            state,
            |o, _| claim_state(o).into(),
        )])),
        RESOURCE.namespaced("ResourceClaimTemplate", "resourceclaimtemplates").columns(named([])),
        RESOURCE
            .cluster("ResourceSlice", "resourceslices")
            .columns(named([
                text("Node", "The node that has the devices.", |o, _| field(o, "spec.nodeName").into()),
                text("Driver", "The driver of the devices.", |o, _| field(o, "spec.driver").into()),
                text("Pool", "The pool that the devices belong to.", |o, _| field(o, "spec.pool.name").into()),
            ]))
            .selectable(&["spec.nodeName", "spec.driver"]),
    ]
}

fn claim_state(claim: &Value) -> String {
    let mut states = Vec::new();
    if is_deleting(claim) {
        states.push("deleted");
    }
    if get(claim, "status.allocation").is_some() {
        states.push("allocated");
        if !list(claim, "status.reservedFor").is_empty() {
            states.push("reserved");
        }
    } else if !is_deleting(claim) {
        states.push("pending");
    }
    states.join(",")
}
