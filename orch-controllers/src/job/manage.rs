//! How many pods a Job has at a time, and which (`manageJob` of `pkg/controller/job/job_controller.go`).

use super::{
    backoff,
    memory::Past,
    pods::{Claimed, FAILURES, IGNORED, INDEX, JobPod, TRACKING, rank},
    policy::{self, Judgement},
    spec,
    tally::Tally,
};
use crate::replica_set::pod_of;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, PodTemplateSpec},
};
use orch_runtime::{Announce, Plan, Target, executor::BURST, view::Known};
use std::{collections::BTreeMap, time::Duration};

/// The variable that tells a container its completion index.
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// What the API server cuts a generated name's prefix to.
const LONGEST_PREFIX: usize = 58;

/// Deletes the pods that are too many, or else creates those that are missing and have waited long enough.
pub(super) fn manage(tally: &Tally<'_>, past: &Past, now: Timestamp, plan: &mut Plan) {
    let (job, active) = (tally.job, tally.active.len());
    if spec::is_suspended(job) {
        return discard(job, &surplus(tally, active), plan);
    }
    let wanted = match spec::wanted(job) {
        // The pods that are left decide when they are done.
        None if tally.succeeded > 0 => active,
        None => spec::parallelism(job),
        Some(wanted) => wanted.saturating_sub(tally.succeeded).min(spec::parallelism(job)),
    };
    let mut surplus = surplus(tally, active.saturating_sub(wanted));
    surplus.truncate(BURST);
    if !surplus.is_empty() {
        return discard(job, &surplus, plan);
    }
    let ending = if spec::waits_for_the_end(job) { tally.terminating } else { 0 };
    let missing = wanted.saturating_sub(ending + active);
    if missing > 0 {
        create(tally, past, missing, now, plan);
    }
}

/// Deletes all active pods of a Job that has come to its end.
pub(super) fn end(tally: &Tally<'_>, plan: &mut Plan) {
    tally.active.iter().for_each(|pod| delete(tally.job, pod, plan));
}

fn create(tally: &Tally<'_>, past: &Past, missing: usize, now: Timestamp, plan: &mut Plan) {
    let job = tally.job;
    let template = template(job);
    let wait = if spec::limit_per_index(job).is_some() { Duration::ZERO } else { backoff::of_job(past, now) };
    if !wait.is_zero() {
        return plan.requeue_within(wait);
    }
    let (count, before) = (missing.min(BURST), plan.actions.len());
    if spec::is_indexed(job) {
        create_indexes(tally, &template, &pending(tally, count), now, plan);
    } else {
        plan.create_many(&pod_of(job, &template), count, &announce(job));
    }
    if missing > count && plan.actions.len() > before {
        plan.requeue_within(Duration::ZERO); // The rest follows when the caches have seen these.
    }
}

fn create_indexes(tally: &Tally<'_>, template: &PodTemplateSpec, indexes: &[usize], now: Timestamp, plan: &mut Plan) {
    for index in indexes {
        let before = tally.waiting.get(index).copied();
        match before.map_or(Duration::ZERO, |before| backoff::of_index(before, now)) {
            Duration::ZERO => {
                plan.create_announced(&pod_of_index(tally.job, template, *index, before), announce(tally.job));
            }
            wait => plan.requeue_within(wait),
        }
    }
}

fn announce(job: &Job) -> Announce {
    Announce::created(job, "Created pod: {}")
}

/// The first indexes that have no pod and need one.
fn pending(tally: &Tally<'_>, count: usize) -> Vec<usize> {
    let waits = spec::waits_for_the_end(tally.job);
    let taken = tally.indexes_of(|pod| pod.is_active() || (waits && pod.is_terminating()));
    let settled = tally.done.union(&taken).union(tally.lost.as_ref().unwrap_or(&Default::default()));
    settled.missing(spec::completions(tally.job), count)
}

/// Active pods to delete: those without an index of their own, and then so many others that there are at least so many.
fn surplus<'a>(tally: &Tally<'a>, at_least: usize) -> Vec<&'a Known<JobPod>> {
    let mut left = tally.active.clone();
    left.sort_by_cached_key(|pod| rank(pod));
    let mut surplus = Vec::new();
    if spec::is_indexed(tally.job) {
        // The last one of an index is the one that is nearest to its end.
        let last: BTreeMap<usize, &str> =
            left.iter().filter_map(|pod| Some((valid(tally.job, pod)?, &*pod.stored.meta.uid))).collect();
        let stays = |pod: &&Known<JobPod>| {
            valid(tally.job, pod).is_some_and(|index| last.get(&index) == Some(&&*pod.stored.meta.uid))
        };
        (left, surplus) = left.into_iter().partition(stays);
    }
    left.truncate(at_least.saturating_sub(surplus.len()));
    surplus.extend(left);
    surplus
}

fn valid(job: &Job, known: &Known<JobPod>) -> Option<usize> {
    Claimed { known, is_tracked: false }.valid_index(job)
}

/// Deletes pods that are not to be counted.
fn discard(job: &Job, pods: &[&Known<JobPod>], plan: &mut Plan) {
    let tracked = pods.iter().filter(|pod| pod.stored.meta.has_finalizer(TRACKING));
    tracked.for_each(|pod| super::untrack(&pod.stored, plan));
    pods.iter().for_each(|pod| delete(job, pod, plan));
}

fn delete(job: &Job, pod: &Known<JobPod>, plan: &mut Plan) {
    let announce = Announce::deleted(job, "Deleted pod: {}");
    plan.delete_announced(Target::stored::<Pod>(&pod.stored), pod.stored.meta.uid.clone(), announce);
}

/// The Job's template with what tracking and indexes add to it.
fn template(job: &Job) -> PodTemplateSpec {
    let mut template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let finalizers = template.metadata.get_or_insert_default().finalizers.get_or_insert_default();
    if !finalizers.iter().any(|name| name == TRACKING) {
        finalizers.push(TRACKING.into());
    }
    if spec::is_indexed(job) {
        let pod = template.spec.get_or_insert_default();
        pod.init_containers.iter_mut().flatten().chain(&mut pod.containers).for_each(tell_index);
    }
    template
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if !variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        let field = ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), api_version: None };
        let source = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
        variables.push(EnvVar { name: INDEX_VARIABLE.into(), value_from: Some(source), value: None });
    }
}

fn pod_of_index(job: &Job, template: &PodTemplateSpec, index: usize, before: Option<&Known<JobPod>>) -> Pod {
    let mut pod = pod_of(job, template);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let (text, suffix) = (index.to_string(), format!("-{index}-"));
    let kept = name.len().min(LONGEST_PREFIX - suffix.len());
    pod.metadata.generate_name = Some(format!("{}{suffix}", name.get(..kept).unwrap_or(name)));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.into(), text.clone());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.into(), text);
    if spec::limit_per_index(job).is_some() {
        let (failures, ignored) = inherited(job, before);
        annotations.insert(FAILURES.into(), failures.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED.into(), ignored.to_string());
        }
    }
    pod.spec.get_or_insert_default().hostname = Some(format!("{name}-{index}"));
    pod
}

/// How often the index has failed, with the failure of the pod that is replaced.
fn inherited(job: &Job, before: Option<&Known<JobPod>>) -> (i32, i32) {
    let Some(before) = before else { return (0, 0) };
    let (failures, ignored) = (before.facts.failures, before.facts.ignored);
    match policy::judge(job, before) {
        Judgement::Ignore => (failures, ignored.saturating_add(1)),
        _ => (failures.saturating_add(1), ignored),
    }
}
