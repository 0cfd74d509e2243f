//! Jobs: every Pod counts once.

use super::{Judge, Oracle, work};
use crate::sim::state::{Seen, Write};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A Job's status never tells of more successes, or failures, than Pods of it have succeeded, or failed, nor of fewer than it told before:
/// those that are counted and those that are noted to be counted. A Job that is complete has counted all that are there.
#[derive(Default)]
pub struct CountedOnce {
    jobs: BTreeMap<Arc<str>, Pods>,
}

/// The Pods that a Job ever had.
#[derive(Default)]
struct Pods {
    all: BTreeSet<Arc<str>>,
    succeeded: BTreeSet<Arc<str>>,
    /// They ended badly, or somebody deleted them.
    failed: BTreeSet<Arc<str>>,
}

impl Oracle for CountedOnce {
    fn name(&self) -> &'static str {
        "counted once"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(object) = write.object() else { return Ok(()) };
        match (&*object.kind, object.controller()) {
            ("Pod", Some((job, "Job"))) => {
                self.jobs.entry(job.into()).or_default().see(object, write.new.is_none());
                Ok(())
            }
            ("Job", _) => {
                let Some(job) = &write.new else { return Ok(()) };
                self.jobs.entry(job.uid.clone()).or_default().check(job)?;
                write.old.as_ref().map_or(Ok(()), |old| grows(old, job))?;
                if job.has_condition("Complete") { complete(write, job, judge) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl Pods {
    fn see(&mut self, pod: &Seen, is_gone: bool) {
        self.all.insert(pod.uid.clone());
        match pod.text("/status/phase") {
            "Succeeded" => drop(self.succeeded.insert(pod.uid.clone())),
            phase if phase == "Failed" || is_gone || pod.is_deleting() => drop(self.failed.insert(pod.uid.clone())),
            _ => {}
        }
    }

    fn check(&self, job: &Seen) -> Result<(), String> {
        // Once it has failed, all that did not succeed have failed with it.
        let failed = match job.has_condition("FailureTarget") {
            true => self.all.difference(&self.succeeded).count(),
            false => self.failed.len(),
        };
        for (field, most) in [("succeeded", self.succeeded.len()), ("failed", failed)] {
            if counted(job, field) > most {
                return Err(format!("{job} tells of {} Pods that {field}, and there were {most}", counted(job, field)));
            }
        }
        Ok(())
    }
}

/// How many Pods a Job has counted or noted.
fn counted(job: &Seen, field: &str) -> usize {
    let noted = job.at(&format!("/status/uncountedTerminatedPods/{field}")).as_array().map_or(0, Vec::len);
    usize::try_from(job.number(&format!("/status/{field}"))).unwrap_or(0) + noted
}

/// What is counted stays counted, but for indexes that are cut off.
fn grows(old: &Seen, job: &Seen) -> Result<(), String> {
    let last_index = old.text("/status/completedIndexes").rsplit([',', '-']).next().and_then(|last| last.parse().ok());
    let is_cut = last_index.is_some_and(|last: i64| last >= job.number("/spec/completions"));
    for field in ["succeeded", "failed"] {
        let (before, now) = (counted(old, field), counted(job, field));
        if now < before && !(is_cut && field == "succeeded") {
            return Err(format!("{job} told of {before} Pods that {field}, and tells of {now}"));
        }
    }
    Ok(())
}

/// All that has succeeded is counted.
fn complete(write: &Write, job: &Seen, judge: &Judge<'_>) -> Result<(), String> {
    let states = judge.state.since(&job.uid, None);
    let known = judge.state.owned_by(&job.uid).filter(|pod| judge.must_know(write, pod));
    let done = known.filter(|pod| {
        judge.believed(write, &pod.uid).iter().all(|pod| work::has_succeeded(pod)) && work::counts(judge, pod, states)
    });
    // Each index counts once.
    let is_asked_for = |index: &i64| *index < job.number("/spec/completions");
    let done: BTreeSet<String> = match job.text("/spec/completionMode") {
        "Indexed" => {
            done.filter_map(|pod| work::index(pod).filter(is_asked_for)).map(|index| index.to_string()).collect()
        }
        _ => done.map(|pod| pod.uid.to_string()).collect(),
    };
    match counted(job, "succeeded") {
        counted if counted < done.len() => Err(format!("{job} has counted {counted} of {} successes", done.len())),
        _ => Ok(()),
    }
}
