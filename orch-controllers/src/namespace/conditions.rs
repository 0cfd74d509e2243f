//! What a namespace that is being deleted says about it (`status_condition_utils.go`).

use super::Remaining;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Namespace, NamespaceCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Gvr;
use std::collections::BTreeMap;

/// A condition: its type, and reason and message when there is nothing to report.
type Topic = (&'static str, &'static str, &'static str);

const DISCOVERY: Topic =
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered");
const PARSING: Topic =
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed");
const DELETION: Topic = (
    "NamespaceDeletionContentFailure",
    "ContentDeleted",
    "All content successfully deleted, may be waiting on finalization",
);
const CONTENT: Topic = ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed");
const FINALIZERS: Topic =
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished");

/// Writes the five conditions.
pub(super) fn report(
    namespace: &mut Namespace,
    remaining: &BTreeMap<Gvr, Remaining>,
    errors: Vec<String>,
    now: Timestamp,
) {
    let mut set = |topic, problem| set(namespace, topic, problem, now);
    set(DISCOVERY, None);
    set(PARSING, None);
    set(DELETION, deletion_problem(&errors));
    set(CONTENT, content_problem(remaining));
    set(FINALIZERS, finalizer_problem(remaining));
}

fn deletion_problem(errors: &[String]) -> Option<(&'static str, String)> {
    let message = || format!("Failed to delete all resource types, {} remaining: {}", errors.len(), errors.join(", "));
    (!errors.is_empty()).then(|| ("ContentDeletionFailed", message()))
}

fn content_problem(remaining: &BTreeMap<Gvr, Remaining>) -> Option<(&'static str, String)> {
    let mut lines: Vec<String> = remaining
        .iter()
        .map(|(gvr, left)| format!("{}.{} has {} resource instances", gvr.resource, gvr.group, left.count))
        .collect();
    lines.sort();
    let message = || format!("Some resources are remaining: {}", lines.join(", "));
    (!lines.is_empty()).then(|| ("SomeResourcesRemain", message()))
}

fn finalizer_problem(remaining: &BTreeMap<Gvr, Remaining>) -> Option<(&'static str, String)> {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in remaining.values().flat_map(|left| &left.finalizers) {
        *totals.entry(finalizer).or_insert(0) += count;
    }
    let lines: Vec<String> = totals.iter().map(|(name, n)| format!("{name} in {n} resource instances")).collect();
    let message = || format!("Some content in the namespace has finalizers remaining: {}", lines.join(", "));
    (!lines.is_empty()).then(|| ("SomeFinalizersRemain", message()))
}

fn set(namespace: &mut Namespace, topic: Topic, problem: Option<(&'static str, String)>, now: Timestamp) {
    let (kind, reason, message) = topic;
    let (status, reason, message) = match problem {
        Some((reason, message)) => ("True", reason, message),
        None => ("False", reason, message.to_owned()),
    };
    let conditions = namespace.status.get_or_insert_default().conditions.get_or_insert_default();
    let new = NamespaceCondition {
        type_: kind.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
    };
    match conditions.iter_mut().find(|c| c.type_ == kind) {
        None => conditions.push(new),
        Some(old) if old.status != new.status => *old = new,
        Some(old) => *old = NamespaceCondition { last_transition_time: old.last_transition_time.clone(), ..new },
    }
}
