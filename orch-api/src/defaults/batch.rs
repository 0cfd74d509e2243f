//! Job and CronJob (`pkg/apis/batch/v1/defaults.go`).

use super::{
    apps::{labels_from_template, template_labels},
    pod,
};
use crate::value::{Object, each, ensure, fill, fill_text, is_absent, part};

/// Job.
pub(super) fn job(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    if is_absent(spec, "parallelism") {
        fill(spec, "completions", 1);
    }
    job_spec(spec);
    if let Some(labels) = template_labels(spec) {
        labels_from_template(object, labels);
    }
}

fn job_spec(spec: &mut Object) {
    fill(spec, "parallelism", 1);
    let backoff_limit = if is_absent(spec, "backoffLimitPerIndex") { 6 } else { i64::from(i32::MAX) };
    fill(spec, "backoffLimit", backoff_limit);
    fill(spec, "completionMode", "NonIndexed");
    fill(spec, "suspend", false);
    let replacement = if is_absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    fill(spec, "podReplacementPolicy", replacement);
    fill(spec, "manualSelector", false);
    nested(spec);
}

/// The defaults inside of a Job's spec, which a CronJob's template gets too.
fn nested(spec: &mut Object) {
    if let Some(policy) = part(spec, "podFailurePolicy") {
        for rule in each(policy, "rules") {
            each(rule, "onPodConditions").for_each(|condition| fill_text(condition, "status", "True"));
        }
    }
    pod::template(spec);
}

/// CronJob. Its Jobs get their own defaults when they are made, all but the pod's.
pub(super) fn cron_job(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill_text(spec, "concurrencyPolicy", "Allow");
    fill(spec, "suspend", false);
    fill(spec, "successfulJobsHistoryLimit", 3);
    fill(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = ensure(spec, "jobTemplate").and_then(|template| ensure(template, "spec")) {
        nested(job);
    }
}
