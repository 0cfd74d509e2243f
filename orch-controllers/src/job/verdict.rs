//! [`Verdict`]: whether a Job has succeeded or failed, and why.

use super::{
    policy::{self, Judgement},
    spec,
    tally::Tally,
};
use crate::common::time::{by_the_clock, plus_seconds};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use orch_api::conditions;
use orch_runtime::Plan;

/// How a Job ends. First it is said in an interim condition, so that it stands while pods are ended and counted; the
/// final condition follows when nothing is left of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub is_success: bool,
    pub reason: String,
    pub message: String,
}

impl Verdict {
    fn success(reason: &str, message: &str) -> Self {
        Self { is_success: true, reason: reason.into(), message: message.into() }
    }

    fn failure(reason: &str, message: &str) -> Self {
        Self { is_success: false, reason: reason.into(), message: message.into() }
    }

    /// The condition that says how it will end.
    pub(super) fn interim(&self) -> &'static str {
        if self.is_success { "SuccessCriteriaMet" } else { "FailureTarget" }
    }

    /// The condition that says how it ended.
    pub(super) fn last(&self) -> &'static str {
        if self.is_success { "Complete" } else { "Failed" }
    }
}

/// The verdict, in the order of kube-controller-manager: what has been said before stands; then failures; then the
/// success policy. Asks to be looked at again when the deadline comes.
pub(super) fn reached(tally: &Tally<'_>, now: Timestamp, plan: &mut Plan) -> Option<Verdict> {
    let job = tally.job;
    said_before(job, "SuccessCriteriaMet", true)
        .or_else(|| said_before(job, "FailureTarget", false))
        .or_else(|| by_policy(tally))
        .or_else(|| by_limit(tally))
        .or_else(|| by_deadline(job, now, plan))
        .or_else(|| by_index(tally))
        .or_else(|| policy::success(job, &tally.done).map(|words| Verdict::success("SuccessPolicy", &words)))
}

/// Whether enough pods have succeeded and none works any more.
pub(super) fn is_complete(tally: &Tally<'_>) -> Option<Verdict> {
    let enough = spec::wanted(tally.job).map_or(tally.succeeded > 0, |wanted| tally.succeeded >= wanted);
    let words = "Reached expected number of succeeded pods";
    (enough && tally.active.is_empty()).then(|| Verdict::success("CompletionsReached", words))
}

fn said_before(job: &Job, kind: &str, is_success: bool) -> Option<Verdict> {
    let all = job.status.as_ref()?.conditions.as_ref()?;
    let said = conditions::find(all, kind).filter(|c| c.status == "True")?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(Verdict { is_success, reason: text(&said.reason), message: text(&said.message) })
}

fn by_policy(tally: &Tally<'_>) -> Option<Verdict> {
    spec::failure_policy(tally.job)?;
    let mut failed = tally.pods.iter().filter(|pod| pod.has_failed(tally.job));
    failed.find_map(|pod| match policy::judge(tally.job, pod.known) {
        Judgement::FailJob(words) => Some(Verdict::failure("PodFailurePolicy", &words)),
        _ => None,
    })
}

fn by_limit(tally: &Tally<'_>) -> Option<Verdict> {
    let limit = i64::from(spec::backoff_limit(tally.job));
    let failed = i64::try_from(tally.failed).unwrap_or(i64::MAX);
    let exceeded = failed > limit || restarted_too_often(tally, limit);
    exceeded.then(|| Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
}

/// Pods that restart in place count with their restarts.
fn restarted_too_often(tally: &Tally<'_>, limit: i64) -> bool {
    let template = tally.job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    if template.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let alive = tally.pods.iter().filter(|pod| pod.is_active() || pod.is_terminating());
    let restarts: i64 = alive.map(|pod| i64::from(pod.known.facts.restarts)).sum();
    restarts >= limit.max(1)
}

fn by_deadline(job: &Job, now: Timestamp, plan: &mut Plan) -> Option<Verdict> {
    let seconds = job.spec.as_ref()?.active_deadline_seconds.filter(|_| !spec::is_suspended(job))?;
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0);
    let deadline = plus_seconds(started, seconds);
    let words = "Job was active longer than specified deadline";
    if deadline <= now && job.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
        return Some(Verdict::failure("DeadlineExceeded", words));
    }
    plan.requeue_within(by_the_clock(deadline, now));
    None
}

fn by_index(tally: &Tally<'_>) -> Option<Verdict> {
    let lost = tally.lost.as_ref()?.count();
    let most = tally.job.spec.as_ref()?.max_failed_indexes.map(|most| usize::try_from(most).unwrap_or(0));
    if most.is_some_and(|most| lost > most) {
        let words = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Verdict::failure("MaxFailedIndexesExceeded", words));
    }
    let all = lost > 0 && lost + tally.done.count() >= spec::completions(tally.job);
    all.then(|| Verdict::failure("FailedIndexes", "Job has failed indexes"))
}
