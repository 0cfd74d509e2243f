//! Workloads of `apps/v1` and the ReplicationController (`pkg/apis/apps/v1/defaults.go`).

use super::{pod, storage};
use crate::value::{Object, each, ensure, fill, fill_text, part, text};
use serde_json::{Value, json};

/// Deployment.
pub(super) fn deployment(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "replicas", 1);
    if let Some(strategy) = ensure(spec, "strategy") {
        fill_text(strategy, "type", "RollingUpdate");
        rolling(strategy, &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    pod::template(spec);
}

/// ReplicaSet.
pub(super) fn replica_set(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "replicas", 1);
    pod::template(spec);
}

/// ReplicationController: selector and labels come from the template.
pub(super) fn replication_controller(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "replicas", 1);
    let labels = template_labels(spec);
    if part(spec, "template").is_some() {
        pod::template(spec);
    }
    let Some(labels) = labels else { return };
    if part(spec, "selector").is_none_or(|s| s.is_empty()) {
        spec.insert("selector".into(), labels.clone());
    }
    labels_from_template(object, labels);
}

/// DaemonSet.
pub(super) fn daemon_set(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    if let Some(strategy) = ensure(spec, "updateStrategy") {
        fill_text(strategy, "type", "RollingUpdate");
        rolling(strategy, &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    }
    fill(spec, "revisionHistoryLimit", 10);
    pod::template(spec);
}

/// StatefulSet.
pub(super) fn stateful_set(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill_text(spec, "podManagementPolicy", "OrderedReady");
    if let Some(strategy) = ensure(spec, "updateStrategy") {
        if text(strategy, "type").is_empty() {
            fill_text(strategy, "type", "RollingUpdate");
            ensure(strategy, "rollingUpdate");
        }
        if part(strategy, "rollingUpdate").is_some() {
            rolling(strategy, &[("partition", json!(0))]);
        }
    }
    if let Some(policy) = ensure(spec, "persistentVolumeClaimRetentionPolicy") {
        fill_text(policy, "whenDeleted", "Retain");
        fill_text(policy, "whenScaled", "Retain");
    }
    fill(spec, "replicas", 1);
    fill(spec, "revisionHistoryLimit", 10);
    pod::template(spec);
    each(spec, "volumeClaimTemplates").for_each(storage::claim_template);
}

/// Fills `rollingUpdate` where the strategy is that one.
fn rolling(strategy: &mut Object, fields: &[(&str, Value)]) {
    if text(strategy, "type") == "RollingUpdate"
        && let Some(update) = ensure(strategy, "rollingUpdate")
    {
        fields.iter().for_each(|(field, value)| fill(update, field, value.clone()));
    }
}

/// The labels of a spec's template, where it has any.
pub(super) fn template_labels(spec: &Object) -> Option<Value> {
    let labels = spec.get("template")?.get("metadata")?.get("labels")?;
    labels.as_object().is_some_and(|l| !l.is_empty()).then(|| labels.clone())
}

/// Labels for an object that has none of its own.
pub(super) fn labels_from_template(object: &mut Object, labels: Value) {
    if let Some(meta) = ensure(object, "metadata")
        && part(meta, "labels").is_none_or(|l| l.is_empty())
    {
        meta.insert("labels".into(), labels);
    }
}
