//! HorizontalPodAutoscalers of `autoscaling/v1` as those of `v2`, and back (`pkg/apis/autoscaling/v1/conversion.go`).
//!
//! What `v1` has no fields for it carries in annotations. An object that went from `v2` to `v1` and back is the same.

use crate::value::{Object, ensure, part};
use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// Annotations that are fields of `v2`.
const CARRIED: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];
/// What `v1` aims at when it says nothing.
const DEFAULT_UTILIZATION: u64 = 80;

/// Makes a `v1` object one of `v2`.
pub fn to_v2(autoscaler: &mut Value) {
    let Some(autoscaler) = autoscaler.as_object_mut() else { return };
    autoscaler.insert("apiVersion".into(), "autoscaling/v2".into());
    let carried = take_annotations(autoscaler);
    let read = |name: &str| carried.get(name).and_then(Value::as_str).and_then(|t| serde_json::from_str(t).ok());
    if let Some(spec) = part(autoscaler, "spec") {
        let mut metrics: Vec<Value> = list(read(METRICS)).into_iter().map(spec_to_v2).collect();
        metrics.extend(spec.remove("targetCPUUtilizationPercentage").map(|percent| cpu("target", percent)));
        if metrics.is_empty() {
            metrics.push(cpu("target", DEFAULT_UTILIZATION.into()));
        }
        spec.insert("metrics".into(), metrics.into());
        if let Some(Value::Object(behavior)) = read(BEHAVIOR).map(|b| with_names(b, char::to_ascii_lowercase)) {
            spec.insert("behavior".into(), behavior.into());
        }
    }
    let (current, conditions) = (read(CURRENT_METRICS), read(CONDITIONS));
    if let Some(status) = part(autoscaler, "status") {
        let percent = status.remove("currentCPUUtilizationPercentage");
        let metrics: Vec<Value> = match current {
            Some(current) => list(Some(current)).into_iter().map(status_to_v2).collect(),
            None => percent.map(|percent| cpu("current", percent)).into_iter().collect(),
        };
        if !metrics.is_empty() {
            status.insert("currentMetrics".into(), metrics.into());
        }
        if let Some(conditions) = conditions {
            status.insert("conditions".into(), conditions);
        }
    }
}

/// Makes a `v2` object one of `v1`.
pub fn to_v1(autoscaler: &mut Value) {
    let Some(autoscaler) = autoscaler.as_object_mut() else { return };
    autoscaler.insert("apiVersion".into(), "autoscaling/v1".into());
    drop(take_annotations(autoscaler));
    let mut carried = Map::new();
    let mut carry = |name: &str, value: Value| drop(carried.insert(name.into(), value.to_string().into()));
    if let Some(spec) = part(autoscaler, "spec") {
        let (utilizations, others): (Vec<Value>, Vec<Value>) =
            list(spec.remove("metrics")).into_iter().partition(|metric| utilization(metric, "target").is_some());
        if let Some(percent) = utilizations.first().and_then(|metric| utilization(metric, "target")) {
            spec.insert("targetCPUUtilizationPercentage".into(), percent.clone());
        }
        if !others.is_empty() {
            carry(METRICS, others.into_iter().map(spec_to_v1).collect());
        }
        if let Some(behavior) = spec.remove("behavior") {
            carry(BEHAVIOR, with_names(behavior, char::to_ascii_uppercase));
        }
    }
    if let Some(status) = part(autoscaler, "status") {
        let metrics = list(status.remove("currentMetrics"));
        if let Some(percent) = metrics.iter().find_map(|metric| utilization(metric, "current")) {
            status.insert("currentCPUUtilizationPercentage".into(), percent.clone());
        }
        if !metrics.is_empty() {
            carry(CURRENT_METRICS, metrics.into_iter().map(status_to_v1).collect());
        }
        if let Some(conditions) = status.remove("conditions").filter(|c| c.as_array().is_some_and(|c| !c.is_empty())) {
            carry(CONDITIONS, conditions);
        }
    }
    if let Some(annotations) = annotations_of(autoscaler).filter(|_| !carried.is_empty()) {
        annotations.extend(carried);
    }
}

fn annotations_of(autoscaler: &mut Object) -> Option<&mut Object> {
    ensure(ensure(autoscaler, "metadata")?, "annotations")
}

/// Takes the carried annotations away; of a map without any other nothing is left.
fn take_annotations(autoscaler: &mut Object) -> Object {
    let mut taken = Map::new();
    let Some(metadata) = part(autoscaler, "metadata") else { return taken };
    let Some(annotations) = part(metadata, "annotations") else { return taken };
    for name in CARRIED {
        taken.extend(annotations.remove(name).map(|value| (name.to_owned(), value)));
    }
    if annotations.is_empty() && !taken.is_empty() {
        metadata.remove("annotations");
    }
    taken
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// A metric of the use of CPU in hundredths of what is requested.
fn cpu(what: &str, percent: Value) -> Value {
    let value = match what {
        "target" => json!({"type": "Utilization", "averageUtilization": percent}),
        _ => json!({"averageUtilization": percent}),
    };
    json!({"type": "Resource", "resource": {"name": "cpu", what: value}})
}

/// The percentage of such a metric.
fn utilization<'a>(metric: &'a Value, what: &str) -> Option<&'a Value> {
    let resource = metric.get("resource").filter(|r| r["name"] == "cpu" && metric["type"] == "Resource")?;
    resource.get(what)?.get("averageUtilization")
}

/// The same JSON with the first letters of all names changed: this one annotation has the names of Go's fields.
fn with_names(value: Value, first: fn(&char) -> char) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
                let mut letters = name.chars();
                let name = letters.next().map(|c| first(&c)).into_iter().chain(letters).collect();
                (name, with_names(value, first))
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) => items.into_iter().map(|item| with_names(item, first)).collect(),
        scalar => scalar,
    }
}

/// The sources of metrics, with what `v1` calls the amounts of each: the value, the average value, the average
/// utilization; and what it calls the selector.
const SOURCES: [(&str, [&str; 3], &str); 5] = [
    ("object", ["Value", "", ""], "selector"),
    ("pods", ["", "AverageValue", ""], "selector"),
    ("resource", ["", "AverageValue", "AverageUtilization"], ""),
    ("containerResource", ["", "AverageValue", "AverageUtilization"], ""),
    ("external", ["Value", "AverageValue", ""], "metricSelector"),
];
const AMOUNTS: [&str; 3] = ["value", "averageValue", "averageUtilization"];

fn spec_to_v1(metric: Value) -> Value {
    to_flat(metric, "target")
}

fn status_to_v1(metric: Value) -> Value {
    to_flat(metric, "current")
}

fn spec_to_v2(metric: Value) -> Value {
    to_nested(metric, "target")
}

fn status_to_v2(metric: Value) -> Value {
    to_nested(metric, "current")
}

/// `{"metric": {"name", "selector"}, "target": {"averageValue"}}` as `{"metricName", "selector", "targetAverageValue"}`.
fn to_flat(mut metric: Value, what: &str) -> Value {
    let Some(fields) = metric.as_object_mut() else { return metric };
    for (source, words, selector) in SOURCES {
        let Some(fields) = part(fields, source) else { continue };
        let amounts = fields.remove(what);
        if let Some(object) = fields.remove("describedObject") {
            fields.insert("target".into(), object);
        }
        if let Some(mut name) = fields.remove("metric") {
            fields.insert("metricName".into(), name["name"].take());
            if let Some(chosen) = name.get_mut("selector") {
                fields.insert(selector.into(), chosen.take());
            }
        }
        for (amount, word) in AMOUNTS.into_iter().zip(words) {
            let Some(value) = amounts.as_ref().and_then(|a| a.get(amount)).cloned() else { continue };
            fields.insert(flat_name(source, what, amount, word), value);
        }
        if source == "object" && !fields.contains_key(&format!("{what}Value")) {
            fields.insert(format!("{what}Value"), "0".into());
        }
    }
    metric
}

/// The way back.
fn to_nested(mut metric: Value, what: &str) -> Value {
    let Some(fields) = metric.as_object_mut() else { return metric };
    for (source, words, selector) in SOURCES {
        let Some(fields) = part(fields, source) else { continue };
        let mut amounts = Map::new();
        for (amount, word) in AMOUNTS.into_iter().zip(words) {
            let value = fields.remove(&flat_name(source, what, amount, word));
            amounts.extend(value.map(|value| (amount.to_owned(), value)));
        }
        if source == "object" {
            if let Some(object) = fields.remove("target") {
                fields.insert("describedObject".into(), object);
            }
            // `v1` cannot leave the value out.
            if amounts.contains_key("averageValue") && amounts.get("value").is_some_and(|value| value == "0") {
                amounts.remove("value");
            }
        }
        if let Some(name) = fields.remove("metricName") {
            let mut metric = json!({"name": name});
            if let Some(chosen) = fields.remove(selector) {
                metric["selector"] = chosen;
            }
            fields.insert("metric".into(), metric);
        }
        if what == "target" {
            let kind = match (amounts.contains_key("averageUtilization"), amounts.contains_key("averageValue")) {
                (true, _) => "Utilization",
                (false, true) if source != "external" || !amounts.contains_key("value") => "AverageValue",
                _ => "Value",
            };
            amounts.insert("type".into(), kind.into());
        }
        fields.insert(what.into(), amounts.into());
    }
    metric
}

/// What `v1` calls an amount: `targetAverageValue`, but of objects the average is `averageValue` alone.
fn flat_name(source: &str, what: &str, amount: &str, word: &str) -> String {
    match (source, word) {
        ("object", "") => amount.to_owned(),
        _ => format!("{what}{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(spec: Value, status: Value) -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "annotations": {"mine": "kept"}}, "spec": spec, "status": status})
    }

    #[test]
    fn a_percentage_of_cpu_is_a_metric() {
        let mut object = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"}, "spec": {"maxReplicas": 4, "targetCPUUtilizationPercentage": 70}});
        to_v2(&mut object);
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {
            "type": "Utilization", "averageUtilization": 70}}});
        assert_eq!(object["spec"], json!({"maxReplicas": 4, "metrics": [metric]}));
        assert_eq!(object["apiVersion"], "autoscaling/v2");
    }

    #[test]
    fn without_a_percentage_it_is_eighty() {
        let mut object = json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 4}});
        to_v2(&mut object);
        assert_eq!(object.pointer("/spec/metrics/0/resource/target/averageUtilization"), Some(&json!(80)));
    }

    #[test]
    fn there_and_back_it_is_the_same() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let described = json!({"kind": "Service", "name": "front", "apiVersion": "v1"});
        let spec = json!({
            "maxReplicas": 4,
            "metrics": [
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main", "target": {
                    "type": "Utilization", "averageUtilization": 50}}},
                {"type": "Pods", "pods": {"metric": {"name": "hits", "selector": selector}, "target": {
                    "type": "AverageValue", "averageValue": "10"}}},
                {"type": "Object", "object": {"describedObject": described, "metric": {"name": "queue"}, "target": {
                    "type": "Value", "value": "30"}}},
                {"type": "Object", "object": {"describedObject": described, "metric": {"name": "queue"}, "target": {
                    "type": "AverageValue", "averageValue": "3"}}},
                {"type": "External", "external": {"metric": {"name": "jobs", "selector": selector}, "target": {
                    "type": "Value", "value": "9"}}},
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}},
            ],
            "behavior": {"scaleUp": {"stabilizationWindowSeconds": 5, "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15}]}},
        });
        let status = json!({
            "currentReplicas": 2, "desiredReplicas": 3,
            "currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 90, "averageValue": "90m"}}}],
            "conditions": [{"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale", "message": ""}],
        });
        let original = v2(spec, status);
        let mut object = original.clone();
        to_v1(&mut object);
        assert_eq!(object["spec"], json!({"maxReplicas": 4, "targetCPUUtilizationPercentage": 60}));
        assert_eq!(object.pointer("/status/currentCPUUtilizationPercentage"), Some(&json!(90)));
        let behavior = object["metadata"]["annotations"][BEHAVIOR].as_str().unwrap_or_default();
        assert!(behavior.contains("\"PeriodSeconds\":15"), "{behavior}");
        to_v2(&mut object);
        assert_eq!(object, original);
    }
}
