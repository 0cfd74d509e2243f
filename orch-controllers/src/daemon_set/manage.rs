//! A pod where there should be one, none where there should not.

use super::{pass::Pass, update::surges};
use crate::common::{
    facts::{Phase, PodFacts},
    time::until,
};
use orch_runtime::view::Known;

/// Decides what is to be made and deleted on every node; returns whether that is anything.
pub(super) fn proceed(pass: &mut Pass<'_>) -> bool {
    let nodes: Vec<&str> = pass.nodes.keys().copied().collect();
    nodes.into_iter().for_each(|node| on_node(pass, node));
    let homeless = pass.by_node.iter().filter(|(node, _)| !pass.nodes.contains_key(*node));
    // Pods for a node that is gone are never bound, and so never collected with it.
    let unbound = homeless.flat_map(|(_, pods)| pods).filter(|pod| pod.facts.node.is_empty());
    let unbound: Vec<_> = unbound.filter(|pod| !pod.stored.meta.is_deleting()).copied().collect();
    unbound.into_iter().for_each(|pod| pass.delete(pod));
    pass.is_busy()
}

fn on_node<'a>(pass: &mut Pass<'a>, node: &'a str) {
    let placement = pass.placement(node);
    let pods = pass.by_node.get(node).cloned().unwrap_or_default();
    if placement.runs && pods.is_empty() {
        return pass.create(node);
    }
    let alive: Vec<_> = pods.into_iter().filter(|pod| !pod.stored.meta.is_deleting()).collect();
    if !placement.stays {
        return alive.into_iter().for_each(|pod| pass.delete(pod));
    }
    let (ended, running): (Vec<_>, Vec<_>) = alive.into_iter().partition(|pod| pod.facts.is_finished());
    ended.into_iter().for_each(|pod| clear_away(pass, pod, node));
    if !surges(pass.set) {
        return running.into_iter().skip(1).for_each(|pod| pass.delete(pod));
    }
    match running.len() {
        0 if placement.runs => pass.create(node),
        0 | 1 => {}
        _ => keep_two(pass, running),
    }
}

/// A pod that failed is left for a while if others failed before it.
fn clear_away<'a>(pass: &mut Pass<'a>, pod: &'a Known<PodFacts>, node: &str) {
    let at = pass.world.failed.get(&pod.stored.meta.uid).copied();
    match at.filter(|at| pod.facts.phase == Phase::Failed && *at > pass.now) {
        Some(at) => pass.plan.requeue_within(until(at, pass.now)),
        None => pass.clear_away(pod, node),
    }
}

/// While surging a node may have two pods, as long as the old one is ready and the new one is not available: the oldest
/// of each. All the others go.
fn keep_two<'a>(pass: &mut Pass<'a>, running: Vec<&'a Known<PodFacts>>) {
    let (new, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| pass.has_hash(pod));
    let surplus: Vec<_> = new.iter().skip(1).chain(old.iter().skip(1)).copied().collect();
    surplus.into_iter().for_each(|pod| pass.delete(pod));
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!old.facts.is_ready() || pass.is_available(new))
    {
        pass.delete(old);
    }
}
