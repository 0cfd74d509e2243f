//! The group `metrics.k8s.io`: what nodes and pods use, measured at each read.

use super::{
    cells::name,
    row::{Group, Row, text},
};
use crate::{
    access::{list, text as field},
    kind::{Kind, Verbs},
    quantity::Quantity,
};
use serde_json::Value;

const METRICS: Group =
    Group { group: "metrics.k8s.io", version: "v1beta1", package: "io.k8s.metrics.pkg.apis.metrics.v1beta1" };

pub(super) fn kinds() -> Vec<Kind> {
    let nodes = METRICS.cluster("NodeMetrics", "nodes").verbs(Verbs::ReadOnly).columns(vec![
        name(),
        text("cpu", "The CPU that is used.", |o, _| field(o, "usage.cpu").into()),
        text("memory", "The memory that is used.", |o, _| field(o, "usage.memory").into()),
        text("Window", "How long it was measured.", |o, _| field(o, "window").into()),
    ]);
    let pods = METRICS.namespaced("PodMetrics", "pods").verbs(Verbs::ReadOnly).columns(vec![
        name(),
        text("cpu", "The CPU that is used.", |o, _| together(o, "cpu").into()),
        text("memory", "The memory that is used.", |o, _| together(o, "memory").into()),
        text("Window", "How long it was measured.", |o, _| field(o, "window").into()),
    ]);
    [nodes, pods].map(|kind| Kind { singular: "".into(), ..kind }).into()
}

/// What all containers use of a resource.
fn together(pod: &Value, resource: &str) -> String {
    let each = list(pod, "containers").iter().map(|c| Quantity::parse(field(c, &format!("usage.{resource}"))));
    each.filter_map(Result::ok).fold(Quantity::ZERO, Quantity::plus).to_string()
}
