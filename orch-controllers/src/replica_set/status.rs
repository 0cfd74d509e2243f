//! The status of a ReplicaSet (`pkg/controller/replicaset/replica_set_utils.go`).

use super::{World, available_at, wanted};
use crate::common::{
    facts::PodFacts,
    owner,
    selector::{contains_all, selects},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Object;
use orch_runtime::view::Known;

/// The status that the pods give.
pub(super) fn status(
    world: &World,
    claimed: &[&Known<PodFacts>],
    active: &[&Known<PodFacts>],
    now: Timestamp,
) -> ReplicaSetStatus {
    let set = &world.set;
    let template = set.spec.template.as_ref().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone());
    let template = template.unwrap_or_default();
    let count = |keep: &dyn Fn(&Known<PodFacts>) -> bool| number(active.iter().filter(|pod| keep(pod)).count());
    let terminating = claimed.iter().filter(|pod| {
        pod.stored.meta.is_deleting()
            && !pod.facts.is_finished()
            && owner::is_controlled_by(&pod.stored, set.uid())
            && selects(&set.spec.selector, &pod.stored.meta.labels)
    });
    let status = ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: Some(count(&|pod| contains_all(&pod.stored.meta.labels, &template))),
        ready_replicas: Some(count(&|pod| pod.facts.is_ready())),
        available_replicas: Some(count(&|pod| available_at(pod, set).is_some_and(|at| at <= now))),
        terminating_replicas: Some(number(terminating.count())),
        observed_generation: set.metadata.generation,
        conditions: conditions(world, active.len(), now),
    };
    keep_absent_zeros(status, set.status.as_ref())
}

fn conditions(world: &World, active: usize, now: Timestamp) -> Option<Vec<ReplicaSetCondition>> {
    let old = world.set.status.as_ref().and_then(|s| s.conditions.clone()).unwrap_or_default();
    let (failing, mut kept): (Vec<_>, Vec<_>) =
        old.into_iter().partition(|c| c.type_.as_deref() == Some("ReplicaFailure"));
    if let Some(failure) = &world.failure {
        let reason = match active.cmp(&wanted(&world.set)) {
            std::cmp::Ordering::Less => "FailedCreate",
            std::cmp::Ordering::Greater => "FailedDelete",
            std::cmp::Ordering::Equal => &failure.reason,
        };
        kept.push(failing.into_iter().next().unwrap_or_else(|| ReplicaSetCondition {
            type_: Some("ReplicaFailure".into()),
            status: Some("True".into()),
            reason: Some(reason.into()),
            message: Some(failure.message.clone()),
            last_transition_time: Some(Time(now)),
        }));
    }
    (!kept.is_empty()).then_some(kept)
}

/// A zero that the server does not write out (`omitempty`) is no change.
fn keep_absent_zeros(mut new: ReplicaSetStatus, old: Option<&ReplicaSetStatus>) -> ReplicaSetStatus {
    let old = old.cloned().unwrap_or_default();
    let same = |new: &mut Option<i32>, old: Option<i32>| {
        if *new == Some(0) && old.is_none() {
            *new = None;
        }
    };
    same(&mut new.fully_labeled_replicas, old.fully_labeled_replicas);
    same(&mut new.ready_replicas, old.ready_replicas);
    same(&mut new.available_replicas, old.available_replicas);
    new
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
