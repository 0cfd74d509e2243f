//! The status of a ReplicaSet (`pkg/controller/replicaset/replica_set_utils.go`).

use super::{Replicas, World, wanted};
use crate::common::{
    count::{number, unless_still_absent},
    facts::PodFacts,
    owner,
    selector::{contains_all, selects},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_runtime::view::Known;

/// The status that the pods give.
pub(super) fn status<K: Replicas>(
    world: &World<K>,
    claimed: &[&Known<PodFacts>],
    active: &[&Known<PodFacts>],
    now: Timestamp,
) -> ReplicaSetStatus {
    let (set, selector, old) = (&*world.set, world.set.selector(), world.set.status());
    let template = set.template().and_then(|t| t.metadata.as_ref()).and_then(|m| m.labels.clone()).unwrap_or_default();
    let count = |keep: &dyn Fn(&Known<PodFacts>) -> bool| number(active.iter().filter(|pod| keep(pod)).count());
    let terminating = claimed.iter().filter(|pod| {
        pod.stored.meta.is_deleting()
            && !pod.facts.is_finished()
            && owner::is_controlled_by(&pod.stored, set.uid())
            && selects(&selector, &pod.stored.meta.labels)
    });
    let labelled = count(&|pod| contains_all(&pod.stored.meta.labels, &template));
    let available = count(&|pod| pod.facts.is_available(set.min_ready_seconds(), now));
    ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: unless_still_absent(labelled, old.fully_labeled_replicas),
        ready_replicas: unless_still_absent(count(&|pod| pod.facts.is_ready()), old.ready_replicas),
        available_replicas: unless_still_absent(available, old.available_replicas),
        terminating_replicas: K::COUNTS_TERMINATING.then(|| number(terminating.count())),
        observed_generation: set.meta().generation,
        conditions: conditions(world, old.conditions.unwrap_or_default(), active.len(), now),
    }
}

fn conditions<K: Replicas>(
    world: &World<K>,
    old: Vec<ReplicaSetCondition>,
    active: usize,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let (failing, mut kept): (Vec<_>, Vec<_>) =
        old.into_iter().partition(|c| c.type_.as_deref() == Some("ReplicaFailure"));
    if let Some(failure) = &world.failure {
        let reason = match active.cmp(&wanted(&*world.set)) {
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
