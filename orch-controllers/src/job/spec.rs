//! What a Job asks for, with what the API server fills in.

use k8s_openapi::api::batch::v1::{Job, JobCondition, PodFailurePolicy};
use orch_api::conditions;

/// The controller that this one is, as `spec.managedBy` names it.
const ITSELF: &str = "kubernetes.io/job-controller";

pub(super) fn is_indexed(job: &Job) -> bool {
    let mode = job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref());
    mode == Some("Indexed")
}

/// How many pods must succeed; `None`: one of them, and the rest decide for themselves when they are done.
pub(super) fn wanted(job: &Job) -> Option<usize> {
    job.spec.as_ref()?.completions.map(number)
}

/// How many completion indexes an indexed Job has.
pub(super) fn completions(job: &Job) -> usize {
    wanted(job).unwrap_or(0)
}

pub(super) fn parallelism(job: &Job) -> usize {
    job.spec.as_ref().and_then(|spec| spec.parallelism).map_or(1, number)
}

pub(super) fn backoff_limit(job: &Job) -> i32 {
    job.spec.as_ref().and_then(|spec| spec.backoff_limit).unwrap_or(6)
}

pub(super) fn limit_per_index(job: &Job) -> Option<i32> {
    job.spec.as_ref()?.backoff_limit_per_index
}

pub(super) fn failure_policy(job: &Job) -> Option<&PodFailurePolicy> {
    job.spec.as_ref()?.pod_failure_policy.as_ref()
}

pub(super) fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// Whether a pod that is being deleted is replaced, and counted, only when it has ended.
pub(super) fn waits_for_the_end(job: &Job) -> bool {
    let policy = job.spec.as_ref().and_then(|spec| spec.pod_replacement_policy.as_deref());
    policy == Some("Failed") || failure_policy(job).is_some()
}

/// Whether another controller has been asked to look after it.
pub(super) fn is_managed_by_another(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref()).is_some_and(|name| name != ITSELF)
}

/// Whether it is complete or has failed, for good.
pub fn is_finished(job: &Job) -> bool {
    job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten().any(ends)
}

/// Whether a condition says that its Job is complete or has failed.
pub fn ends(condition: &JobCondition) -> bool {
    matches!(&*condition.type_, "Complete" | "Failed") && condition.status == "True"
}

/// Whether a condition is `True`.
pub fn has(job: &Job, condition: &str) -> bool {
    let all = job.status.as_ref().and_then(|status| status.conditions.as_ref());
    all.is_some_and(|all| conditions::is_true(all, condition))
}

fn number(n: i32) -> usize {
    usize::try_from(n).unwrap_or(0)
}
