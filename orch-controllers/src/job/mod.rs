//! `job`: runs pods until enough of them have succeeded (`pkg/controller/job`).

mod backoff;
mod indexes;
mod manage;
mod memory;
mod pods;
mod policy;
mod spec;
mod status;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

pub use pods::{JobPod, TRACKING};
pub use spec::{ends, has, is_finished};

use crate::common::{
    facts::{ORPHANS, orphan_index},
    owner,
    selector::selects,
};
use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use memory::{Memory, Past};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Error, Plan, Target, View, Watches, view::Known};
use orch_store::{Stored, client::Patch, informer::Delta};
use pods::Claimed;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Runs pods until enough of them have succeeded.
#[derive(Default)]
pub struct JobController {
    memory: Memory,
}

/// A Job and its pods, or the pods that a Job left behind.
pub struct World {
    /// The Job while it is not finished.
    job: Option<Arc<Job>>,
    /// Pods that it controls, and pods without a controller that its selector selects.
    pods: Vec<Known<JobPod>>,
    /// Pods with our finalizer that no unfinished Job will count any more.
    strays: Vec<Arc<Stored>>,
    /// What is remembered of its pods.
    past: Past,
}

/// Changes of pods, and what we write ourselves, come in bursts: they are looked at together (`SyncJobBatchPeriod`).
const BATCH: Duration = Duration::from_secs(1);

/// The index of pods with our finalizer, by the Job that controls them.
const TRACKED: &str = "job-tracking";

impl Controller for JobController {
    const NAME: &'static str = "job";
    const ABOUT: &'static str =
        "Runs pods until as many have succeeded as a Job asks for, and counts each of them once.";
    const COMPONENT: &'static str = "job-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Job>()
            .owns::<Pod>()
            .debounce(BATCH)
            .index(ORPHANS, orphan_index)
            .index(TRACKED, tracked_index)
            .maps::<Pod>(jobs_that_want_an_orphan)
            .maps::<Job>(|delta, _| delta.key().map(|key| vec![strays_of(&key.namespace)]).unwrap_or_default())
            .only(|delta| delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        if key.name.is_empty() {
            let strays = abandoned(&key.namespace, view);
            return (!strays.is_empty()).then_some(World {
                job: None,
                pods: Vec::new(),
                strays,
                past: Past::default(),
            });
        }
        let job: Option<Arc<Job>> = view.get(key);
        if job.as_ref().is_some_and(|job| spec::is_managed_by_another(job)) {
            return None;
        }
        let job = job.filter(|job| !is_finished(job));
        let past = job.as_ref().map(|job| self.memory.of(job)).unwrap_or_default();
        if job.is_none() {
            self.memory.forget(key);
        }
        let mut strays = view.by_index_stored(&Pod::gvr(), TRACKED, &key.to_string());
        strays.retain(|pod| job.as_ref().is_none_or(|job| !owner::is_controlled_by(pod, job.uid())));
        let pods = job.as_deref().map(|job| pods_of(job, key, view)).unwrap_or_default();
        (job.is_some() || !strays.is_empty()).then_some(World { job, pods, strays, past })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        world.strays.iter().for_each(|pod| abandon(pod, &mut plan));
        if let Some(job) = &world.job {
            sync(job, world, now, &mut plan);
        }
        plan
    }

    fn remember(&self, world: &World, _: Timestamp, _: Option<&Error>) {
        if let Some(job) = &world.job {
            let pods = claim(job, &world.pods, &mut Plan::default());
            self.memory.set(job, world.past.clone().with(job, &pods));
        }
    }
}

/// First the status, which notes what has ended; then the finalizers of what is noted; then the pods that are missing or too many.
fn sync(job: &Job, world: &World, now: Timestamp, plan: &mut Plan) {
    let pods = claim(job, &world.pods, plan);
    let past = world.past.clone().with(job, &pods);
    let tally = tally::Tally::of(job, pods);
    let verdict = verdict::reached(&tally, now, plan);
    let is_managed = verdict.is_none() && !job.is_deleting();
    let complete = verdict.is_none().then(|| verdict::is_complete(&tally)).flatten();
    let is_managed = is_managed && complete.is_none();
    let verdict = verdict.or(complete);
    let next = status::next(&tally, verdict.as_ref(), is_managed, now);
    let mut new = job.clone();
    new.status = Some(next.status);
    plan.update_status(job, &new);
    next.events.into_iter().for_each(|event| plan.event(event));
    // A pod that cannot be let go keeps no other from being made or ended.
    plan.branch();
    for pod in &next.release {
        untrack(&pod.known.stored, plan);
    }
    if !next.release.is_empty() {
        plan.requeue_within(Duration::ZERO); // To count them when the caches have seen it.
    }
    plan.branch();
    if verdict.is_some() {
        manage::end(&tally, plan);
    } else if is_managed {
        manage::manage(&tally, &past, now, plan);
    }
}

/// The pods that are the Job's: adopts orphans that match, releases pods that no longer do.
fn claim<'a>(job: &Job, pods: &'a [Known<JobPod>], plan: &mut Plan) -> Vec<Claimed<'a>> {
    let mut claimed = Vec::with_capacity(pods.len());
    for known in pods {
        let pod = &known.stored;
        let is_ours = owner::is_controlled_by(pod, job.uid());
        let matches = job.spec.as_ref().and_then(|s| s.selector.as_ref()).is_some_and(|s| selects(s, &pod.meta.labels));
        match (is_ours, matches) {
            (true, true) => claimed.push(Claimed { known, is_tracked: pod.meta.has_finalizer(TRACKING) }),
            (true, false) if !job.is_deleting() => {
                plan.patch(
                    Target::stored::<Pod>(pod),
                    None,
                    with_finalizers(owner::release(pod, job.uid()), pod, false),
                );
            }
            (false, true) if !job.is_deleting() && !pod.meta.is_deleting() => {
                plan.patch(Target::stored::<Pod>(pod), None, with_finalizers(owner::adopt(pod, job), pod, true));
                claimed.push(Claimed { known, is_tracked: false });
            }
            _ => {}
        }
    }
    claimed
}

/// The same patch, which also adds or removes our finalizer. It applies to the pod as it was seen.
fn with_finalizers(patch: Patch, pod: &Stored, tracked: bool) -> Patch {
    let others = pod.meta.finalizers.iter().filter(|name| ***name != *TRACKING).map(|name| &**name);
    let finalizers: Vec<&str> = others.chain(tracked.then_some(TRACKING)).collect();
    match patch {
        Patch::Merge(mut body) => {
            body["metadata"]["finalizers"] = json!(finalizers);
            Patch::Merge(body)
        }
        other => other,
    }
}

/// Removes our finalizer, whatever else has changed.
fn untrack(pod: &Stored, plan: &mut Plan) {
    let body = json!({"metadata": {"uid": &*pod.meta.uid, "$deleteFromPrimitiveList/finalizers": [TRACKING]}});
    plan.patch(Target::stored::<Pod>(pod), None, Patch::Strategic(body));
}

/// Removes our finalizer from a pod as it was seen: a Job may adopt it meanwhile.
fn abandon(pod: &Stored, plan: &mut Plan) {
    let body = json!({"metadata": {"uid": &*pod.meta.uid, "resourceVersion": pod.revision.to_string()}});
    plan.patch(Target::stored::<Pod>(pod), None, with_finalizers(Patch::Merge(body), pod, false));
}

fn pods_of(job: &Job, key: &Key, view: &View<'_>) -> Vec<Known<JobPod>> {
    let mut pods = view.owned_known::<JobPod>(job.uid());
    pods.retain(|pod| owner::is_controlled_by(&pod.stored, job.uid()));
    let orphans = view.known_by_index::<JobPod>(ORPHANS, &key.namespace);
    pods.extend(orphans.into_iter().filter(|pod| wants(job, &pod.stored)));
    pods
}

/// Pods of a namespace with our finalizer that nobody controls and no Job will adopt.
fn abandoned(namespace: &str, view: &View<'_>) -> Vec<Arc<Stored>> {
    let mut strays = view.by_index_stored(&Pod::gvr(), ORPHANS, namespace);
    strays.retain(|pod| pod.meta.has_finalizer(TRACKING) && adopters(pod, view).is_empty());
    strays
}

/// The key that stands for the pods of a namespace that no Job will count any more.
fn strays_of(namespace: &str) -> Key {
    Key::new(namespace, "")
}

fn tracked_index(stored: &Stored) -> Vec<Arc<str>> {
    let owner = stored.controller().filter(|owner| &*owner.kind == "Job" && stored.meta.has_finalizer(TRACKING));
    owner
        .map(|owner| Key::new(stored.key.namespace.clone(), owner.name.clone()).to_string().into())
        .into_iter()
        .collect()
}

/// Whether the Job adopts a pod that nobody controls.
fn wants(job: &Job, pod: &Stored) -> bool {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    !pod.meta.is_deleting() && selector.is_some_and(|selector| selects(selector, &pod.meta.labels))
}

fn adopters(pod: &Stored, view: &View<'_>) -> Vec<Key> {
    let jobs = view.list::<Job>(&pod.key.namespace);
    let adopts = |job: &&Arc<Job>| !is_finished(job) && !job.is_deleting() && wants(job, pod);
    jobs.iter().filter(adopts).map(|job| job.key()).collect()
}

/// The Jobs that may adopt a pod which nobody controls (any more), and the key for the case that none does.
fn jobs_that_want_an_orphan(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(pod) = delta.new.as_ref().filter(|pod| pod.controller().is_none()) else { return Vec::new() };
    let seen = |old: &Arc<Stored>| {
        old.controller().is_none() && old.meta.labels == pod.meta.labels && old.meta.finalizers == pod.meta.finalizers
    };
    if delta.old.as_ref().is_some_and(seen) {
        return Vec::new();
    }
    let stray = pod.meta.has_finalizer(TRACKING).then(|| strays_of(&pod.key.namespace));
    adopters(pod, view).into_iter().chain(stray).collect()
}
