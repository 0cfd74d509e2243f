//! Times that never come, clocks that jump, nodes that come and go.

use super::*;
use jiff::SignedDuration;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::Node,
};

fn cron_job(name: &str, schedule: &str, more: Value) -> Value {
    let mut template = template("cron");
    template["spec"]["restartPolicy"] = json!("Never");
    let job = json!({"spec": {"template": template}});
    let mut cron = json!({"metadata": named(name), "spec": {"schedule": schedule, "jobTemplate": job}});
    more.as_object().unwrap().iter().for_each(|(field, value)| cron["spec"][field] = value.clone());
    cron
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_never_comes_is_said_once_and_a_zone_that_is_none_is_refused() {
    let world = World::start(1).await;
    world.add::<CronJob>(cron_job("never", "0 0 31 2 *", json!({}))).await;
    let words = "invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second";
    assert_eq!(world.event("InvalidSchedule").await, words);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.writes(&[CronJob::gvr(), Job::gvr(), Event::gvr()], HOUR * 24).await, 0);
    for (schedule, more, words) in [
        (
            "* * * * *",
            json!({"timeZone": "Nowhere/Land"}),
            "spec.timeZone: Invalid value: \"Nowhere/Land\": unknown time zone Nowhere/Land",
        ),
        (
            "60 * * * *",
            json!({}),
            "spec.schedule: Invalid value: \"60 * * * *\": end of range (60) above maximum (59): 60",
        ),
    ] {
        let cron = serde_json::from_value(cron_job("bad", schedule, more)).unwrap();
        let refused = world.0.client().add::<CronJob>(&cron).await.unwrap_err();
        assert_eq!(refused.message(), format!("CronJob.batch \"bad\" is invalid: {words}"));
    }
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_starts_no_job_twice_and_none_for_each_time_it_has_missed() {
    let world = World::start(1).await;
    world.add::<CronJob>(cron_job("hourly", "0 * * * *", json!({"successfulJobsHistoryLimit": 50}))).await;
    let mut forever = template("work");
    forever["spec"]["restartPolicy"] = json!("Never");
    world.add::<Job>(json!({"metadata": named("forever"), "spec": {"template": forever}})).await;
    world.add::<ReplicaSet>(replica_set("web", "web", 2)).await;
    let ready = |set: Option<&ReplicaSet>| {
        set.is_some_and(|set| json!(set).pointer("/status/readyReplicas") == Some(&json!(2)))
    };
    world.until::<ReplicaSet>(&key("web"), ready).await;
    let before = world.all::<Pod>().await;
    let clock = world.0.ambient().clock.clone();
    let started = async || world.all::<Job>().await.iter().filter(|job| controller(&***job) == "hourly").count();
    let pods: Vec<_> = before.iter().filter(|pod| !controller(&***pod).starts_with("hourly")).collect();

    clock.jump(SignedDuration::from_hours(10));
    tokio::time::sleep(HOUR).await;
    // One for the last of the ten that were missed, and one for the hour since.
    let after_leap = started().await;
    assert!((1..=2).contains(&after_leap), "{after_leap} jobs");

    clock.jump(SignedDuration::from_hours(-10));
    tokio::time::sleep(HOUR * 5).await;
    assert_eq!(started().await, after_leap, "these hours had their job");
    let quiet = world.writes(&[ReplicaSet::gvr(), Job::gvr(), CronJob::gvr()], HOUR).await;
    assert!(quiet <= 10, "{quiet} writes in an hour");
    for pod in pods {
        let now = world.0.client().read::<Pod>(&pod.key()).await.unwrap();
        assert_eq!((&now.metadata.uid, &now.metadata.deletion_timestamp), (&pod.metadata.uid, &None), "{}", pod.key());
    }
    world.0.stop().await;
}

/// What a kubelet does now and then.
async fn beat(world: &World) {
    let now = world.0.ambient().clock.now();
    let lease = Key::new("kube-node-lease", "n1");
    let renewed =
        json!({"spec": {"renewTime": format!("{now:.6}"), "holderIdentity": "n1", "leaseDurationSeconds": 40}});
    match world.0.client().find::<Lease>(&lease).await.unwrap() {
        Some(_) => world.patch::<Lease>(&lease, None, renewed).await,
        None => {
            let mut new = renewed;
            new["metadata"] = json!({"name": "n1", "namespace": "kube-node-lease"});
            world.add::<Lease>(new).await;
        }
    }
    let at = format!("{now:.0}");
    let condition = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": at, "lastTransitionTime": at});
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let (client, options) = (world.0.client(), WriteOptions::default());
    client.patch(&Node::gvr(), &Key::cluster("n1"), Some("status"), patch, &options).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_flaps_loses_no_pod_that_tolerates_it_for_long_enough() {
    // Where all nodes fell silent at once, nothing would be evicted at all.
    let world = World::start(2).await;
    world.add::<Node>(json!({"metadata": {"name": "n1"}})).await;
    beat(&world).await;
    let mut pod = template("web");
    pod["metadata"] = named("web");
    pod["spec"]["nodeName"] = json!("n1");
    world.add::<Pod>(pod).await;
    let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    world
        .patch::<Pod>(&key("web"), Some("status"), json!({"status": {"phase": "Running", "conditions": [ready]}}))
        .await;
    let is = |status: &'static str| {
        move |node: Option<&Node>| {
            node.is_some_and(|node| condition(node, "Ready").is_some_and(|(now, ..)| now == status))
        }
    };
    let mut writes = 0;
    for _ in 0..5 {
        for _ in 0..6 {
            beat(&world).await;
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        world.until::<Node>(&Key::cluster("n1"), is("True")).await;
        // It falls silent for less than the five minutes that pods tolerate.
        writes += world.writes(&[Pod::gvr()], Duration::from_secs(120)).await;
        let silent = world.until::<Node>(&Key::cluster("n1"), is("Unknown")).await.unwrap();
        assert_eq!(condition(&*silent, "Ready").unwrap().1, "NodeStatusUnknown");
        let pod = world.0.client().read::<Pod>(&key("web")).await.unwrap();
        assert_eq!(pod.metadata.deletion_timestamp, None);
    }
    assert!(writes <= 5, "{writes} writes: once each time it is said that the pod is not ready");
    // And then for longer.
    let going = |pod: Option<&Pod>| pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
    world.until::<Pod>(&key("web"), going).await;
    world.0.stop().await;
}
