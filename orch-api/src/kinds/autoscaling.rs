//! Horizontal pod autoscalers, under two versions with the same columns.

use super::{
    cells::{NONE, UNSET, scalar_or},
    row::{Group, Row, named, text},
};
use crate::{
    access::{get, integer, list, text as field},
    kind::{Column, Kind},
};
use serde_json::Value;

pub(super) fn kinds() -> Vec<Kind> {
    let v2 = Group { group: "autoscaling", version: "v2", package: "io.k8s.api.autoscaling.v2" };
    let v1 = Group { group: "autoscaling", version: "v1", package: "io.k8s.api.autoscaling.v1" };
    [v2, v1].iter().map(autoscaler).collect()
}

fn autoscaler(group: &Group) -> Kind {
    group
        .namespaced("HorizontalPodAutoscaler", "horizontalpodautoscalers")
        .short(&["hpa"])
        .categories(&["all"])
        .status()
        .columns(columns())
}

/// The columns of the `scale` of a workload.
pub fn scale_columns() -> Vec<Column> {
    named([
        super::row::integer("Desired", "The replicas that are wanted.", |o, _| integer(o, "spec.replicas").into()),
        super::row::integer("Available", "The replicas that exist.", |o, _| integer(o, "status.replicas").into()),
    ])
}

fn columns() -> Vec<Column> {
    named([
        text("Reference", "What is scaled.", |o, _| {
            let of = |part| field(o, &format!("spec.scaleTargetRef.{part}")).to_owned();
            Value::from(format!("{}/{}", of("kind"), of("name")))
        }),
        text("Targets", "The metrics and their targets.", |o, _| targets(o).into()),
        text("MinPods", "The fewest replicas.", |o, _| scalar_or(o, "spec.minReplicas", UNSET)),
        text("MaxPods", "The most replicas.", |o, _| integer(o, "spec.maxReplicas").into()),
        text("Replicas", "Number of replicas that exist.", |o, _| integer(o, "status.currentReplicas").into()),
    ])
}

fn targets(autoscaler: &Value) -> String {
    if get(autoscaler, "spec.targetCPUUtilizationPercentage").is_some() {
        let percent = |path| get(autoscaler, path).map(|v| format!("{v}%"));
        let current = percent("status.currentCPUUtilizationPercentage").unwrap_or_else(|| UNKNOWN.into());
        let target = percent("spec.targetCPUUtilizationPercentage").unwrap_or_default();
        return format!("cpu: {current}/{target}");
    }
    let current = list(autoscaler, "status.currentMetrics");
    let metrics = list(autoscaler, "spec.metrics").iter().enumerate();
    let texts: Vec<String> = metrics.map(|(i, spec)| metric(spec, current.get(i))).collect();
    match texts.len() {
        0 => NONE.into(),
        1 | 2 => texts.join(", "),
        more => format!("{} + {} more...", texts.get(..2).unwrap_or_default().join(", "), more - 2),
    }
}

const UNKNOWN: &str = "<unknown>";

/// One metric as `current/target`.
fn metric(spec: &Value, status: Option<&Value>) -> String {
    let part = match field(spec, "type") {
        "External" => "external",
        "Pods" => "pods",
        "Object" => "object",
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        _ => return "<unknown type>".into(),
    };
    let target = |name: &str| get(spec, &format!("{part}.target.{name}"));
    let current = |name: &str| status.and_then(|s| get(s, &format!("{part}.current.{name}")));
    let shown = |value: Option<&Value>| value.map_or_else(|| UNKNOWN.to_owned(), plain);
    let percent = |value: Option<&Value>, words: &str| value.map_or_else(|| words.to_owned(), |v| format!("{v}%"));
    let average = || format!("{}/{}", shown(current("averageValue")), shown(target("averageValue")));
    match (part, target("averageValue").is_some()) {
        ("external" | "object", true) => format!("{} (avg)", average()),
        ("external" | "object", false) => format!("{}/{}", shown(current("value")), shown(target("value"))),
        ("pods", _) => average(),
        (_, averaged) => {
            let name = field(spec, &format!("{part}.name")).to_owned();
            let pair = match averaged {
                true => average(),
                false => {
                    let current = percent(current("averageUtilization"), UNKNOWN);
                    format!("{current}/{}", percent(target("averageUtilization"), "<auto>"))
                }
            };
            format!("{name}: {pair}")
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
