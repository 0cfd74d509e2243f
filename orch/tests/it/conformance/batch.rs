//! `test/e2e/apps/{job,cronjob}.go`

use super::world::*;
use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::{Event, Pod},
};
use orch::{
    api::{Key, Object, owner},
    runtime::{plan::reference, wait},
    store::{
        ClientExt, Revision,
        client::{DeleteOptions, ListOptions, Propagation, TypedEvent, WatchOptions},
    },
};
use serde_json::{Value, from_value, json};
use std::{sync::Arc, time::Duration};

/// A Job of four completions, two at a time, whose pods behave by these rules of the simulated node.
fn job(name: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
        "parallelism": 2, "completions": 4, "backoffLimit": 6,
        "template": {"metadata": {"labels": {"job": name}, "annotations": rules}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}}})
}

/// A CronJob for every minute whose Jobs run for five.
fn cron_job(name: &str, policy: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
        "schedule": "*/1 * * * ?", "concurrencyPolicy": policy,
        "jobTemplate": {"spec": {"parallelism": 1, "completions": 1, "template": {
            "metadata": {"annotations": runs_for("300")}, "spec": {
                "restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "busybox:1"}]}}}}}})
}

fn runs_for(seconds: &str) -> Value {
    json!({"simulated.orch.dev/run": seconds})
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

impl World {
    async fn add<K: Object>(&self, object: Value) -> Arc<K> {
        self.client().add::<K>(&from_value(object).unwrap()).await.unwrap()
    }

    /// Waits for the object to be as wanted.
    async fn until<K: Object>(&self, key: &Key, holds: impl Fn(Option<&K>) -> bool + Send) -> Option<Arc<K>> {
        let client = self.client();
        let wait = client.wait_for::<K, _>(key, holds);
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{key} is not as wanted")).unwrap()
    }

    /// Waits for what is there of a kind to be as wanted.
    async fn until_all<K: Object>(&self, holds: impl Fn(&[Arc<K>]) -> bool) -> Vec<Arc<K>> {
        let wait = async {
            loop {
                let all = self.all::<K>().await;
                if holds(&all) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} are not as wanted", K::plural(&())))
    }

    async fn all<K: Object>(&self) -> Vec<Arc<K>> {
        self.client().read_all::<K>("default").await.unwrap()
    }

    /// Waits until so many pods run.
    async fn so_many(&self, count: usize) -> Vec<Arc<Pod>> {
        self.until_all::<Pod>(|pods| pods.iter().filter(|pod| wait::pod_running(Some(pod))).count() == count).await
    }

    /// Waits until a CronJob's status has so many Jobs.
    async fn active(&self, name: &str, count: usize) -> Vec<String> {
        let active = |cron: &CronJob| cron.status.as_ref().and_then(|s| s.active.clone()).unwrap_or_default();
        let cron = self.until::<CronJob>(&key(name), |cron| cron.is_some_and(|cron| active(cron).len() >= count)).await;
        active(&cron.unwrap()).into_iter().filter_map(|job| job.name).collect()
    }
}

fn is_active(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_none() && !wait::job_completed(Some(job)) && !wait::job_failed(Some(job))
}

/// [sig-apps] Job should delete a job [Conformance]
#[tokio::test(start_paused = true)]
async fn a_job_is_deleted_with_its_pods() {
    let world = World::start().await;
    let foo: Arc<Job> = world.add(job("foo", json!({}))).await;
    world.so_many(2).await;
    let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    assert!(world.0.client().remove_with::<Job>(&key("foo"), &background).await.is_ok());
    world.until::<Job>(&key("foo"), wait::deleted(foo.uid())).await;
    world.until_all::<Pod>(<[_]>::is_empty).await;
}

/// [sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_job_adopts_orphans_that_match_and_releases_pods_that_do_not() {
    let world = World::start().await;
    let owner: Arc<Job> = world.add(job("adopt-release", json!({}))).await;
    let pods = world.so_many(2).await;
    let pod = pods[0].key();
    let client = world.0.client();
    client.modify::<Pod, _>(&pod, |pod| pod.metadata.owner_references = None).await.unwrap();
    let adopted = |pod: Option<&Pod>| pod.is_some_and(|pod| owner::is_controlled_by(&pod.metadata, owner.uid()));
    world.until::<Pod>(&pod, adopted).await;
    client.modify::<Pod, _>(&pod, |pod| pod.metadata.labels = None).await.unwrap();
    let released = |pod: Option<&Pod>| pod.is_some_and(|pod| owner::controller_of(&pod.metadata).is_none());
    let released = world.until::<Pod>(&pod, released).await.unwrap();
    assert!(released.metadata.finalizers.as_ref().is_none_or(Vec::is_empty), "nobody waits to count it");
}

/// [sig-apps] Job should apply changes to a job status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_job_is_patched_updated_and_read() {
    let world = World::start().await;
    let made: Arc<Job> = world.add(job("suspend-false-to-true", json!({}))).await;
    world.so_many(2).await;
    let (client, key) = (world.0.client(), key("suspend-false-to-true"));
    let condition = |at: &str| json!([{"type": "CustomConditionType", "status": "True", "lastTransitionTime": at}]);
    let patch = json!({"metadata": {"annotations": {"patchedstatus": "true"}},
        "status": {"conditions": condition("2026-01-01T00:00:00Z")}});
    let patched = client.merge_status::<Job>(&key, patch).await.unwrap();
    assert_eq!(json!(patched.status)["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(patched.metadata.annotations.as_ref().unwrap()["patchedstatus"], "true");
    let updated = loop {
        let mut job = Job::clone(&*client.read::<Job>(&key).await.unwrap());
        job.status.as_mut().unwrap().conditions = from_value(condition("2026-01-02T00:00:00Z")).unwrap();
        match client.replace_status(&job).await {
            Err(error) if error.is_conflict() => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(json!(updated.status)["conditions"][0]["lastTransitionTime"], "2026-01-02T00:00:00Z");
    let read = client.get(&Job::gvr(), &key, Some("status")).await.unwrap();
    assert_eq!(&*read.meta.uid, made.uid());
    // Nobody takes it away again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(wait::condition_true::<Job>("CustomConditionType")(Some(&client.read::<Job>(&key).await.unwrap())));
}

/// [sig-apps] Job should manage the lifecycle of a job [Conformance]
#[tokio::test(start_paused = true)]
async fn a_job_is_suspended_patched_resumed_completed_and_deleted_by_label() {
    let world = World::start().await;
    let client = world.0.client();
    let label =
        ListOptions { namespace: "default".into(), labels: "e2e-job-label=e2e-1".into(), ..ListOptions::default() };
    let mut suspended = job("e2e-1", runs_for("1"));
    suspended["metadata"]["labels"] = json!({"e2e-job-label": "e2e-1"});
    suspended["spec"]["suspend"] = json!(true);
    let made: Arc<Job> = world.add(suspended).await;
    let revision = made.metadata.resource_version.as_ref().unwrap().parse().unwrap();
    let options = WatchOptions { after: Some(Revision(revision)), ..WatchOptions::default() };
    let mut events = client.follow::<Job>(&options).await.unwrap();
    client.merge::<Job>(&key("e2e-1"), json!({"metadata": {"labels": {"e2e-1": "patched"}}})).await.unwrap();
    let updated = client
        .modify::<Job, _>(&key("e2e-1"), |job| {
            job.spec.as_mut().unwrap().suspend = Some(false);
            job.metadata.annotations.get_or_insert_default().insert("updated".into(), "true".into());
        })
        .await
        .unwrap();
    assert_eq!(updated.metadata.labels.as_ref().unwrap()["e2e-1"], "patched");
    assert_eq!(client.select::<Job>(&label).await.unwrap().len(), 1);
    let done = world.until::<Job>(&key("e2e-1"), wait::job_completed).await.unwrap();
    let status = json!(done.status);
    assert_eq!(status["succeeded"], 4);
    let complete = status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Complete").unwrap();
    assert_eq!(complete["reason"], "CompletionsReached");
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    client.delete_collection(&Job::gvr(), &label, &options).await.unwrap();
    let (mut patched, mut deleted) = (false, false);
    while !deleted {
        match events.next().await.unwrap().unwrap() {
            TypedEvent::Modified(job) => {
                patched |= job.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("e2e-1"));
            }
            TypedEvent::Deleted(_) => deleted = true,
            _ => {}
        }
    }
    assert!(patched);
    assert!(client.select::<Job>(&label).await.unwrap().is_empty());
}

/// [sig-apps] CronJob should schedule multiple jobs concurrently [Conformance]
#[tokio::test(start_paused = true)]
async fn jobs_run_beside_each_other() {
    let world = World::start().await;
    world.add::<CronJob>(cron_job("concurrent", "Allow")).await;
    world.active("concurrent", 2).await;
    assert!(world.all::<Job>().await.iter().filter(|job| is_active(job)).count() >= 2);
}

/// [sig-apps] CronJob should not schedule jobs when suspended [Conformance] [Slow]
#[tokio::test(start_paused = true)]
async fn a_suspended_cron_job_starts_nothing() {
    let world = World::start().await;
    let mut suspended = cron_job("suspended", "Allow");
    suspended["spec"]["suspend"] = json!(true);
    world.add::<CronJob>(suspended).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let cron = world.0.client().read::<CronJob>(&key("suspended")).await.unwrap();
    assert!(cron.status.as_ref().is_none_or(|status| status.active.is_none()));
    assert!(world.all::<Job>().await.is_empty());
}

/// [sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Conformance] [Slow]
#[tokio::test(start_paused = true)]
async fn a_job_that_runs_forbids_the_next() {
    let world = World::start().await;
    world.add::<CronJob>(cron_job("forbid", "Forbid")).await;
    let first = world.active("forbid", 1).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(world.active("forbid", 1).await, first);
        assert_eq!(world.all::<Job>().await.iter().filter(|job| is_active(job)).count(), 1);
    }
}

/// [sig-apps] CronJob should replace jobs when ReplaceConcurrent [Conformance]
#[tokio::test(start_paused = true)]
async fn a_job_that_runs_is_replaced_by_the_next() {
    let world = World::start().await;
    world.add::<CronJob>(cron_job("replace", "Replace")).await;
    let first = world.active("replace", 1).await;
    let jobs = world
        .until_all::<Job>(|jobs| jobs.iter().any(|job| is_active(job) && job.metadata.name.as_ref() != first.first()))
        .await;
    assert_eq!(jobs.iter().filter(|job| is_active(job)).count(), 1);
    world.until::<Job>(&key(&first[0]), |job| job.is_none()).await;
    let events = world.all::<Event>().await;
    let cron = reference(&*world.0.client().read::<CronJob>(&key("replace")).await.unwrap());
    let of_cron = events.iter().filter(|event| event.involved_object.uid == cron.uid);
    let reasons: Vec<&str> = of_cron.filter_map(|event| event.reason.as_deref()).collect();
    assert!(reasons.contains(&"SuccessfulDelete") && !reasons.contains(&"MissingJob"), "{reasons:?}");
}
