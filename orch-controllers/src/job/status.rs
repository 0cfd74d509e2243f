//! The status of a Job: its conditions, and the counting of its pods
//! (`trackJobStatusAndRemoveFinalizers` of `pkg/controller/job/job_controller.go`).
//!
//! A pod that has ended passes three states, each told by one write, so that it is counted once whatever fails between them:
//! its UID is noted in `uncountedTerminatedPods` (its completion index in `completedIndexes`); its finalizer is removed;
//! its UID moves from the notes to the counters, since no pod with that UID has the finalizer.

use super::{
    indexes::Indexes,
    pods::Claimed,
    spec,
    tally::{self, Tally},
    verdict::Verdict,
};
use jiff::Timestamp;
use k8s_openapi::{
    api::batch::v1::{JobCondition, JobStatus, UncountedTerminatedPods},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Object;
use orch_runtime::plan::Notice;
use std::collections::{BTreeSet, HashSet};

/// The most UIDs that are noted at a time, so that the status stays small.
const MOST_NOTED: usize = 500;

/// What comes next.
pub(super) struct Next<'a> {
    pub status: JobStatus,
    /// Pods that are noted or need not be: their finalizer is removed once the status is written.
    pub release: Vec<Claimed<'a>>,
    /// What is to be told.
    pub events: Vec<Notice>,
}

/// The next status. `is_managed`: pods are created and deleted as the spec says, since nothing is decided yet.
pub(super) fn next<'a>(tally: &Tally<'a>, verdict: Option<&Verdict>, is_managed: bool, now: Timestamp) -> Next<'a> {
    let job = tally.job;
    let mut status = job.status.clone().unwrap_or_default();
    if status.start_time.is_none() && !spec::is_suspended(job) {
        status.start_time = Some(Time(now));
    }
    status.active = counter(tally.active.len());
    status.ready = Some(number(tally.ready));
    status.terminating = Some(number(tally.terminating));
    let mut next = Next { status, release: Vec::new(), events: Vec::new() };
    move_to_counters(tally, &mut next.status);
    let all = note(tally, verdict, &mut next);
    match verdict {
        Some(verdict) => conclude(tally, verdict, all, now, &mut next),
        None if is_managed => tell_suspension(tally, now, &mut next),
        None => {}
    }
    next
}

/// UIDs whose finalizer is gone move from the notes to the counters.
fn move_to_counters(tally: &Tally<'_>, status: &mut JobStatus) {
    let tracked: HashSet<&str> = tally.pods.iter().filter(|pod| pod.is_tracked).map(Claimed::uid).collect();
    let UncountedTerminatedPods { succeeded, failed } = status.uncounted_terminated_pods.get_or_insert_default();
    for (noted, count) in [(succeeded, &mut status.succeeded), (failed, &mut status.failed)] {
        let before = noted.as_ref().map_or(0, Vec::len);
        let kept: Vec<String> = noted.take().into_iter().flatten().filter(|uid| tracked.contains(&**uid)).collect();
        *count = counter(usize::try_from(count.unwrap_or(0)).unwrap_or(0) + before - kept.len());
        *noted = (!kept.is_empty()).then_some(kept);
    }
}

/// Notes pods that have ended, and says whose finalizer may go. Answers whether that were all.
fn note<'a>(tally: &Tally<'a>, verdict: Option<&Verdict>, next: &mut Next<'a>) -> bool {
    let job = tally.job;
    let is_indexed = spec::is_indexed(job);
    let mut tracked: Vec<Claimed<'a>> = tally.pods.iter().filter(|pod| pod.is_tracked).copied().collect();
    if is_indexed {
        tracked.sort_by_key(|pod| pod.known.facts.index);
    }
    let notes = next.status.uncounted_terminated_pods.clone().unwrap_or_default();
    let mut room =
        MOST_NOTED - [notes.succeeded, notes.failed].iter().flatten().map(Vec::len).sum::<usize>().min(MOST_NOTED);
    let (mut succeeded, mut failed, mut done) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut all = true;
    for pod in tracked.into_iter().filter(|pod| may_go(tally, pod, verdict)) {
        // When the Job has failed, so have all pods that have not succeeded.
        let has_failed = pod.has_failed(job) || verdict.is_some_and(|verdict| !verdict.is_success);
        let is_noted = [&tally.noted.succeeded, &tally.noted.failed].iter().any(|noted| noted.contains(pod.uid()));
        let counts = !is_noted && pod.is_valid(job);
        let index = pod.valid_index(job).filter(|index| is_indexed && !tally.completed.has(*index));
        let is_new = match pod.has_succeeded() {
            true => counts && (!is_indexed || index.is_some()),
            false => counts && has_failed && tally::counts(job, &pod),
        };
        if is_new && room == 0 {
            all = false;
            continue;
        }
        next.release.push(pod);
        room -= usize::from(is_new);
        match (pod.has_succeeded(), index) {
            _ if !is_new => {}
            (true, Some(index)) => drop(done.insert(index)),
            (true, None) => succeeded.push(pod.uid().to_owned()),
            (false, _) => failed.push(pod.uid().to_owned()),
        }
    }
    let notes = next.status.uncounted_terminated_pods.get_or_insert_default();
    for (list, new) in [(&mut notes.succeeded, succeeded), (&mut notes.failed, failed)] {
        if !new.is_empty() {
            list.get_or_insert_default().extend(new);
        }
    }
    if is_indexed {
        let done = tally.completed.union(&Indexes::from(done));
        next.status.succeeded = counter(done.count());
        next.status.completed_indexes = Some(done.to_string()).filter(|text| !text.is_empty());
        next.status.failed_indexes = tally.lost.as_ref().map(ToString::to_string);
    }
    all
}

/// Whether a pod has been looked at for the last time once it is noted.
fn may_go(tally: &Tally<'_>, pod: &Claimed<'_>, verdict: Option<&Verdict>) -> bool {
    if tally.job.is_deleting() || verdict.is_some() || pod.has_succeeded() {
        return true;
    }
    let is_waited_for =
        |index| tally.waiting.get(&index).is_some_and(|last| last.stored.meta.uid == pod.known.stored.meta.uid);
    pod.has_failed(tally.job) && !pod.known.facts.index.is_some_and(is_waited_for)
}

/// Says how the Job will end and, once nothing is left of its pods, how it ended.
fn conclude(tally: &Tally<'_>, verdict: &Verdict, all: bool, now: Timestamp, next: &mut Next<'_>) {
    let status = &mut next.status;
    set(status, verdict.interim(), "True", (&verdict.reason, &verdict.message), now);
    let notes = status.uncounted_terminated_pods.as_ref();
    let is_counted = notes.is_none_or(|notes| notes.succeeded.is_none() && notes.failed.is_none());
    let is_over = all && is_counted && next.release.is_empty() && tally.active.is_empty() && tally.terminating == 0;
    if !is_over {
        return;
    }
    set(status, verdict.last(), "True", (&verdict.reason, &verdict.message), now);
    if !verdict.is_success {
        return next.events.push(Notice::warning(tally.job, &verdict.reason, &*verdict.message));
    }
    // A clock that was set back meanwhile would end it before it began, which the API server refuses.
    let started = status.start_time.as_ref().map_or(now, |time| time.0);
    status.completion_time = Some(Time(now.max(started)));
    if spec::wanted(tally.job).is_some_and(|wanted| tally.succeeded > wanted) {
        let words = "Too many succeeded pods running after completion count reached";
        next.events.push(Notice::warning(tally.job, "TooManySucceededPods", words));
    }
    next.events.push(Notice::normal(tally.job, "Completed", "Job completed"));
}

/// Says that the Job was suspended or resumed. Its time runs anew when it is resumed.
fn tell_suspension(tally: &Tally<'_>, now: Timestamp, next: &mut Next<'_>) {
    let (status, job) = (&mut next.status, tally.job);
    let (is, reason, message, event, started) = match spec::is_suspended(job) {
        true => ("True", "JobSuspended", "Job suspended", "Suspended", None),
        false => ("False", "JobResumed", "Job resumed", "Resumed", Some(Time(now))),
    };
    if set(status, "Suspended", is, (reason, message), now) {
        status.start_time = started;
        next.events.push(Notice::normal(job, event, message));
    }
}

/// Sets a condition, or adds one that is not `False`. Answers whether anything changed.
fn set(status: &mut JobStatus, kind: &str, is: &str, (reason, message): (&str, &str), now: Timestamp) -> bool {
    let condition = JobCondition {
        type_: kind.into(),
        status: is.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    };
    let all = status.conditions.get_or_insert_default();
    let same = |old: &JobCondition| {
        old.status == is && old.reason.as_deref() == Some(reason) && old.message.as_deref() == Some(message)
    };
    let changed = match all.iter_mut().find(|old| old.type_ == kind) {
        Some(old) if same(old) => false,
        Some(old) => {
            *old = condition;
            true
        }
        None if is == "False" => false,
        None => {
            all.push(condition);
            true
        }
    };
    if all.is_empty() {
        status.conditions = None;
    }
    changed
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A count that the API server leaves out when it is zero.
fn counter(count: usize) -> Option<i32> {
    (count > 0).then(|| number(count))
}
