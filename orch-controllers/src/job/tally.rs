//! [`Tally`]: what the pods of a Job say about it.

use super::{
    indexes::Indexes,
    pods::{Claimed, JobPod},
    policy::{self, Judgement},
    spec,
};
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use orch_runtime::view::Known;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the pods of a Job say about it. What has been counted in the status, what is noted there to be counted, and what
/// is new are disjoint: that is what makes the numbers right after a crash at any point.
pub(super) struct Tally<'a> {
    pub job: &'a Job,
    pub pods: Vec<Claimed<'a>>,
    pub active: Vec<&'a Known<JobPod>>,
    pub ready: usize,
    pub terminating: usize,
    /// Pods noted in the status as succeeded, or failed, whose finalizer may still be there.
    pub noted: Noted<'a>,
    /// All successes: counted, noted and new.
    pub succeeded: usize,
    /// All failures that count.
    pub failed: usize,
    /// Indexes that the status has as completed.
    pub completed: Indexes,
    /// The same with those of pods that are not counted yet.
    pub done: Indexes,
    /// Indexes that have failed for good, where there is a limit per index.
    pub lost: Option<Indexes>,
    /// The last failed pod of each index that waits for its next one. It is kept until then, since that one inherits its
    /// number of failures.
    pub waiting: BTreeMap<usize, &'a Known<JobPod>>,
}

/// `status.uncountedTerminatedPods`
#[derive(Default)]
pub(super) struct Noted<'a> {
    pub succeeded: HashSet<&'a str>,
    pub failed: HashSet<&'a str>,
}

impl<'a> Tally<'a> {
    pub(super) fn of(job: &'a Job, pods: Vec<Claimed<'a>>) -> Self {
        let status = job.status.as_ref();
        let active: Vec<_> = pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.known).collect();
        let mut tally = Self {
            ready: active.iter().filter(|pod| pod.facts.ready_since.is_some()).count(),
            terminating: pods.iter().filter(|pod| pod.is_terminating()).count(),
            noted: status.map(noted).unwrap_or_default(),
            completed: Indexes::default(),
            done: Indexes::default(),
            lost: None,
            waiting: BTreeMap::new(),
            succeeded: 0,
            failed: 0,
            job,
            pods,
            active,
        };
        let number = |count: Option<i32>| usize::try_from(count.unwrap_or(0)).unwrap_or(0);
        let new = |noted: &HashSet<&str>, is: &dyn Fn(&Claimed<'_>) -> bool| {
            let new = tally.pods.iter().filter(|pod| pod.is_tracked && !noted.contains(pod.uid()) && pod.is_valid(job));
            new.filter(|pod| is(pod)).count()
        };
        let succeeded = new(&tally.noted.succeeded, &|pod| pod.has_succeeded());
        let failed = new(&tally.noted.failed, &|pod| pod.has_failed(job) && counts(job, pod));
        tally.succeeded = number(status.and_then(|s| s.succeeded)) + succeeded + tally.noted.succeeded.len();
        tally.failed = number(status.and_then(|s| s.failed)) + failed + tally.noted.failed.len();
        if spec::is_indexed(job) {
            tally.by_index();
        }
        tally
    }

    fn by_index(&mut self) {
        let (job, completions) = (self.job, spec::completions(self.job));
        let status = job.status.as_ref();
        let of = |is: &dyn Fn(&Claimed<'_>) -> bool| {
            let pods = self.pods.iter().filter(|pod| pod.is_tracked && is(pod));
            Indexes::from(pods.filter_map(|pod| pod.valid_index(job)).collect::<BTreeSet<_>>())
        };
        let completed = status.and_then(|s| s.completed_indexes.as_deref()).unwrap_or_default();
        let completed = Indexes::read(completed, completions);
        let done = completed.union(&of(&|pod| pod.has_succeeded()));
        let lost = spec::limit_per_index(job).map(|limit| {
            let before = status.and_then(|s| s.failed_indexes.as_deref()).unwrap_or_default();
            Indexes::read(before, completions).union(&of(&|pod| gives_up(job, pod, limit)))
        });
        self.succeeded = done.count();
        (self.completed, self.done, self.lost) = (completed, done, lost);
        if self.lost.is_some() {
            self.waiting = self.waiting();
        }
    }

    fn waiting(&self) -> BTreeMap<usize, &'a Known<JobPod>> {
        let active = self.indexes_of(Claimed::is_active);
        let is_settled =
            |index| self.done.has(index) || active.has(index) || self.lost.as_ref().is_some_and(|lost| lost.has(index));
        let rank = |pod: &Known<JobPod>| (pod.facts.failures + pod.facts.ignored, pod.facts.finished_at);
        let mut waiting: BTreeMap<usize, &Known<JobPod>> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| pod.is_tracked && pod.has_failed(self.job)) {
            let Some(index) = pod.valid_index(self.job).filter(|index| !is_settled(*index)) else { continue };
            let last = waiting.entry(index).or_insert(pod.known);
            if rank(last) <= rank(pod.known) {
                *last = pod.known;
            }
        }
        waiting
    }

    /// The indexes of some of the pods.
    pub(super) fn indexes_of(&self, which: impl Fn(&Claimed<'a>) -> bool) -> Indexes {
        let pods = self.pods.iter().filter(|pod| which(pod));
        pods.filter_map(|pod| pod.known.facts.index).collect::<BTreeSet<_>>().into()
    }
}

/// Whether a failed pod counts towards the limits.
pub(super) fn counts(job: &Job, pod: &Claimed<'_>) -> bool {
    policy::judge(job, pod.known) != Judgement::Ignore
}

/// Whether an index is given up after this pod.
fn gives_up(job: &Job, pod: &Claimed<'_>, limit: i32) -> bool {
    pod.has_failed(job)
        && match policy::judge(job, pod.known) {
            Judgement::FailIndex => true,
            Judgement::Ignore => false,
            Judgement::Count | Judgement::FailJob(_) => pod.known.facts.failures >= limit,
        }
}

fn noted(status: &JobStatus) -> Noted<'_> {
    let noted = status.uncounted_terminated_pods.as_ref();
    Noted {
        succeeded: set(noted.and_then(|n| n.succeeded.as_ref())),
        failed: set(noted.and_then(|n| n.failed.as_ref())),
    }
}

fn set(list: Option<&Vec<String>>) -> HashSet<&str> {
    list.into_iter().flatten().map(String::as_str).collect()
}
