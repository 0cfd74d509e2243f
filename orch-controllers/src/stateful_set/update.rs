//! How pods come to be of the new revision: the highest ordinals first.

use super::{identity, min_ready, pass::Pass, wanted};
use crate::common::facts::PodFacts;
use k8s_openapi::{
    api::apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSet},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_api::int_or_percent::{Round, scaled};
use orch_runtime::view::Known;

/// Whether pods become new only when the user deletes them.
pub(super) fn is_on_delete(set: &StatefulSet) -> bool {
    set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
}

/// How many pods, from the first on, are made of the current revision: those below the partition; without
/// `rollingUpdate` those that the update has not reached.
pub(super) fn kept(set: &StatefulSet) -> i32 {
    match rolling(set) {
        Some(rolling) => rolling.partition.unwrap_or(0),
        None if is_on_delete(set) => 0,
        None => set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0),
    }
}

/// Deletes pods of other revisions, for others to be made. All those that the set wants exist.
pub(super) fn proceed(pass: &mut Pass<'_>) {
    match rolling(pass.set).and_then(|rolling| rolling.max_unavailable.clone()) {
        Some(most) => several(pass, &most),
        None => one(pass),
    }
}

/// One pod at a time, each when all above it are new and well. One that is not of the new revision goes even if it is
/// not well, so that a broken rollout is over once the template is mended (of pods made in parallel).
fn one(pass: &mut Pass<'_>) {
    for replica in pass.replicas.clone().into_iter().skip(partition(pass.set)).rev() {
        let Some(pod) = replica else { return };
        if is_old(pass, pod) {
            return pass.outdate(pod);
        }
        if is_unavailable(pass, pod) {
            return;
        }
    }
}

/// As many at once as may be unavailable (`MaxUnavailableStatefulSet`; KEP-961).
fn several(pass: &mut Pass<'_>, most: &IntOrString) {
    // Validation refuses what is no number; a small percentage still means one.
    let most = scaled(most, wanted(pass.set), Round::Down).unwrap_or(1).max(1);
    let missing = |replica: &&Option<&Known<PodFacts>>| replica.is_none_or(|pod| is_unavailable(pass, pod));
    let unavailable = pass.replicas.iter().filter(missing).count();
    let budget = usize::try_from(most).unwrap_or(0).saturating_sub(unavailable);
    let old: Vec<&Known<PodFacts>> = pass.replicas.iter().skip(partition(pass.set)).rev().flatten().copied().collect();
    let old: Vec<_> = old.into_iter().filter(|pod| is_old(pass, pod)).take(budget).collect();
    old.into_iter().for_each(|pod| pass.outdate(pod));
}

fn rolling(set: &StatefulSet) -> Option<&RollingUpdateStatefulSetStrategy> {
    set.spec.update_strategy.as_ref()?.rolling_update.as_ref()
}

fn partition(set: &StatefulSet) -> usize {
    usize::try_from(rolling(set).and_then(|rolling| rolling.partition).unwrap_or(0)).unwrap_or(0)
}

fn is_old(pass: &Pass<'_>, pod: &Known<PodFacts>) -> bool {
    identity::revision(pod) != pass.world.update.name() && !pod.stored.meta.is_deleting()
}

fn is_unavailable(pass: &Pass<'_>, pod: &Known<PodFacts>) -> bool {
    pod.stored.meta.is_deleting() || !pod.facts.is_available(min_ready(pass.set), pass.now)
}
