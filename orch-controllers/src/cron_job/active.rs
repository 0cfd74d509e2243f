//! What a CronJob's status says of its Jobs.

use super::{Child, World};
use crate::job;
use k8s_openapi::{
    api::batch::v1::{CronJob, CronJobStatus, Job},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Object;
use orch_runtime::plan::{Notice, reference};

/// Brings the status up to date with the Jobs that there are, and says what happened to them.
pub(super) fn update(world: &World, status: &mut CronJobStatus) -> Vec<Notice> {
    let mut events = Vec::new();
    for child in &world.jobs {
        note(&world.cron, child, status, &mut events);
    }
    let exists =
        |uid: &str| world.jobs.iter().any(|child| child.job.uid() == uid) || world.elsewhere.iter().any(|u| u == uid);
    let active = status.active.get_or_insert_default();
    let gone = active.extract_if(.., |job| !exists(job.uid.as_deref().unwrap_or_default()));
    events.extend(gone.map(|job| {
        let name = job.name.as_deref().unwrap_or_default();
        Notice::normal(&*world.cron, "MissingJob", format!("Active job went missing: {name}"))
    }));
    status.active.take_if(|active| active.is_empty());
    events
}

fn note(cron: &CronJob, child: &Child, status: &mut CronJobStatus, events: &mut Vec<Notice>) {
    let Child { job, scheduled } = child;
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let active = status.active.get_or_insert_default();
    let known = active.iter().position(|active| active.uid.as_deref() == Some(job.uid()));
    match (known, job::is_finished(job), scheduled) {
        (Some(at), true, _) => {
            active.remove(at);
            let condition = if job::has(job, "Complete") { "Complete" } else { "Failed" };
            let words = format!("Saw completed job: {name}, condition: {condition}");
            events.push(Notice::normal(cron, "SawCompletedJob", words));
        }
        // We created it. That is written here and not with the creation, so that nothing is lost between the two.
        (None, false, Some(_)) if !job.is_deleting() => active.push(reference(&**job)),
        (None, false, None) => {
            let words = format!("Saw a job that the controller did not create or forgot: {name}");
            events.push(Notice::warning(cron, "UnexpectedJob", words));
        }
        _ => {}
    }
    if let Some(scheduled) = scheduled.filter(|at| status.last_schedule_time.as_ref().is_none_or(|last| last.0 < *at)) {
        status.last_schedule_time = Some(Time(scheduled));
    }
    if let Some(ended) = ended_well(job) {
        let last = status.last_successful_time.get_or_insert_with(|| ended.clone());
        last.0 = last.0.max(ended.0);
    }
}

fn ended_well(job: &Job) -> Option<Time> {
    job.status.as_ref().filter(|_| job::has(job, "Complete"))?.completion_time.clone()
}
