//! Whether a Job is due, and what it looks like (`syncCronJob` of `pkg/controller/cronjob/cronjob_controllerv2.go`).

use super::{
    SCHEDULED, World, delete, job_name,
    schedules::Schedule,
    times::{Missed, Times},
};
use crate::common::{
    owner,
    time::{by_the_clock, plus_seconds},
};
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::{
    api::batch::v1::{CronJob, CronJobStatus, Job},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object, cron};
use orch_runtime::{
    Announce, Plan, Target,
    plan::{Action, Notice},
};
use orch_store::client::encode;
use std::sync::Arc;

/// Starts the Job that is due: answers it, after what runs has been deleted from plan and status where the policy is
/// `Replace`. Else says why not. Looks again at the next time.
pub(super) fn start(
    world: &World,
    status: &mut CronJobStatus,
    now: Timestamp,
    plan: &mut Plan,
    events: &mut Vec<Notice>,
) -> Option<Action> {
    let cron = &*world.cron;
    let times = times(cron, events)?;
    let since = status.last_schedule_time.as_ref().or(cron.metadata.creation_timestamp.as_ref()).map_or(now, |t| t.0);
    let changed = Schedule::after(world.seen.as_ref(), cron, now).since();
    let since = changed.map_or(since, |changed| since.max(changed));
    let due = match due(cron, &times, since, now, events) {
        Ok(due) => due,
        Err(why) => {
            let words = format!("invalid schedule: {} : {why}", cron.spec.schedule);
            events.push(Notice::warning(cron, "InvalidSchedule", words));
            return None;
        }
    };
    let due = due.filter(|due| may_start(cron, status, *due, now, events));
    plan.requeue_within(by_the_clock(times.next(due.unwrap_or(since), now), now));
    let due = due?;
    if policy(cron) == "Replace" {
        replace(world, status, plan);
    }
    Some(create(cron, &times.zone, due))
}

/// The schedule, unless there is none to go by.
fn times(cron: &CronJob, events: &mut Vec<Notice>) -> Option<Times> {
    let spec = &cron.spec;
    let zone = match spec.time_zone.as_deref().map(cron::zone) {
        None => TimeZone::UTC,
        Some(Ok(zone)) => zone,
        Some(Err(why)) => {
            let name = spec.time_zone.as_deref().unwrap_or_default();
            events.push(Notice::warning(cron, "UnknownTimeZone", format!("invalid timeZone: {name:?}: {why}")));
            return None;
        }
    };
    if spec.suspend == Some(true) {
        return None;
    }
    let text = &spec.schedule;
    if text.contains("TZ") {
        let see = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        let words = format!("CRON_TZ or TZ used in schedule {text:?} is not officially supported, {see}");
        events.push(Notice::warning(cron, "UnsupportedSchedule", words));
    }
    match cron::Schedule::parse(text) {
        Ok(schedule) => Some(Times { schedule, zone }),
        Err(why) => {
            let words = format!("unparseable schedule: {text:?} : {why}");
            events.push(Notice::warning(cron, "UnparseableSchedule", words));
            None
        }
    }
}

/// The time that was missed last, and not longer ago than Jobs may be late.
fn due(
    cron: &CronJob,
    times: &Times,
    since: Timestamp,
    now: Timestamp,
    events: &mut Vec<Notice>,
) -> Result<Option<Timestamp>, String> {
    let earliest = lateness(cron).map_or(since, |seconds| since.max(plus_seconds(now, -seconds)));
    let (due, missed) = times.last(earliest, now)?;
    if due.is_some() && missed == Missed::Many {
        let words = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        events.push(Notice::warning(cron, "TooManyMissedTimes", words));
    }
    Ok(due)
}

/// How many seconds late a Job may start.
fn lateness(cron: &CronJob) -> Option<i64> {
    cron.spec.starting_deadline_seconds
}

fn policy(cron: &CronJob) -> &str {
    cron.spec.concurrency_policy.as_deref().unwrap_or("Allow")
}

fn may_start(cron: &CronJob, status: &CronJobStatus, due: Timestamp, now: Timestamp, events: &mut Vec<Notice>) -> bool {
    if lateness(cron).is_some_and(|seconds| plus_seconds(due, seconds) < now) {
        let words = format!("Missed scheduled time to start a job: {}", due.strftime("%a, %d %b %Y %H:%M:%S +0000"));
        events.push(Notice::warning(cron, "MissSchedule", words));
        return false;
    }
    let mut active = status.active.iter().flatten();
    let is_last = status.last_schedule_time.as_ref().is_some_and(|last| last.0.as_second() == due.as_second());
    if is_last || active.clone().any(|job| job.name.as_deref() == Some(&*job_name(cron, due))) {
        return false;
    }
    if policy(cron) == "Forbid" && active.next().is_some() {
        let words = "Not starting job because prior execution is running and concurrency policy is Forbid";
        events.push(Notice::normal(cron, "JobAlreadyActive", words));
        return false;
    }
    true
}

/// Deletes what runs.
fn replace(world: &World, status: &mut CronJobStatus, plan: &mut Plan) {
    for active in status.active.take().into_iter().flatten() {
        let (Some(name), Some(uid)) = (active.name, active.uid) else { continue };
        let is_going = world.jobs.iter().any(|child| child.job.uid() == uid && child.job.is_deleting());
        if !is_going {
            let key = Key::new(world.cron.metadata.namespace.as_deref().unwrap_or_default(), name);
            delete(&world.cron, Target::named::<Job>(key), &uid, plan);
        }
    }
}

/// The Job of a time. Its name is that time's, so that there is one of it, whoever creates it how often.
fn create(cron: &CronJob, zone: &TimeZone, due: Timestamp) -> Action {
    let template = cron.spec.job_template.clone();
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED.into(), rfc3339(due, zone));
    let job = Job {
        metadata: ObjectMeta {
            name: Some(job_name(cron, due)),
            namespace: cron.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner::controller_ref(cron)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    };
    let announce = Announce {
        failure: ("FailedCreate", "Error creating job: {}".into()),
        ..Announce::created(cron, "Created job {}")
    };
    // The types of k8s-openapi always have a JSON form.
    let body = Arc::new(encode(&job).unwrap_or_default());
    Action::Create { target: Target::of(&job), body, announce: Some(announce), may_exist: true }
}

/// The time as Go writes it: `Z` in UTC, else the offset.
fn rfc3339(at: Timestamp, zone: &TimeZone) -> String {
    let local = at.to_zoned(zone.clone());
    let text = local.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    match local.offset().seconds() {
        0 => text + "Z",
        _ => text + &local.strftime("%:z").to_string(),
    }
}
