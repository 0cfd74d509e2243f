//! The status of a deployment: counts, availability, progress.

use super::{
    conditions, fenceposts,
    rollout::{Rollout, Set, wanted},
};
use crate::common::{
    count::unless_still_absent,
    time::{plus_seconds, until},
};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSetStatus};
use std::time::Duration;

/// Counts the pods of all sets, and tells whether enough are available.
pub(super) fn counts(rollout: &mut Rollout<'_>) {
    let status_of = |set: &Set<'_>| set.copy.status.clone().unwrap_or_default();
    let sum = |count: fn(&ReplicaSetStatus) -> i32| rollout.sets.iter().map(|s| count(&status_of(s))).sum::<i32>();
    let available = sum(|s| s.available_replicas.unwrap_or(0));
    let updated = rollout.new.and_then(|i| rollout.sets.get(i)).map_or(0, |s| status_of(s).replicas);
    let old = rollout.deployment.status.clone().unwrap_or_default();
    let (total, ready, terminating) =
        (sum(|s| s.replicas), sum(|s| s.ready_replicas.unwrap_or(0)), terminating(rollout));
    let unavailable = (rollout.total() - available).max(0);
    let status = &mut rollout.status;
    status.observed_generation = rollout.deployment.metadata.generation;
    status.replicas = unless_still_absent(total, old.replicas);
    status.updated_replicas = unless_still_absent(updated, old.updated_replicas);
    status.ready_replicas = unless_still_absent(ready, old.ready_replicas);
    status.available_replicas = unless_still_absent(available, old.available_replicas);
    status.unavailable_replicas = unless_still_absent(unavailable, old.unavailable_replicas);
    status.terminating_replicas = terminating;
    let (value, reason, message) = if available >= rollout.wanted() - fenceposts::max_unavailable(rollout.deployment) {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    rollout.condition(conditions::AVAILABLE, value, reason, message.into());
}

/// Counts, and tells how the rollout goes on: it is complete, it makes progress, or its time is up.
pub(super) fn progress(rollout: &mut Rollout<'_>) {
    counts(rollout);
    if !rollout.has_deadline() {
        conditions::remove(&mut rollout.status, conditions::PROGRESSING);
    }
    let observed = rollout.deployment.status.clone().unwrap_or_default();
    let current = conditions::get(&observed, conditions::PROGRESSING).cloned();
    let settled = count(rollout.status.replicas) == count(rollout.status.updated_replicas)
        && current.as_ref().and_then(|c| c.reason.as_deref()) == Some(conditions::SET_AVAILABLE);
    if rollout.has_deadline() && !settled {
        judge(rollout, &observed, current);
    }
    match failure(rollout) {
        Some(condition) => conditions::set(&mut rollout.status, condition),
        None => conditions::remove(&mut rollout.status, conditions::REPLICA_FAILURE),
    }
    look_again_at_the_deadline(rollout);
}

/// Whether every replica is of the current template and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = wanted(deployment);
    count(status.updated_replicas) == wanted
        && count(status.replicas) == wanted
        && count(status.available_replicas) == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn judge(rollout: &mut Rollout<'_>, observed: &DeploymentStatus, current: Option<DeploymentCondition>) {
    let subject = match rollout.new.and_then(|i| rollout.sets.get(i)) {
        Some(set) => format!("ReplicaSet {:?}", set.name()),
        None => format!("Deployment {:?}", rollout.deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(rollout.deployment, &rollout.status) {
        let message = format!("{subject} has successfully progressed.");
        rollout.condition(conditions::PROGRESSING, "True", conditions::SET_AVAILABLE, message);
    } else if makes_progress(observed, &rollout.status) {
        let message = format!("{subject} is progressing.");
        let mut condition =
            conditions::new(conditions::PROGRESSING, "True", conditions::SET_UPDATED, message, rollout.now);
        if let Some(current) = current {
            if current.status.as_deref() == Some("True") {
                condition.last_transition_time = current.last_transition_time;
            }
            // Even with the same reason the update time counts: it is when progress was last seen.
            conditions::remove(&mut rollout.status, conditions::PROGRESSING);
        }
        conditions::set(&mut rollout.status, condition);
    } else if is_overdue(rollout) {
        let message = format!("{subject} has timed out progressing.");
        rollout.condition(conditions::PROGRESSING, "False", conditions::TIMED_OUT, message);
    }
}

fn makes_progress(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let outdated = |s: &DeploymentStatus| count(s.replicas) - count(s.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || outdated(new) < outdated(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

fn is_overdue(rollout: &Rollout<'_>) -> bool {
    let Some(condition) = conditions::get(&rollout.status, conditions::PROGRESSING) else { return false };
    match condition.reason.as_deref() {
        Some(conditions::SET_AVAILABLE) => false,
        Some(conditions::TIMED_OUT) => true,
        _ => deadline(rollout, condition).is_some_and(|at| at < rollout.now),
    }
}

fn deadline(rollout: &Rollout<'_>, condition: &DeploymentCondition) -> Option<jiff::Timestamp> {
    let seconds = rollout.deployment.spec.progress_deadline_seconds?;
    Some(plus_seconds(condition.last_update_time.as_ref()?.0, seconds.into()))
}

/// Asks to be woken when the deadline has passed.
fn look_again_at_the_deadline(rollout: &mut Rollout<'_>) {
    if !rollout.has_deadline() || is_complete(rollout.deployment, &rollout.status) {
        return;
    }
    let condition = conditions::get(&rollout.status, conditions::PROGRESSING);
    let open =
        condition.filter(|c| !matches!(c.reason.as_deref(), Some(conditions::TIMED_OUT | conditions::SET_AVAILABLE)));
    if let Some(at) = open.and_then(|c| deadline(rollout, c)) {
        rollout.plan.requeue_within(until(at, rollout.now) + Duration::from_secs(1));
    }
}

/// The failure that a set reports, that of the new set first.
fn failure(rollout: &Rollout<'_>) -> Option<DeploymentCondition> {
    let order = rollout.new.into_iter().chain(rollout.old());
    let found = order.filter_map(|i| rollout.sets.get(i)).find_map(|set| {
        let conditions = set.copy.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_.as_deref() == Some(conditions::REPLICA_FAILURE))
    })?;
    Some(DeploymentCondition {
        type_: found.type_.clone(),
        status: found.status.clone(),
        reason: found.reason.clone(),
        message: found.message.clone(),
        last_transition_time: found.last_transition_time.clone(),
        last_update_time: found.last_transition_time.clone(),
    })
}

/// The terminating pods of all sets; unknown if a set that was seen by its controller does not tell.
fn terminating(rollout: &Rollout<'_>) -> Option<i32> {
    let statuses = rollout.sets.iter().map(|set| set.copy.status.clone().unwrap_or_default());
    let told = statuses.filter(|s| s.observed_generation.unwrap_or(0) != 0 || s.terminating_replicas.is_some());
    told.map(|s| s.terminating_replicas).sum()
}

fn count(value: Option<i32>) -> i32 {
    value.unwrap_or(0)
}
