//! The status of a Job (`ValidateJobStatusUpdate` of `pkg/apis/batch/validation`): what is finished stays finished, whoever
//! writes it. Most rules are about what changes, so that a status which breaks one can still be written otherwise.

use super::{at::At, indexes};
use std::collections::HashSet;

/// Whether a condition is `True`.
pub(super) fn holds(status: At<'_>, kind: &str) -> bool {
    status.at("conditions").items().any(|c| c.at("type").str() == kind && c.at("status").str() == "True")
}

fn is_finished(status: At<'_>) -> bool {
    holds(status, "Complete") || holds(status, "Failed")
}

fn count(at: At<'_>) -> i64 {
    at.int().unwrap_or_default()
}

/// An update of the status.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    let (status, before) = (new.at("status"), old.at("status"));
    counts(status);
    conditions(new, status, before);
    times(new, status, before);
    finished(status, before);
    indexes_of(new, status, before);
    transitions(new, status, before);
}

fn counts(status: At<'_>) {
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        status.at(field).non_negative();
    }
    let mut seen = HashSet::new();
    for list in ["succeeded", "failed"] {
        for uid in status.at("uncountedTerminatedPods").at(list).items() {
            if uid.is_empty() {
                uid.invalid("must not be empty");
            } else if !seen.insert(uid.str()) {
                uid.duplicate();
            }
        }
    }
}

fn conditions<'a>(job: At<'a>, status: At<'a>, before: At<'a>) {
    let all = status.at("conditions");
    let changed = |kind| holds(status, kind) != holds(before, kind);
    let both = |a, b| holds(status, a) && holds(status, b);
    let without = |a, b| holds(status, a) && !holds(status, b);
    if (changed("Complete") || changed("Failed")) && both("Complete", "Failed") {
        all.invalid_bare("cannot set Complete=True and Failed=true conditions");
    }
    if (changed("Complete") || changed("FailureTarget")) && both("Complete", "FailureTarget") {
        all.invalid_bare("cannot set Complete=True and FailureTarget=true conditions");
    }
    let failed_indexes = !status.at("failedIndexes").same(before.at("failedIndexes"));
    if (changed("Failed") || failed_indexes) && without("Failed", "FailureTarget") {
        all.invalid_bare("cannot set Failed=True condition without the FailureTarget=true condition");
    }
    if (changed("Complete") || changed("SuccessCriteriaMet")) && without("Complete", "SuccessCriteriaMet") {
        all.invalid_bare("cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
    }
    for other in ["Failed", "FailureTarget"] {
        if both("SuccessCriteriaMet", other) {
            all.invalid_bare(format!("cannot set SuccessCriteriaMet=True and {other}=true conditions"));
        }
    }
    if job.at("spec").at("successPolicy").is_set() && without("Complete", "SuccessCriteriaMet") {
        all.invalid_bare("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
    }
}

fn times<'a>(job: At<'a>, status: At<'a>, before: At<'a>) {
    let (start, end) = (status.at("startTime"), status.at("completionTime"));
    let changed = |field| !status.at(field).same(before.at(field));
    let is_complete = holds(status, "Complete");
    if is_complete != holds(before, "Complete") || changed("completionTime") {
        if end.is_set() && !is_complete {
            end.invalid("cannot set completionTime when there is no Complete=True condition");
        }
        if !end.is_set() && is_complete {
            end.required("completionTime is required for Complete jobs");
        }
    }
    let time = |at: At<'_>| at.value().and_then(crate::time::read);
    if (changed("startTime") || changed("completionTime")) && time(start).zip(time(end)).is_some_and(|(s, e)| e < s) {
        end.invalid("must be equal to or after `startTime`");
    }
    let spec = job.at("spec");
    let never_ran = spec.at("suspend").flag() && spec.at("completions").int() == Some(0);
    let finishes = is_finished(status) != is_finished(before);
    if (finishes || changed("startTime")) && !never_ran && !start.is_set() && is_finished(status) {
        start.required("startTime is required for finished job");
    }
}

/// A finished Job has no pods left.
fn finished<'a>(status: At<'a>, before: At<'a>) {
    let is_finished_now = is_finished(status);
    let finishes = is_finished_now != is_finished(before);
    let changed = |field| finishes || !status.at(field).same(before.at(field));
    for field in ["active", "terminating"] {
        if changed(field) && is_finished_now && count(status.at(field)) > 0 {
            status.at(field).invalid(format!("{field}>0 is invalid for finished job"));
        }
    }
    let notes = status.at("uncountedTerminatedPods");
    let noted = !notes.at("succeeded").is_empty() || !notes.at("failed").is_empty();
    if changed("uncountedTerminatedPods") && is_finished_now && noted {
        notes.invalid("must be empty for finished job");
    }
    let ready = status.at("ready");
    let moved = |field| !status.at(field).same(before.at(field));
    if (moved("ready") || moved("active")) && count(ready) > count(status.at("active")) {
        ready.invalid("cannot set more ready pods than active");
    }
}

fn indexes_of<'a>(job: At<'a>, status: At<'a>, before: At<'a>) {
    let spec = job.at("spec");
    let (completed, failed) = (status.at("completedIndexes"), status.at("failedIndexes"));
    let changed = |field| !status.at(field).same(before.at(field));
    let (completed_changed, failed_changed) = (changed("completedIndexes"), changed("failedIndexes"));
    let per_index = spec.at("backoffLimitPerIndex").is_set();
    if let Some(completions) = spec.at("completions").int() {
        let lists = [(completed, completed_changed), (failed, failed_changed && per_index)];
        for (list, name) in lists.into_iter().zip(["completedIndexes", "failedIndexes"]).filter(|((_, is), _)| *is) {
            if let Err(why) = indexes::read(list.0.str(), completions) {
                list.0.invalid(format!("error parsing {name}: {why}"));
            }
        }
        let shared = indexes::overlap(completed.str(), failed.str(), completions);
        if let Some(index) = shared.filter(|_| completed_changed || failed_changed) {
            failed.invalid(format!("failedIndexes and completedIndexes overlap at index: {index}"));
        }
    }
    if completed_changed && !completed.is_empty() && spec.at("completionMode").str() != "Indexed" {
        completed.invalid("cannot set non-empty completedIndexes when non-indexed completion mode");
    }
    if failed_changed && failed.is_set() && !per_index {
        failed.invalid("cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    }
}

fn transitions<'a>(job: At<'a>, status: At<'a>, before: At<'a>) {
    let (all, spec) = (status.at("conditions"), job.at("spec"));
    for kind in ["Failed", "Complete", "FailureTarget"] {
        if holds(before, kind) && !holds(status, kind) {
            all.invalid_bare(format!("cannot disable the terminal {kind}=True condition"));
        }
    }
    // Indexed Jobs that are scaled down lose successes with their indexes.
    let may_shrink =
        spec.at("completionMode").str() == "Indexed" && spec.at("completions").same(spec.at("parallelism"));
    for field in ["failed", "succeeded"] {
        let at = status.at(field);
        if count(at) < count(before.at(field)) && !(field == "succeeded" && may_shrink) {
            at.invalid_as(count(at), format!("cannot decrease the {field} counter"));
        }
    }
    let (end, end_before) = (status.at("completionTime"), before.at("completionTime"));
    if end.is_set() && end_before.is_set() && !end.same(end_before) {
        end.invalid("field is immutable");
    }
    let (start, start_before) = (status.at("startTime"), before.at("startTime"));
    let resumes = holds(before, "Suspended")
        && status
            .at("conditions")
            .items()
            .any(|c| c.at("type").str() == "Suspended" && c.at("status").str() == "False");
    if start_before.is_set() && !start.same(start_before) && !spec.at("suspend").flag() && !resumes {
        let shown = start.value().cloned().unwrap_or_default();
        start.invalid_as(shown, "field is immutable for unsuspended job once set");
    }
    if holds(before, "SuccessCriteriaMet") && !holds(status, "SuccessCriteriaMet") {
        all.invalid_bare("cannot disable the SuccessCriteriaMet=True condition");
    }
    if holds(before, "Complete") && !holds(before, "SuccessCriteriaMet") && holds(status, "SuccessCriteriaMet") {
        all.invalid_bare("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
    }
}
