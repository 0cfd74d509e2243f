//! Jobs: every Pod counts once.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Write};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A Job's status never tells of more successes, or failures, than Pods of it have succeeded, or failed: those that are
/// counted and those that are noted to be counted.
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

    fn judge(&mut self, write: &Write, _: &Judge<'_>) -> Result<(), String> {
        let Some(object) = write.object() else { return Ok(()) };
        match (&*object.kind, object.controller()) {
            ("Pod", Some((job, "Job"))) => {
                self.jobs.entry(job.into()).or_default().see(object, write.new.is_none());
                Ok(())
            }
            ("Job", _) => {
                write.new.as_ref().map_or(Ok(()), |job| self.jobs.entry(job.uid.clone()).or_default().check(job))
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
        let counted = |field: &str| {
            let noted = job.at(&format!("/status/uncountedTerminatedPods/{field}")).as_array().map_or(0, Vec::len);
            usize::try_from(job.number(&format!("/status/{field}"))).unwrap_or(0) + noted
        };
        // Once it has failed, all that did not succeed have failed with it.
        let failed = match job.has_condition("FailureTarget") {
            true => self.all.difference(&self.succeeded).count(),
            false => self.failed.len(),
        };
        for (field, most) in [("succeeded", self.succeeded.len()), ("failed", failed)] {
            if counted(field) > most {
                return Err(format!("{job} tells of {} Pods that {field}, and there were {most}", counted(field)));
            }
        }
        Ok(())
    }
}
