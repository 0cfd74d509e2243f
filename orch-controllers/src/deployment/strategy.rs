//! What a deployment does next: it reports, scales, recreates or rolls.

use super::{
    conditions, fenceposts,
    proportion::{self, Share},
    revision,
    rollout::{Rollout, Set},
    status,
};
use orch_api::Object;
use std::time::Duration;

/// Makes the moves of one pass.
pub(super) fn proceed(rollout: &mut Rollout<'_>) {
    if rollout.deployment.is_deleting() {
        rollout.sync_new(false);
        return status::counts(rollout);
    }
    if rollout.new.is_none() && rollout.world.bereaved {
        // The set will tell when it is the deployment's or is gone; a second one beside it would replace its pods.
        rollout.plan.requeue_within(Duration::from_secs(1));
        rollout.sync_new(false);
        return status::counts(rollout);
    }
    note_pause(rollout);
    if is_paused(rollout) || is_scaling(rollout) {
        rollout.sync_new(false);
        scale(rollout);
        if is_paused(rollout) {
            clean_up(rollout);
        }
        return status::counts(rollout);
    }
    let collisions = rollout.status.collision_count;
    if super::is_recreate(rollout.deployment) {
        recreate(rollout);
    } else {
        roll(rollout);
    }
    if rollout.status.collision_count == collisions && !rollout.is_refused {
        status::progress(rollout);
    }
}

fn is_paused(rollout: &Rollout<'_>) -> bool {
    rollout.deployment.spec.paused == Some(true)
}

/// A pause and its end are told in the Progressing condition, so that the time in between does not count
/// towards the deadline.
fn note_pause(rollout: &mut Rollout<'_>) {
    let reason = conditions::get(&rollout.status, conditions::PROGRESSING).and_then(|c| c.reason.clone());
    let reason = reason.as_deref();
    if !rollout.has_deadline() || reason == Some(conditions::TIMED_OUT) {
        return;
    }
    match (is_paused(rollout), reason == Some(conditions::PAUSED)) {
        (true, false) => {
            let message = "Deployment is paused".to_owned();
            rollout.condition(conditions::PROGRESSING, "Unknown", conditions::PAUSED, message);
        }
        (false, true) => {
            let message = "Deployment is resumed".to_owned();
            rollout.condition(conditions::PROGRESSING, "Unknown", conditions::RESUMED, message);
        }
        _ => {}
    }
}

/// Whether the deployment was scaled since its sets got their sizes.
fn is_scaling(rollout: &Rollout<'_>) -> bool {
    let desired = |i: &usize| rollout.sets.get(*i).and_then(|s| revision::number(&s.copy, revision::DESIRED));
    rollout.active().iter().filter_map(desired).any(|desired| desired != rollout.wanted())
}

/// Scales the only active set, or the newest; or empties the old ones once the new one is saturated; or, in
/// the middle of a rollout, scales all in proportion.
fn scale(rollout: &mut Rollout<'_>) {
    let active = rollout.active();
    let only = match active[..] {
        [] => rollout.new.or(rollout.old().last().copied()),
        [one] => Some(one),
        _ => None,
    };
    if active.len() <= 1 {
        if let Some(only) = only {
            let force = rollout.sets.get(only).is_some_and(|s| s.size() != rollout.wanted());
            rollout.scale(only, rollout.wanted(), force);
            note_size(rollout, only);
        }
        return;
    }
    if is_saturated(rollout) {
        for old in rollout.old() {
            rollout.scale(old, 0, false);
        }
    } else if !super::is_recreate(rollout.deployment) {
        scale_in_proportion(rollout, active);
    }
}

/// A set that has the right size already but was made for another: without this the deployment would
/// look as if it were being scaled for ever.
fn note_size(rollout: &mut Rollout<'_>, index: usize) {
    let noted = rollout.sets.get(index).and_then(|s| revision::number(&s.copy, revision::DESIRED));
    if noted.is_some_and(|noted| noted != rollout.wanted()) {
        rollout.scale(index, rollout.wanted(), true);
    }
}

fn is_saturated(rollout: &Rollout<'_>) -> bool {
    let wanted = rollout.wanted();
    rollout.new.and_then(|i| rollout.sets.get(i)).is_some_and(|new| {
        new.size() == wanted
            && new.available() == wanted
            && revision::number(&new.copy, revision::DESIRED) == Some(wanted)
    })
}

fn scale_in_proportion(rollout: &mut Rollout<'_>, mut active: Vec<usize>) {
    let max = rollout.max_total();
    let growing = (if rollout.wanted() > 0 { max } else { 0 }) > rollout.total();
    let size = |i: usize| rollout.sets.get(i).map_or(0, Set::size);
    // The sets stand oldest first; of equals the newer grow first and the older shrink first.
    if growing {
        active.reverse();
    }
    active.sort_by_key(|i| std::cmp::Reverse(size(*i)));
    let before = rollout.status.replicas.unwrap_or(0);
    let shares: Vec<Share> = active
        .iter()
        .filter_map(|i| {
            let set = rollout.sets.get(*i)?;
            let noted = revision::number(&set.copy, revision::MAX).filter(|max| *max > 0);
            Some(Share { index: *i, size: set.size(), max_before: noted.unwrap_or(before) })
        })
        .collect();
    for (index, size) in proportion::distribute(&shares, rollout.wanted(), max) {
        rollout.scale(index, size, true);
    }
}

fn recreate(rollout: &mut Rollout<'_>) {
    rollout.sync_new(false);
    let mut scaled = false;
    for old in rollout.old() {
        scaled |= rollout.scale(old, 0, false);
    }
    if scaled || old_pods_may_run(rollout) {
        return;
    }
    if rollout.sync_new(true) {
        if let Some(new) = rollout.new {
            rollout.scale(new, rollout.wanted(), false);
        }
        clean_up_when_complete(rollout);
    }
}

fn old_pods_may_run(rollout: &Rollout<'_>) -> bool {
    rollout.old().iter().filter_map(|i| rollout.sets.get(*i)).any(|set| {
        let counted = set.copy.status.as_ref().is_some_and(|s| s.replicas > 0);
        counted || rollout.world.running.iter().any(|uid| uid == set.copy.uid())
    })
}

fn roll(rollout: &mut Rollout<'_>) {
    if !rollout.sync_new(true) {
        return;
    }
    let Some(new) = rollout.new else { return };
    if grow_new(rollout, new) || shrink_old(rollout, new) {
        return;
    }
    clean_up_when_complete(rollout);
}

/// Grows the new set as far as the surge allows.
fn grow_new(rollout: &mut Rollout<'_>, new: usize) -> bool {
    let size = rollout.sets.get(new).map_or(0, Set::size);
    let room = (rollout.max_total() - rollout.total()).max(0);
    let target = if size > rollout.wanted() { rollout.wanted() } else { (size + room).min(rollout.wanted()) };
    rollout.scale(new, target, false)
}

/// Shrinks the old sets: first by their unhealthy pods, then as far as availability allows. The pods of the
/// new set that are not available yet count against it, so that a bad template stops the rollout.
fn shrink_old(rollout: &mut Rollout<'_>, new: usize) -> bool {
    let min_available = rollout.wanted() - fenceposts::max_unavailable(rollout.deployment);
    let new_unavailable = rollout.sets.get(new).map_or(0, |s| s.size() - s.available());
    let old: Vec<usize> = rollout.old().into_iter().filter(|i| rollout.active().contains(i)).collect();
    let mut budget = rollout.total() - min_available - new_unavailable;
    if old.is_empty() || budget <= 0 {
        return false;
    }
    let mut scaled = false;
    for i in &old {
        let (size, available) = rollout.sets.get(*i).map_or((0, 0), |s| (s.size(), s.available()));
        let unhealthy = (size - available).clamp(0, budget);
        budget -= unhealthy;
        scaled |= rollout.scale(*i, size - unhealthy, false);
    }
    let available: i32 = rollout.sets.iter().map(Set::available).sum();
    let mut budget = (available - min_available).max(0);
    for i in &old {
        let size = rollout.sets.get(*i).map_or(0, Set::size);
        let down = size.min(budget);
        budget -= down;
        scaled |= rollout.scale(*i, size - down, false);
    }
    scaled
}

fn clean_up_when_complete(rollout: &mut Rollout<'_>) {
    let observed = rollout.deployment.status.clone().unwrap_or_default();
    if status::is_complete(rollout.deployment, &observed) {
        clean_up(rollout);
    }
}

/// Deletes the oldest empty sets beyond the history limit.
fn clean_up(rollout: &mut Rollout<'_>) {
    let limit = rollout.deployment.spec.revision_history_limit.filter(|l| *l != i32::MAX);
    let Some(limit) = limit.and_then(|l| usize::try_from(l).ok()) else { return };
    let alive = |i: &usize| rollout.sets.get(*i).is_some_and(|s| !s.copy.is_deleting());
    let mut old: Vec<usize> = rollout.old().into_iter().filter(alive).collect();
    old.sort_by_key(|i| rollout.sets.get(*i).map_or(0, |s| revision::of(&s.copy)));
    let excess = old.len().saturating_sub(limit);
    for i in old.into_iter().take(excess) {
        let empty = rollout.sets.get(i).is_some_and(|set| {
            let status = set.copy.status.clone().unwrap_or_default();
            let seen = set.copy.metadata.generation <= status.observed_generation;
            set.size() == 0 && status.replicas == 0 && seen
        });
        if empty {
            rollout.delete(i);
        }
    }
}
