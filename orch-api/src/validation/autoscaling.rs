//! HorizontalPodAutoscaler, versions 1 and 2 (`pkg/apis/autoscaling/validation`).

use super::{
    at::At,
    names::{dns_label, path_segment},
};
use crate::quantity::Quantity;

/// A new autoscaler.
pub(super) fn created(autoscaler: At<'_>) {
    spec(autoscaler.at("spec"), true);
}

/// An update of an autoscaler.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    let before = old.at("spec");
    let (target, target_before) = (new.at("spec").at("scaleTargetRef"), before.at("scaleTargetRef"));
    let is_same = ["apiVersion", "kind"].iter().all(|field| target.at(field).same(target_before.at(field)));
    spec(new.at("spec"), !is_same);
}

/// An update of the status.
pub(super) fn status_updated<'a>(new: At<'a>, _: At<'a>) {
    for field in ["currentReplicas", "desiredReplicas"] {
        new.at("status").at(field).non_negative();
    }
}

fn spec(spec: At<'_>, check_version: bool) {
    let (min, max) = (spec.at("minReplicas"), spec.at("maxReplicas"));
    // Scaling to zero is for metrics of others than the pods, of which there are none then; see below.
    if min.int().is_some_and(|n| n < 0) {
        min.invalid("must be greater than or equal to 0");
    }
    let most = max.int().unwrap_or_default();
    match most {
        0 => max.required("must be set and greater than 0"),
        n if n < 0 => max.invalid("must be greater than or equal to 1"),
        _ => {}
    }
    if min.int().is_some_and(|least| most < least) {
        max.invalid_as(most, "must be greater than or equal to `minReplicas`");
    }
    let target = spec.at("scaleTargetRef");
    reference(target);
    let version = target.at("apiVersion");
    if check_version && target.at("kind").str() != "ReplicationController" && !version.str().contains('/') {
        version.invalid("apiVersion must specify API group");
    }
    spec.at("metrics").items().for_each(metric);
    let is_outside = |m: At<'_>| matches!(m.at("type").str(), "Object" | "External");
    if min.int() == Some(0) && !spec.at("metrics").items().any(is_outside) {
        spec.at("metrics")
            .forbidden("must specify at least one Object or External metric to support scaling to zero replicas");
    }
    for rules in ["scaleUp", "scaleDown"].map(|side| spec.at("behavior").at(side)).into_iter().filter(|r| r.is_set()) {
        scaling_rules(rules);
    }
}

fn reference(reference: At<'_>) {
    for field in ["kind", "name"] {
        if reference.at(field).require("") {
            reference.at(field).text(path_segment);
        }
    }
}

fn scaling_rules(rules: At<'_>) {
    let window = rules.at("stabilizationWindowSeconds");
    if window.int().is_some_and(|n| n < 0) {
        window.invalid("must be greater than or equal to zero");
    }
    if window.int().is_some_and(|n| n > 3600) {
        window.invalid("must be less than or equal to 3600");
    }
    rules.at("selectPolicy").one_of(&["Disabled", "Max", "Min"]);
    rules.at("policies").require("must specify at least one Policy");
    for policy in rules.at("policies").items() {
        if !matches!(policy.at("type").str(), "Pods" | "Percent") {
            policy.at("type").not_supported(&["Percent", "Pods"]);
        }
        policy.at("value").positive_required();
        policy.at("periodSeconds").positive_required();
        if policy.at("periodSeconds").int().is_some_and(|n| n > 1800) {
            policy.at("periodSeconds").invalid("must be less than or equal to 1800");
        }
    }
}

/// Sources by their type and field, in the order in which they are looked at.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

fn metric(metric: At<'_>) {
    let kind = metric.at("type");
    kind.require("must specify a metric source type");
    if !SOURCES.iter().any(|(name, _)| *name == kind.str()) {
        kind.not_supported(&["ContainerResource", "External", "Object", "Pods", "Resource"]);
    }
    let present: Vec<&str> = SOURCES.iter().map(|(_, field)| *field).filter(|f| metric.at(f).is_set()).collect();
    if let Some(first) = present.first() {
        source(first, metric.at(first));
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.str()).map(|(_, field)| *field);
    if let Some(field) = expected.filter(|field| !metric.at(field).is_set()) {
        metric.at(field).required("must populate information for the given metric source");
    }
    if present.len() != 1 {
        for field in present.into_iter().filter(|field| Some(*field) != expected) {
            metric.at(field).forbidden("must populate the given metric source only");
        }
    }
}

fn source(kind: &str, source: At<'_>) {
    let target = source.at("target");
    let (value, average) = (target.at("value"), target.at("averageValue"));
    match kind {
        "object" | "external" | "pods" => {
            if kind == "object" {
                reference(source.at("describedObject"));
            }
            let name = source.at("metric").at("name");
            if name.require("must specify a metric name") {
                name.text(path_segment);
            }
        }
        _ => {
            source.at("name").require("must specify a resource name");
            let container = source.at("container");
            if kind == "containerResource" && container.require("must specify a container") {
                container.text(dns_label);
            }
        }
    }
    metric_target(target);
    let utilization = target.at("averageUtilization");
    match kind {
        "object" if !value.is_set() && !average.is_set() => {
            average.required("must set either a target value or averageValue");
        }
        "external" if !value.is_set() && !average.is_set() => {
            average.required("must set either a target value for metric or a per-pod target");
        }
        "external" if value.is_set() && average.is_set() => {
            value.forbidden("may not set both a target value for metric and a per-pod target");
        }
        "pods" if !average.is_set() => average.required("must specify a positive target averageValue"),
        "resource" | "containerResource" if !utilization.is_set() && !average.is_set() => {
            utilization.required("must set either a target raw value or a target utilization");
        }
        "resource" | "containerResource" if utilization.is_set() && average.is_set() => {
            average.forbidden("may not set both a target raw value and a target utilization");
        }
        _ => {}
    }
}

fn metric_target(target: At<'_>) {
    let kind = target.at("type");
    kind.require("must specify a metric target type");
    if !matches!(kind.str(), "Utilization" | "Value" | "AverageValue") {
        kind.invalid("must be either Utilization, Value, or AverageValue");
    }
    for amount in ["value", "averageValue"].map(|field| target.at(field)) {
        if amount.is_set() && amount.value().and_then(Quantity::of).is_none_or(|a| !a.is_positive()) {
            amount.invalid("must be positive");
        }
    }
    if target.at("averageUtilization").int().is_some_and(|n| n < 1) {
        target.at("averageUtilization").invalid("must be greater than 0");
    }
}
