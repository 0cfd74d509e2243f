//! Figures of a cluster in this process: no HTTP, no disk.

use super::{
    Result, Row, Samples, Unit,
    objects::{self, Make, NOBODY},
    proc::Process,
    stats::milliseconds,
};
use crate::Cluster;
use futures::{StreamExt, future::try_join_all};
use orch_api::{Gvr, Key};
use orch_store::{
    Client, ClientExt, Tasks,
    client::{Patch, WatchEvent, WatchOptions, WriteOptions},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const CREATES: usize = 20_000;
const STORED: usize = 10_000;
const SCHEDULED: usize = 5_000;
/// Clusters that live in one process at the same time, each as a test would have it.
const CLUSTERS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(300);

const CONFIG_MAPS: Gvr = Gvr::of("", "v1", "configmaps");
const PODS: Gvr = Gvr::of("", "v1", "pods");
const NODES: Gvr = Gvr::of("", "v1", "nodes");

/// From nothing to serving, the first time and again.
pub(super) async fn start(show: &mut dyn FnMut(Row)) -> Result<()> {
    let (before, own_before) = (Process::this().resident()?, Process::this().own()?);
    let (cluster, first) = serving().await?;
    let memory = Process::this().resident()?.saturating_sub(before);
    let own = Process::this().own()?.saturating_sub(own_before);
    cluster.stop().await;
    let mut again = Vec::new();
    for _ in 0..10 {
        let (cluster, took) = serving().await?;
        again.push(took);
        cluster.stop().await;
    }
    let detail = format!("the first in this process; again: {}", Samples::new(again).words());
    let row = Row::new("in process: cluster start to serving", first.as_secs_f64() * 1e3, Unit::Milliseconds);
    show(row.budget(20.0).kubernetes(2900.0).detail(detail));
    show(
        Row::new("in process: memory of a cluster", memory as f64 / 1e6, Unit::Megabytes)
            .budget(20.0)
            .kubernetes(504.0)
            .detail(format!("of which {:.1} MB are its own; the rest is the text of the program", own as f64 / 1e6)),
    );
    Ok(())
}

/// Many clusters at once, as a large test suite has them.
pub(super) async fn many(show: &mut dyn FnMut(Row)) -> Result<()> {
    let (first, _) = serving().await?;
    let before = Process::this().resident()?;
    let began = Instant::now();
    let clusters = try_join_all((0..CLUSTERS).map(|_| serving())).await?;
    let took = began.elapsed();
    let memory = Process::this().resident()?.saturating_sub(before) as f64 / CLUSTERS as f64;
    let began = Instant::now();
    futures::future::join_all(clusters.into_iter().map(|(cluster, _)| cluster.stop())).await;
    let stopped = milliseconds(began.elapsed());
    first.stop().await;
    let each = took.as_secs_f64() * 1e3 / CLUSTERS as f64;
    let row = Row::new(format!("in process: start of each of {CLUSTERS} clusters"), each, Unit::Milliseconds);
    show(row.budget(20.0).detail(format!("all of them: {}; stopped in {stopped}", milliseconds(took))));
    let row = Row::new(format!("in process: memory of each of {CLUSTERS} clusters"), memory / 1e6, Unit::Megabytes);
    show(row.budget(20.0).detail("beside what the first one needs"));
    Ok(())
}

/// A cluster that has admitted its first pod: the service account is there, all controllers run.
async fn serving() -> Result<(Cluster, Duration)> {
    let started = Instant::now();
    let cluster = Cluster::builder().build().await?;
    let client = cluster.client();
    account(&cluster).await?;
    create(&*client, &PODS, "first", objects::pod("first", NOBODY)).await?;
    Ok((cluster, started.elapsed()))
}

pub(super) async fn account(cluster: &Cluster) -> Result<()> {
    use k8s_openapi::api::core::v1::ServiceAccount;
    let client = cluster.client();
    let key = Key::new("default", "default");
    let there = client.wait_for::<ServiceAccount, _>(&key, |account| account.is_some());
    tokio::time::timeout(PATIENCE, there).await??;
    Ok(())
}

/// Creates through the client, by one task and by many.
pub(super) async fn creates(show: &mut dyn FnMut(Row)) -> Result<()> {
    let pod = |name: &str| objects::pod(name, NOBODY);
    let kinds: [(&str, Gvr, &Make); 2] = [("ConfigMap", CONFIG_MAPS, &objects::config_map), ("Pod", PODS, &pod)];
    for (kind, resource, object) in kinds {
        for tasks in [1, 32] {
            let (cluster, _) = serving().await?;
            let (samples, took) = create_many(&cluster, &resource, tasks, CREATES, object).await?;
            let rate = CREATES as f64 / took.as_secs_f64();
            let name = format!("in process: create {kind}, {tasks} task(s)");
            show(Row::new(name, rate, Unit::PerSecond).budget(50_000.0).detail(samples.words()));
            cluster.stop().await;
        }
    }
    Ok(())
}

async fn create(client: &dyn Client, resource: &Gvr, name: &str, object: Value) -> Result<()> {
    let namespace = if *resource == NODES { "" } else { "default" };
    client.create(resource, &Key::new(namespace, name), None, object, &WriteOptions::default()).await?;
    Ok(())
}

async fn create_many(
    cluster: &Cluster,
    resource: &Gvr,
    tasks: usize,
    count: usize,
    object: &(dyn Fn(&str) -> Value + Sync),
) -> Result<(Samples, Duration)> {
    let bodies: Vec<(String, Value)> = (0..count).map(|n| format!("o-{n}")).map(|n| (n.clone(), object(&n))).collect();
    let shares: Vec<Vec<(String, Value)>> = bodies.chunks(count.div_ceil(tasks)).map(<[_]>::to_vec).collect();
    drop(bodies);
    let runner = Tasks::new();
    let started = Instant::now();
    let work = shares.into_iter().map(|share| {
        let (client, resource) = (cluster.client(), resource.clone());
        let (done, result) = tokio::sync::oneshot::channel();
        runner.spawn(async move { drop(done.send(create_all(client, &resource, share).await)) });
        async move { result.await? }
    });
    let all = try_join_all(work).await?.concat();
    Ok((Samples::new(all), started.elapsed()))
}

async fn create_all(client: Arc<dyn Client>, resource: &Gvr, share: Vec<(String, Value)>) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(share.len());
    for (name, body) in share {
        let began = Instant::now();
        create(&*client, resource, &name, body).await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

/// From the call that commits to the last watcher.
pub(super) async fn fan_out(show: &mut dyn FnMut(Row)) -> Result<()> {
    for watchers in [1, 1_000] {
        let cluster = Cluster::builder().without_controllers().build().await?;
        let client = cluster.client();
        let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        let after = client.list(&CONFIG_MAPS, &Default::default()).await?.revision;
        for _ in 0..watchers {
            let options = WatchOptions { namespace: "default".into(), after: Some(after), ..Default::default() };
            let mut events = client.watch(&CONFIG_MAPS, &options).await?;
            let arrived = arrived.clone();
            cluster.ambient().tasks.spawn(async move {
                while let Some(Ok(WatchEvent::Added(_))) = events.next().await {
                    let _gone = arrived.send(Instant::now());
                }
            });
        }
        let mut took = Vec::new();
        for round in 0..300 {
            let name = format!("mark-{round}");
            let began = Instant::now();
            create(&*client, &CONFIG_MAPS, &name, objects::config_map(&name)).await?;
            let mut last = began;
            for _ in 0..watchers {
                let at = tokio::time::timeout(PATIENCE, arrivals.recv()).await?;
                last = last.max(at.ok_or("the watchers ended")?);
            }
            took.push(last - began);
        }
        cluster.stop().await;
        let samples = Samples::new(took);
        let name = format!("in process: create to the last of {watchers} watcher(s), p99");
        let row = Row::new(name, samples.quantile(0.99).as_secs_f64() * 1e3, Unit::Milliseconds);
        show(row.budget(5.0).detail(samples.words()));
    }
    Ok(())
}

/// The scheduler alone: pods and nodes are there before it starts.
pub(super) async fn schedule(nodes: usize, show: &mut dyn FnMut(Row)) -> Result<()> {
    let cluster = Cluster::builder().without_controllers().build().await?;
    let client = cluster.client();
    let account = serde_json::json!({"metadata": {"name": "default"}});
    create(&*client, &Gvr::of("", "v1", "serviceaccounts"), "default", account).await?;
    create_many(&cluster, &NODES, 1, nodes, &objects::node).await?;
    admit_pods(&*client).await?;
    create_many(&cluster, &PODS, 1, SCHEDULED, &|name| objects::pod(name, "default-scheduler")).await?;
    let options = WatchOptions { fields: "spec.nodeName!=".into(), ..Default::default() };
    let mut bound = client.watch(&PODS, &options).await?;
    let ambient = cluster.ambient().clone();
    let profiles = vec![orch_controllers::scheduler::default_profile()];
    let started = Instant::now();
    let scheduler = orch_controllers::scheduler::run(profiles, cluster.informers().clone(), ambient.clone());
    ambient.tasks.spawn(scheduler);
    let mut count = 0;
    while count < SCHEDULED {
        match tokio::time::timeout(PATIENCE, bound.next()).await? {
            Some(Ok(WatchEvent::Added(_))) => count += 1,
            Some(Ok(_)) => {}
            _ => return Err("the watch of bound pods ended".into()),
        }
    }
    let took = started.elapsed();
    cluster.stop().await;
    let name = format!("in process: {SCHEDULED} pods onto {nodes} nodes");
    let row = Row::new(name, SCHEDULED as f64 / took.as_secs_f64(), Unit::PerSecond);
    let row = row.detail(format!("from the scheduler's start to the last binding: {}", milliseconds(took)));
    show(if nodes >= 5_000 { row.budget(8_000.0) } else { row.kubernetes(292.0) });
    Ok(())
}

/// Lifts the taint that admission puts on every new node; no controller is here to do it.
async fn admit_pods(client: &dyn Client) -> Result<()> {
    for node in client.list(&NODES, &Default::default()).await?.items {
        let untainted = Patch::Merge(serde_json::json!({"spec": {"taints": null}}));
        client.patch(&NODES, &node.key, None, untainted, &WriteOptions::default()).await?;
    }
    Ok(())
}

/// Memory of each stored object beyond its JSON, with all controllers running.
pub(super) async fn memory(show: &mut dyn FnMut(Row)) -> Result<()> {
    let pod = |name: &str| objects::pod(name, NOBODY);
    let kinds: [(&str, Gvr, &Make); 2] = [("ConfigMap", CONFIG_MAPS, &objects::config_map), ("Pod", PODS, &pod)];
    for (kind, resource, object) in kinds {
        let (cluster, _) = serving().await?;
        let before = Process::this().resident()?;
        for number in 0..STORED {
            let name = format!("o-{number}");
            create(&*cluster.client(), &resource, &name, object(&name)).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let grown = Process::this().resident()?.saturating_sub(before) as f64 / STORED as f64;
        let page = cluster.client().list(&resource, &Default::default()).await?;
        let json = page.items.iter().map(|o| o.json.len()).sum::<usize>() as f64 / page.items.len().max(1) as f64;
        drop(page);
        cluster.stop().await;
        let row = Row::new(format!("in process: memory per stored {kind}"), grown, Unit::Bytes).budget(json + 600.0);
        show(row.detail(format!("of which {json:.0} are its JSON")));
    }
    Ok(())
}
