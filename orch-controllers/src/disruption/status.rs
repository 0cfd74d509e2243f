//! What a budget says of its pods (`trySync`, `updatePdbStatus`, `failSafe`).

use super::World;
use crate::common::{facts::PodFacts, time::plus_seconds};
use jiff::Timestamp;
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    apimachinery::pkg::{
        apis::meta::v1::{Condition, Time},
        util::intstr::IntOrString,
    },
};
use orch_api::{
    conditions,
    int_or_percent::{Round, scaled},
};
use orch_runtime::view::Known;
use std::collections::BTreeMap;

/// How long an evicted pod counts as gone although nobody has deleted it (`DeletionTimeout`).
const DELETION_TIMEOUT_SECONDS: i64 = 120;

/// What was counted.
pub(super) struct Counted<'a> {
    healthy: i32,
    desired: i32,
    expected: i32,
    /// Whether pods without a controller are among them.
    pub(super) unmanaged: bool,
    disrupted: BTreeMap<String, Time>,
    /// When the first of the disrupted pods counts as healthy again.
    pub(super) recheck: Option<Timestamp>,
    /// Pods that were to be deleted and are not.
    pub(super) not_deleted: Vec<&'a Known<PodFacts>>,
}

/// Whether the budget is about a part of what the pods' controllers want.
pub(super) fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    let spec = budget.spec.as_ref();
    let percent = |value: &IntOrString| matches!(value, IntOrString::String(_));
    spec.is_some_and(|s| s.max_unavailable.is_some() || s.min_available.as_ref().is_some_and(percent))
}

pub(super) fn count<'a>(world: &'a World, now: Timestamp) -> Result<Counted<'a>, String> {
    let (expected, desired) = expected(world)?;
    let mut counted = Counted {
        healthy: 0,
        desired,
        expected,
        unmanaged: world.scales.unmanaged,
        disrupted: BTreeMap::new(),
        recheck: None,
        not_deleted: Vec::new(),
    };
    let listed = world.budget.status.as_ref().and_then(|s| s.disrupted_pods.as_ref());
    for pod in world.pods.iter().filter(|pod| !pod.stored.meta.is_deleting()) {
        let disrupted = listed.and_then(|pods| pods.get(&*pod.stored.key.name));
        if let Some(since) = disrupted {
            let end = plus_seconds(since.0, DELETION_TIMEOUT_SECONDS);
            if end > now {
                counted.disrupted.insert(pod.stored.key.name.to_string(), since.clone());
                counted.recheck = Some(counted.recheck.map_or(end, |earlier| earlier.min(end)));
                continue;
            }
            counted.not_deleted.push(pod);
        }
        counted.healthy += i32::from(pod.facts.is_ready());
    }
    Ok(counted)
}

/// How many pods there should be, and how many of them healthy.
fn expected(world: &World) -> Result<(i32, i32), String> {
    let Some(spec) = &world.budget.spec else { return Ok((0, 0)) };
    let part = |value: &IntOrString, total| scaled(value, total, Round::Up).map_err(|error| error.to_string());
    if let Some(value) = &spec.max_unavailable {
        let total = world.scales.total()?;
        return Ok((total, (total - part(value, total)?).max(0)));
    }
    match &spec.min_available {
        Some(IntOrString::Int(least)) => Ok((i32::try_from(world.pods.len()).unwrap_or(i32::MAX), *least)),
        Some(percent) => {
            let total = world.scales.total()?;
            Ok((total, part(percent, total)?))
        }
        None => Ok((0, 0)),
    }
}

/// Writes what was counted. While no pod is expected none may be evicted: the first ones appear before this loop sees them.
pub(super) fn write(budget: &mut PodDisruptionBudget, counted: &Counted<'_>, now: Timestamp) {
    let surplus = counted.healthy - counted.desired;
    let allowed = if counted.expected <= 0 { 0 } else { surplus.max(0) };
    let generation = budget.metadata.generation;
    let old = budget.status.take().unwrap_or_default();
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: Some(counted.healthy),
        desired_healthy: Some(counted.desired),
        expected_pods: Some(counted.expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(counted.disrupted.clone()).filter(|pods| !pods.is_empty()),
        observed_generation: generation,
        conditions: old.conditions,
    };
    let (state, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set(&mut status, state, reason, String::new(), generation, now);
    budget.status = Some(status);
}

/// What could not be counted must not be evicted.
pub(super) fn fail_safe(budget: &mut PodDisruptionBudget, why: &str, now: Timestamp) {
    let status = budget.status.get_or_insert_default();
    status.disruptions_allowed = Some(0);
    let seen = status.observed_generation;
    set(status, "False", "SyncFailed", why.to_owned(), seen, now);
}

fn set(
    status: &mut PodDisruptionBudgetStatus,
    state: &str,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) {
    let condition = Condition {
        type_: "DisruptionAllowed".into(),
        status: state.into(),
        reason: reason.into(),
        message,
        observed_generation: generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    conditions::set(status.conditions.get_or_insert_default(), condition, now);
}
