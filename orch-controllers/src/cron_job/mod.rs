//! `cronjob`: starts Jobs by a schedule (`pkg/controller/cronjob`).

mod active;
mod schedules;
mod start;
#[cfg(test)]
mod tests;
mod times;

use crate::job;
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use orch_api::{Key, Object};
use orch_runtime::{Announce, Controller, Error, Plan, Target, View, Watches, plan::Action};
use orch_store::{
    Client,
    client::{DeleteOptions, Propagation},
};
use schedules::{Schedule, Schedules};
use std::sync::Arc;

/// Starts Jobs by a schedule.
#[derive(Default)]
pub struct CronJobController {
    schedules: Schedules,
}

/// A CronJob and its Jobs.
pub struct World {
    cron: Arc<CronJob>,
    /// The schedule that it was last seen with.
    seen: Option<Schedule>,
    jobs: Vec<Child>,
    /// Jobs of the status that the caches do not have.
    missing: Vec<(Key, String)>,
    /// Those of them that are there all the same.
    elsewhere: Vec<String>,
}

/// A Job that the CronJob controls.
struct Child {
    job: Arc<Job>,
    /// For when, if it is one of ours: not for one that a user made of the same template.
    scheduled: Option<Timestamp>,
}

/// The annotation of a Job for when it was scheduled.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

impl Controller for CronJobController {
    const NAME: &'static str = "cronjob";
    const ABOUT: &'static str = "Starts Jobs by the schedule of a CronJob, and deletes old ones.";
    const COMPONENT: &'static str = "cronjob-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<CronJob>().owns::<Job>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let found: Option<Arc<CronJob>> = view.get(key);
        let Some(cron) = found else {
            self.schedules.forget(key);
            return None;
        };
        let mut jobs = view.owned::<Job>(cron.uid());
        jobs.retain(|job| orch_api::owner::is_controlled_by(&job.metadata, cron.uid()));
        let active = cron.status.as_ref().and_then(|status| status.active.as_ref()).into_iter().flatten();
        let missing = active.filter(|active| !jobs.iter().any(|job| Some(job.uid()) == active.uid.as_deref()));
        let missing = missing
            .filter_map(|active| Some((Key::new(key.namespace.clone(), active.name.clone()?), active.uid.clone()?)));
        let missing = missing.collect();
        let jobs = jobs.into_iter().map(|job| Child { scheduled: scheduled(&cron, &job), job }).collect();
        Some(World { seen: self.schedules.of(&cron), cron, jobs, missing, elsewhere: Vec::new() })
    }

    /// A Job that the caches miss may only be late: what is believed to have ended is followed by the next.
    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            for (key, uid) in &world.missing {
                match client.get(&Job::gvr(), key, None).await {
                    Ok(found) if *found.meta.uid == **uid => world.elsewhere.push(uid.clone()),
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(world)
        }
        .boxed()
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let (mut plan, cron) = (Plan::default(), &*world.cron);
        let mut new = cron.clone();
        let status = new.status.get_or_insert_default();
        let mut events = active::update(world, status);
        let create = match cron.is_deleting() {
            true => None,
            false => start::start(world, status, now, &mut plan, &mut events),
        };
        plan.update_status(cron, &new);
        events.into_iter().for_each(|event| plan.event(event));
        plan.actions.extend(create);
        // What cannot be deleted keeps nothing from starting.
        plan.branch();
        clean_up(world, &mut plan);
        plan
    }

    fn remember(&self, world: &World, now: Timestamp, _: Option<&Error>) {
        self.schedules.set(&world.cron, Schedule::after(world.seen.as_ref(), &world.cron, now));
    }
}

/// Deletes the oldest of the Jobs that have ended, as many as are more than the limits.
fn clean_up(world: &World, plan: &mut Plan) {
    let spec = &world.cron.spec;
    let limits = [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
    for (condition, limit) in limits {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { continue };
        let mut ended: Vec<&Job> =
            world.jobs.iter().map(|child| &*child.job).filter(|job| job::has(job, condition)).collect();
        ended.sort_by_cached_key(|job| {
            let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
            (started.map_or(Timestamp::MAX, |time| time.0), job.metadata.name.clone())
        });
        let surplus = ended.len().saturating_sub(limit);
        for job in ended.into_iter().take(surplus).filter(|job| !job.is_deleting()) {
            delete(&world.cron, Target::of(job), job.uid(), plan);
        }
    }
}

fn delete(cron: &CronJob, target: Target, uid: &str, plan: &mut Plan) {
    let announce =
        Announce { failure: ("FailedDelete", "Deleted job: {}".into()), ..Announce::deleted(cron, "Deleted job {}") };
    let propagation = Some(Propagation::Background);
    let options = DeleteOptions { uid: Some(uid.into()), propagation, ..DeleteOptions::default() };
    plan.actions.push(Action::Delete { target, options, announce: Some(announce) });
}

/// The name of the Job of a time.
fn job_name(cron: &CronJob, at: Timestamp) -> String {
    format!("{}-{}", cron.metadata.name.as_deref().unwrap_or_default(), at.as_second().div_euclid(60))
}

/// The time that a Job is for, if its name says the same.
fn scheduled(cron: &CronJob, job: &Job) -> Option<Timestamp> {
    let at: Timestamp = job.metadata.annotations.as_ref()?.get(SCHEDULED)?.parse().ok()?;
    (job.metadata.name.as_deref() == Some(&*job_name(cron, at))).then_some(at)
}
