//! Events, which two groups serve under two shapes.

use super::{
    cells::{name, since},
    core::CORE,
    row::{Group, Row, text, wide},
};
use crate::{
    access::{get, integer, text as field},
    kind::{Column, Kind},
};
use jiff::Timestamp;
use serde_json::Value;

pub(super) fn core() -> Kind {
    CORE.namespaced("Event", "events")
        .short(&["ev"])
        .columns(columns())
        .selectable(&[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
        ])
        .selectable_by("reportingComponent", |o| first(o, &["reportingComponent", "reportingController"]).to_owned())
        .selectable_by("source", |o| {
            let paths = ["source.component", "reportingComponent", "deprecatedSource.component", "reportingController"];
            first(o, &paths).to_owned()
        })
        .selectable(&["type"])
}

pub(super) fn kinds() -> Vec<Kind> {
    let group = Group { group: "events.k8s.io", version: "v1", package: "io.k8s.api.events.v1" };
    // Events are stored in the form of the core group, and selected in either.
    let event = group
        .namespaced("Event", "events")
        .short(&["ev"])
        .columns(columns())
        .selectable(&["reason", "type"])
        .selectable_by("regarding.kind", |o| either(o, "regarding.kind", "involvedObject.kind"))
        .selectable_by("regarding.namespace", |o| either(o, "regarding.namespace", "involvedObject.namespace"))
        .selectable_by("regarding.name", |o| either(o, "regarding.name", "involvedObject.name"))
        .selectable_by("regarding.uid", |o| either(o, "regarding.uid", "involvedObject.uid"))
        .selectable_by("regarding.apiVersion", |o| either(o, "regarding.apiVersion", "involvedObject.apiVersion"))
        .selectable_by("regarding.resourceVersion", |o| {
            either(o, "regarding.resourceVersion", "involvedObject.resourceVersion")
        })
        .selectable_by("regarding.fieldPath", |o| either(o, "regarding.fieldPath", "involvedObject.fieldPath"))
        .selectable_by("reportingController", |o| either(o, "reportingController", "reportingComponent"));
    vec![event]
}

/// The columns read both shapes: `involvedObject` or `regarding`, `message` or `note`.
fn columns() -> Vec<Column> {
    vec![
        text("Last Seen", "When the event was last observed.", last_seen),
        text("Type", "Normal or Warning.", |o, _| field(o, "type").into()),
        text("Reason", "Why the event was recorded, in one word.", |o, _| field(o, "reason").into()),
        text("Object", "What the event is about.", |o, _| target(o).into()),
        wide(text("Subobject", "The part of the object that the event is about.", |o, _| {
            first(o, &["involvedObject.fieldPath", "regarding.fieldPath"]).into()
        })),
        wide(text("Source", "Who recorded the event.", |o, _| source(o).into())),
        text("Message", "What happened.", |o, _| first(o, &["message", "note"]).trim().into()),
        wide(text("First Seen", "When the event was first observed.", first_seen)),
        wide(text("Count", "How often the event was observed.", |o, _| count(o).into())),
        wide(name()),
    ]
}

fn either(event: &Value, path: &str, other: &str) -> String {
    first(event, &[path, other]).to_owned()
}

fn first<'a>(event: &'a Value, paths: &[&str]) -> &'a str {
    paths.iter().map(|path| field(event, path)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn first_of(event: &Value, paths: &[&str], now: Timestamp) -> Value {
    since(event, paths.iter().find(|path| get(event, path).is_some()).copied().unwrap_or_default(), now)
}

fn first_seen(event: &Value, now: Timestamp) -> Value {
    first_of(event, &["firstTimestamp", "deprecatedFirstTimestamp", "eventTime"], now)
}

fn last_seen(event: &Value, now: Timestamp) -> Value {
    let paths = ["series.lastObservedTime", "lastTimestamp", "deprecatedLastTimestamp"];
    match paths.iter().find(|path| get(event, path).is_some()) {
        Some(path) => since(event, path, now),
        None => first_seen(event, now),
    }
}

fn target(event: &Value) -> String {
    let of = |part: &str| first(event, &[&format!("involvedObject.{part}"), &format!("regarding.{part}")]).to_owned();
    match (of("kind").to_lowercase(), of("name")) {
        (kind, name) if name.is_empty() => kind,
        (kind, name) => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let component = ["source.component", "deprecatedSource.component", "reportingComponent", "reportingController"];
    let component = first(event, &component);
    match first(event, &["source.host", "deprecatedSource.host", "reportingInstance"]) {
        "" => component.into(),
        instance => format!("{component}, {instance}"),
    }
}

fn count(event: &Value) -> i64 {
    if get(event, "series").is_some() {
        return integer(event, "series.count");
    }
    match integer(event, "count").max(integer(event, "deprecatedCount")) {
        0 => 1,
        count => count,
    }
}
