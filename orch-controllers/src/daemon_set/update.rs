//! A rolling update: by deleting old pods within `maxUnavailable`, or by making new ones beside them within `maxSurge`.

use super::pass::Pass;
use crate::common::facts::PodFacts;
use k8s_openapi::{
    api::apps::v1::{DaemonSet, RollingUpdateDaemonSet},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_api::int_or_percent::{Round, scaled};
use orch_runtime::view::Known;
use std::collections::BTreeSet;

/// Whether pods become new only when the user deletes them.
pub(super) fn is_on_delete(set: &DaemonSet) -> bool {
    set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
}

/// Whether a node may have two pods.
pub(super) fn surges(set: &DaemonSet) -> bool {
    limits(set, 1).0 > 0
}

/// Decides which pods are replaced now.
pub(super) fn proceed(pass: &mut Pass<'_>) {
    let desired = pass.nodes.values().filter(|placement| placement.runs).count();
    match limits(pass.set, i32::try_from(desired).unwrap_or(i32::MAX)) {
        // Neither may be had: without this the update would never begin.
        (0, 0) => replace(pass, usize::from(desired > 0)),
        (0, unavailable) => replace(pass, unavailable),
        (surge, _) => surge_within(pass, surge, desired),
    }
}

/// `maxSurge` and `maxUnavailable` of so many pods. Both round up.
fn limits(set: &DaemonSet, desired: i32) -> (usize, usize) {
    let rolling: Option<&RollingUpdateDaemonSet> =
        set.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    // What is neither a number nor a percentage counts as zero; validation refuses it.
    let count = |value: Option<&IntOrString>| {
        let count = value.and_then(|value| scaled(value, desired, Round::Up).ok()).unwrap_or(0);
        usize::try_from(count).unwrap_or(0)
    };
    match (rolling, is_on_delete(set)) {
        (Some(rolling), false) => (count(rolling.max_surge.as_ref()), count(rolling.max_unavailable.as_ref())),
        _ => (0, 0),
    }
}

/// The pods of a node that are not being deleted, if there is at most one of each.
struct Pair<'a> {
    new: Option<&'a Known<PodFacts>>,
    old: Option<&'a Known<PodFacts>>,
}

fn pair<'a>(pass: &Pass<'a>, node: &str) -> Option<Pair<'a>> {
    let pods = pass.by_node.get(node).into_iter().flatten().filter(|pod| !pod.stored.meta.is_deleting());
    let (new, old): (Vec<_>, Vec<_>) = pods.copied().partition(|pod| pass.is_updated(pod));
    (new.len() <= 1 && old.len() <= 1).then(|| Pair { new: new.first().copied(), old: old.first().copied() })
}

/// The nodes that have pods or should have one, in the order of their names.
fn concerned<'a>(pass: &Pass<'a>) -> BTreeSet<&'a str> {
    let wanted = pass.nodes.iter().filter(|(_, placement)| placement.runs).map(|(node, _)| *node);
    wanted.chain(pass.by_node.keys().copied()).collect()
}

/// Deletes old pods: all that are not available anyhow, and of the others as many as may be missing besides those that
/// are.
fn replace(pass: &mut Pass<'_>, most: usize) {
    let (mut unavailable, mut candidates, mut allowed) = (0, Vec::new(), Vec::new());
    for node in concerned(pass) {
        match pair(pass, node) {
            Some(Pair { new: Some(new), old: None }) => unavailable += usize::from(!pass.is_available(new)),
            Some(Pair { new: None, old: Some(old) }) if !pass.is_available(old) => {
                allowed.push(old);
                unavailable += 1;
            }
            Some(Pair { new: None, old: Some(old) }) => candidates.push(old),
            // Too many or none: seen to before, and nothing that serves until then.
            _ => unavailable += 1,
        }
    }
    allowed.extend(candidates.into_iter().take(most.saturating_sub(unavailable)));
    allowed.into_iter().for_each(|pod| pass.delete(pod));
}

/// Makes new pods beside the old ones, and deletes an old one when the new one is available.
fn surge_within(pass: &mut Pass<'_>, most: usize, desired: usize) {
    let (mut surging, mut available) = (0, 0);
    let (mut delete, mut misplaced, mut candidates, mut allowed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for node in concerned(pass) {
        let Some(Pair { new, old }) = pair(pass, node) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(|pod| pass.is_available(pod)));
        let runs = pass.placement(node).runs;
        match (old, new) {
            (None, _) => {}
            (Some(old), None) => match (pass.is_available(old), runs) {
                (false, false) => delete.push(old),
                (false, true) => allowed.push(node),
                (true, false) => misplaced.push(old),
                (true, true) => candidates.push(node),
            },
            (Some(_), Some(new)) if !pass.is_available(new) => surging += 1,
            (Some(old), Some(_)) => delete.push(old),
        }
    }
    // Where the set is not for a node any more, its pod serves until others do.
    delete.extend(misplaced.into_iter().take(available.saturating_sub(desired)));
    allowed.extend(candidates.into_iter().take(most.saturating_sub(surging)));
    delete.into_iter().for_each(|pod| pass.delete(pod));
    allowed.into_iter().for_each(|node| pass.create(node));
}
