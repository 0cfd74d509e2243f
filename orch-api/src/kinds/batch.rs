//! The group `batch`.

use super::{
    cells::{self, NONE, UNSET, capital, containers, images, is_deleting, is_true, joined, scalar_or, since},
    row::{Group, Row, boolean, integer, named, text, wide},
};
use crate::{
    access::{get, integer as number, list, text as field},
    duration,
    kind::Kind,
    time,
};
use jiff::Timestamp;
use serde_json::Value;

const BATCH: Group = Group { group: "batch", version: "v1", package: "io.k8s.api.batch.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![cron_job(), job()]
}

fn cron_job() -> Kind {
    let mut columns = named([
        text("Schedule", "When the job runs, in cron format.", |o, _| field(o, "spec.schedule").into()),
        text("Timezone", "The time zone of the schedule.", |o, _| scalar_or(o, "spec.timeZone", NONE)),
        boolean("Suspend", "Whether no further jobs are started.", |o, _| {
            Value::from(get(o, "spec.suspend").and_then(Value::as_bool).map_or(UNSET, capital))
        }),
        integer("Active", "Jobs that run.", |o, _| list(o, "status.active").len().into()),
        text("Last Schedule", "When a job was last started.", |o, now| match get(o, "status.lastScheduleTime") {
            None => NONE.into(),
            Some(_) => since(o, "status.lastScheduleTime", now),
        }),
    ]);
    const CONTAINERS: &str = "spec.jobTemplate.spec.template.spec.containers";
    columns.extend([
        containers(|o, _| joined(o, CONTAINERS, "name")),
        images(|o, _| joined(o, CONTAINERS, "image")),
        wide(text("Selector", "Labels that a pod must have.", |o, _| {
            cells::selector(get(o, "spec.jobTemplate.spec.selector"))
        })),
    ]);
    BATCH.namespaced("CronJob", "cronjobs").short(&["cj"]).categories(&["all"]).status().columns(columns)
}

fn job() -> Kind {
    let mut columns = named([
        text("Status", "Status of the job.", |o, _| status(o).into()),
        text("Completions", "Pods that have succeeded, and how many should.", |o, _| completions(o).into()),
        text("Duration", "Time required to complete the job.", |o, now| run_time(o, now).into()),
    ]);
    columns.extend([
        containers(|o, _| joined(o, "spec.template.spec.containers", "name")),
        images(|o, _| joined(o, "spec.template.spec.containers", "image")),
        wide(text("Selector", "Labels that a pod must have.", |o, _| cells::selector(get(o, "spec.selector")))),
    ]);
    BATCH
        .namespaced("Job", "jobs")
        .categories(&["all"])
        .status()
        .columns(columns)
        .selectable_by("status.successful", |o| number(o, "status.succeeded").to_string())
}

fn status(job: &Value) -> &'static str {
    match () {
        () if is_true(job, "Complete") => "Complete",
        () if is_true(job, "Failed") => "Failed",
        () if is_deleting(job) => "Terminating",
        () if is_true(job, "Suspended") => "Suspended",
        () if is_true(job, "FailureTarget") => "FailureTarget",
        () if is_true(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = number(job, "status.succeeded");
    match (get(job, "spec.completions").and_then(Value::as_i64), number(job, "spec.parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn run_time(job: &Value, now: Timestamp) -> String {
    let at = |path| get(job, path).and_then(time::read);
    let end = at("status.completionTime").unwrap_or(now);
    at("status.startTime").map(|start| duration::between(start, end)).unwrap_or_default()
}
