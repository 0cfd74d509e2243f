//! The status of a StatefulSet.

use super::{identity, min_ready, wanted};
use crate::common::{
    count::{number, unless_still_absent},
    facts::{Phase, PodFacts},
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use orch_runtime::view::Known;

/// The names of the two revisions that pods may have.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) current: &'a str,
    pub(super) update: &'a str,
}

/// The status that the pods give. `outdated` pods of the current revision are being deleted by this plan.
pub(super) fn status(
    set: &StatefulSet,
    pods: &[&Known<PodFacts>],
    names: Names<'_>,
    collisions: Option<i32>,
    outdated: usize,
    now: Timestamp,
) -> StatefulSetStatus {
    let old = set.status.clone().unwrap_or_default();
    let count = |keep: &dyn Fn(&Known<PodFacts>) -> bool| number(pods.iter().filter(|pod| keep(pod)).count());
    let of_revision = |name: &str| count(&|pod| !pod.stored.meta.is_deleting() && identity::revision(pod) == name);
    let available = count(&|pod| is_ready(pod) && pod.facts.is_available(min_ready(set), now));
    let mut status = StatefulSetStatus {
        replicas: number(pods.len()),
        ready_replicas: Some(count(&|pod| is_ready(pod))),
        available_replicas: Some(available),
        current_replicas: Some((of_revision(names.current) - number(outdated)).max(0)),
        updated_replicas: Some(of_revision(names.update)),
        current_revision: Some(names.current.to_owned()),
        update_revision: Some(names.update.to_owned()),
        observed_generation: set.metadata.generation,
        collision_count: collisions,
        conditions: old.conditions.clone(),
    };
    complete(set, &mut status);
    let keep = |new: &mut Option<i32>, old| *new = unless_still_absent(new.unwrap_or(0), old);
    keep(&mut status.ready_replicas, old.ready_replicas);
    keep(&mut status.current_replicas, old.current_replicas);
    keep(&mut status.updated_replicas, old.updated_replicas);
    status
}

/// Whether a pod runs and is ready.
pub(super) fn is_ready(pod: &Known<PodFacts>) -> bool {
    pod.facts.phase == Phase::Running && pod.facts.is_ready()
}

/// Once all pods are of the new revision and ready, that is the current one (`completeRollingUpdate`).
fn complete(set: &StatefulSet, status: &mut StatefulSetStatus) {
    let all = |count: Option<i32>| count == Some(wanted(set));
    if !super::update::is_on_delete(set)
        && all(status.updated_replicas)
        && all(status.ready_replicas)
        && status.replicas == wanted(set)
    {
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
}
