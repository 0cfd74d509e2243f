//! Jobs: as much work as was asked for, and none of it again.

use super::{Judge, Oracle};
use crate::sim::state::{Seen, Write};
use orch_controllers::job::TRACKING;
use std::sync::Arc;

/// A Job gets no Pod that would complete it, or an index of it, once more, as far as its controller knows. It has ended only when its Pods
/// have, and then for good.
pub struct Work;

impl Oracle for Work {
    fn name(&self) -> &'static str {
        "work"
    }

    fn judge(&mut self, write: &Write, judge: &Judge<'_>) -> Result<(), String> {
        let Some(new) = write.new.as_ref().filter(|_| *write.who == *"job" && !write.repeated) else { return Ok(()) };
        match (&*new.kind, &write.old, new.controller()) {
            ("Pod", None, Some((job, "Job"))) => once(write, new, job, judge),
            ("Job", Some(old), _) if has_ended(old) && !has_ended(new) => Err(format!("{new} had ended")),
            ("Job", Some(old), _) if has_ended(new) && !has_ended(old) => over(write, new, judge),
            _ => Ok(()),
        }
    }
}

/// A new Pod is one that the Job needs.
fn once(write: &Write, pod: &Seen, job: &str, judge: &Judge<'_>) -> Result<(), String> {
    let states = judge.state.since(job, None);
    let others = judge.state.owned_by(job).chain(judge.state.gone_from(job));
    let others: Vec<&Arc<Seen>> = others
        .filter(|other| other.uid != pod.uid && judge.must_know(write, other) && counts(judge, other, states))
        .collect();
    if let Some(index) = index(pod) {
        // An index that was once cut off is one to complete anew.
        let was_cut = states.iter().any(|job| job.number("/spec/completions") <= index);
        let twin = others.iter().find(|other| self::index(other) == Some(index)).filter(|_| !was_cut);
        return twin.map_or(Ok(()), |twin| Err(format!("{pod} is for index {index}, which is the work of {twin}")));
    }
    let believed = judge.believed(write, job);
    let told = believed.iter().map(|job| job.number("/status/succeeded")).min().unwrap_or(0);
    let active = others.iter().filter(|other| !other.is_over()).count() as i64;
    let enough = (told + active).max(others.len() as i64);
    let is_done = |other: &&Arc<Seen>| judge.believed(write, &other.uid).iter().all(|seen| has_succeeded(seen));
    match believed.last().map(|job| job.at("/spec/completions").as_i64()) {
        Some(Some(most)) if enough >= most => {
            Err(format!("{pod} was created: {enough} Pods have succeeded, or may still, and {most} are to"))
        }
        // One success is enough, and the Pods that are left know when they are done.
        Some(None) if told > 0 || others.iter().any(is_done) => {
            Err(format!("{pod} was created, and a Pod of its Job has succeeded"))
        }
        _ => Ok(()),
    }
}

/// Nothing works for a Job that has ended.
fn over(write: &Write, job: &Seen, judge: &Judge<'_>) -> Result<(), String> {
    let works = |pod: &&Arc<Seen>| {
        let ended = |seen: &Arc<Seen>| matches!(seen.text("/status/phase"), "Succeeded" | "Failed");
        judge.must_know(write, pod) && !judge.believed(write, &pod.uid).iter().any(ended)
    };
    match judge.state.owned_by(&job.uid).find(works) {
        Some(pod) => Err(format!("{job} is said to have ended, and {pod} works")),
        None => Ok(()),
    }
}

/// Whether a Pod has been counted as a success, or will be if it comes to that: its controller keeps it for that, and it neither failed nor was
/// deleted before.
pub(super) fn counts(judge: &Judge<'_>, pod: &Seen, job: &[Arc<Seen>]) -> bool {
    let is_kept =
        |seen: &Seen| seen.at("/metadata/finalizers").as_array().is_some_and(|all| all.iter().any(|f| f == TRACKING));
    let past = judge.state.since(&pod.uid, None);
    match past.iter().find(|seen| seen.is_over()) {
        None => judge.state.exists(&pod.uid) && is_kept(pod),
        // One that was to go, and succeeded before anybody knew, is let go of without being counted.
        Some(first) if has_succeeded(first) && is_kept(first) => {
            (judge.state.exists(&pod.uid) && is_kept(pod)) || job.iter().any(|job| is_noted(pod, job))
        }
        Some(_) => false,
    }
}

fn is_noted(pod: &Seen, job: &Seen) -> bool {
    let noted = job.at("/status/uncountedTerminatedPods/succeeded").as_array();
    let has = |index: i64| {
        job.text("/status/completedIndexes").split(',').any(|interval| {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            matches!((first.parse::<i64>(), last.parse::<i64>()), (Ok(first), Ok(last)) if (first..=last).contains(&index))
        })
    };
    noted.is_some_and(|all| all.iter().any(|uid| *uid == *pod.uid)) || index(pod).is_some_and(has)
}

/// The completion index of a Pod.
pub(super) fn index(pod: &Seen) -> Option<i64> {
    pod.text("/metadata/annotations/batch.kubernetes.io~1job-completion-index").parse().ok()
}

/// Whether a Pod has succeeded.
pub(super) fn has_succeeded(pod: &Seen) -> bool {
    pod.text("/status/phase") == "Succeeded"
}

fn has_ended(job: &Seen) -> bool {
    job.has_condition("Complete") || job.has_condition("Failed")
}
