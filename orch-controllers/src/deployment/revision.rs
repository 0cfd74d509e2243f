//! Revisions: numbers in annotations, by which `kubectl rollout` knows the history.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use std::collections::BTreeMap;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that its sets do not inherit.
const NOT_INHERITED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The longest history that is kept, in characters.
const HISTORY_MAX: usize = 2000;

/// The revision of a set; zero if it has none.
pub(super) fn of(set: &ReplicaSet) -> i64 {
    set.metadata.annotations.as_ref().and_then(|a| a.get(REVISION)?.parse().ok()).unwrap_or(0)
}

/// Gives the new set the deployment's annotations and, if that is higher, the revision. A set that is
/// reused (a rollback) remembers the revisions it had.
pub(super) fn annotate_new(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_INHERITED.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let before = annotations.get(REVISION).cloned();
    let Ok(old) = before.as_deref().filter(|b| !b.is_empty()).unwrap_or("0").parse::<i64>() else { return };
    if old >= revision {
        return;
    }
    annotations.insert(REVISION.into(), revision.to_string());
    if let Some(before) = before {
        remember(annotations, before);
    }
}

/// Notes how many replicas the deployment asked for and could have had when the set got its size.
pub(super) fn annotate_size(set: &mut ReplicaSet, desired: i32, max: i32) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.into(), desired.to_string());
    annotations.insert(MAX.into(), max.to_string());
}

/// A number from a set's annotation.
pub(super) fn number(set: &ReplicaSet, annotation: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(annotation)?.parse().ok().filter(|n| *n >= 0)
}

fn remember(annotations: &mut BTreeMap<String, String>, revision: String) {
    let history = annotations.get(HISTORY).cloned().unwrap_or_default();
    let mut entries: Vec<&str> = history.split(',').filter(|e| !e.is_empty()).collect();
    entries.push(&revision);
    let mut start = 0;
    while entries.get(start..).unwrap_or_default().join(",").len() > HISTORY_MAX {
        start += 1;
    }
    let kept = entries.get(start..).unwrap_or_default().join(",");
    annotations.insert(HISTORY.into(), kept);
}
