//! Figures of workloads at size, in this process: how fast they come and go, and what each object costs.

use super::{Result, Row, Unit, local, objects, proc::Process};
use crate::Cluster;
use futures::{StreamExt, TryStreamExt, stream};
use orch_api::{Gvr, Key};
use orch_node::{
    agent::Machine,
    simulated::{FleetConfig, Rules},
};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Patch, Propagation, WatchEvent, WatchOptions, WatchStream, WriteOptions},
};
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Replicas of the large Deployment, and completions of the large Job.
const LARGE: usize = 10_000;
/// Deployments that are rolled at once, and the replicas of each.
const ROLLED: (usize, usize) = (1_000, 10);
/// Objects of the Namespace that is deleted.
const IN_NAMESPACE: usize = 50_000;
/// Dependents of the owner that is deleted.
const DEPENDENTS: usize = 100_000;
/// Nodes of the large DaemonSet.
const DAEMON_NODES: u32 = 5_000;
const NODES: u32 = 150;
/// How often each node renews its lease.
const LEASE_INTERVAL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(600);
/// Writes under way at once while something is prepared.
const AT_ONCE: usize = 32;

const CONFIG_MAPS: Gvr = Gvr::of("", "v1", "configmaps");
const DAEMON_SETS: Gvr = Gvr::of("apps", "v1", "daemonsets");
const DEPLOYMENTS: Gvr = Gvr::of("apps", "v1", "deployments");
const EVENTS: Gvr = Gvr::of("", "v1", "events");
const JOBS: Gvr = Gvr::of("batch", "v1", "jobs");
const NAMESPACES: Gvr = Gvr::of("", "v1", "namespaces");
const NODE_OBJECTS: Gvr = Gvr::of("", "v1", "nodes");
const PODS: Gvr = Gvr::of("", "v1", "pods");

/// What a stretch of work costs.
struct Meter {
    client: Arc<dyn Client>,
    began: Instant,
    cpu: Duration,
    writes: u64,
    events: usize,
    /// Writes per second of a cluster that does nothing: the heartbeats of its nodes.
    idle: f64,
}

impl Meter {
    async fn start(client: &Arc<dyn Client>) -> Result<Self> {
        let (writes, events) = written(&**client).await?;
        let cpu = Process::this().cpu()?;
        Ok(Self { client: client.clone(), began: Instant::now(), cpu, writes, events, idle: 0.0 })
    }

    /// The figure for so many objects; `least` says how many writes for each nobody could do without.
    async fn row(&self, name: String, count: usize, least: &str) -> Result<Row> {
        let took = self.began.elapsed();
        let cpu = Process::this().cpu()?.saturating_sub(self.cpu).as_secs_f64() * 1e6 / count as f64;
        let (writes, events) = written(&*self.client).await?;
        let each = |n: u64| n as f64 / count as f64;
        let events = each(events.saturating_sub(self.events) as u64);
        let beats = (self.idle * took.as_secs_f64()) as u64;
        let writes = each(writes.saturating_sub(self.writes + beats)) - events;
        let detail = format!(
            "in {:.2} s; each: {cpu:.0} us of processor time, {writes:.2} writes ({least}) and {events:.2} Events",
            took.as_secs_f64()
        );
        Ok(Row::new(name, count as f64 / took.as_secs_f64(), Unit::PerSecond).detail(detail))
    }
}

/// How many writes there were, and how many Events there are: both are counted by revisions.
async fn written(client: &dyn Client) -> Result<(u64, usize)> {
    let page = client.list(&EVENTS, &ListOptions::default()).await?;
    Ok((page.revision.0, page.items.len()))
}

/// A cluster with simulated nodes on which everything takes no time.
async fn cluster(nodes: u32) -> Result<Cluster> {
    let machine = Machine::default();
    let fleet = FleetConfig { nodes, prefix: "node-".into(), machine, rules: Rules::instant() };
    let cluster = Cluster::builder().fleet(fleet).build().await?;
    local::account(&cluster).await?;
    Ok(cluster)
}

async fn follow(client: &dyn Client, resource: &Gvr) -> Result<WatchStream> {
    let after = client.list(resource, &ListOptions { limit: 1, ..ListOptions::default() }).await?.revision;
    Ok(client.watch(resource, &WatchOptions { after: Some(after), ..WatchOptions::default() }).await?)
}

/// Waits until so many different objects have been seen in the state that is asked for.
async fn seen(events: &mut WatchStream, count: usize, is: impl Fn(&WatchEvent) -> Option<Arc<Stored>>) -> Result<()> {
    let mut names = HashSet::new();
    while names.len() < count {
        let event = tokio::time::timeout(PATIENCE, events.next()).await?.ok_or("the watch ended")??;
        if let Some(object) = is(&event) {
            names.insert(object.key.clone());
        }
    }
    Ok(())
}

fn added(event: &WatchEvent) -> Option<Arc<Stored>> {
    if let WatchEvent::Added(object) = event { Some(object.clone()) } else { None }
}

fn deleted(event: &WatchEvent) -> Option<Arc<Stored>> {
    if let WatchEvent::Deleted(object) = event { Some(object.clone()) } else { None }
}

/// A Deployment whose replicas are all of the newest template and available.
fn complete(event: &WatchEvent) -> Option<Arc<Stored>> {
    let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { return None };
    let tree: Value = object.parse().ok()?;
    let count = |field: &str| tree.pointer(&format!("/status/{field}")).and_then(Value::as_u64).unwrap_or(0);
    let wanted = tree.pointer("/spec/replicas").and_then(Value::as_u64)?;
    let counts = ["replicas", "updatedReplicas", "availableReplicas"].map(count);
    let current = tree.pointer("/metadata/generation").and_then(Value::as_u64) == Some(count("observedGeneration"));
    (current && counts == [wanted; 3]).then(|| object.clone())
}

async fn create(client: &dyn Client, resource: &Gvr, key: Key, object: Value) -> Result<()> {
    client.create(resource, &key, None, object, &WriteOptions::default()).await?;
    Ok(())
}

/// Creates many ConfigMaps.
async fn fill(client: &dyn Client, namespace: &str, count: usize, owners: &Value) -> Result<()> {
    let all = stream::iter(0..count).map(|number| {
        let name = format!("o-{number}");
        let mut object = objects::config_map(&name);
        object["metadata"]["ownerReferences"] = owners.clone();
        async move { create(client, &CONFIG_MAPS, Key::new(namespace, name), object).await }
    });
    all.buffer_unordered(AT_ONCE).try_collect().await
}

/// A Deployment of many replicas, from nothing to ready.
pub(super) async fn deployment(show: &mut dyn FnMut(Row)) -> Result<()> {
    let cluster = cluster(NODES).await?;
    let client = cluster.client();
    let (mut pods, mut deployments) = (follow(&*client, &PODS).await?, follow(&*client, &DEPLOYMENTS).await?);
    let meter = Meter::start(&client).await?;
    let object = objects::deployment("wide", LARGE as u32, "default-scheduler");
    create(&*client, &DEPLOYMENTS, Key::new("default", "wide"), object).await?;
    seen(&mut pods, LARGE, added).await?;
    let created = LARGE as f64 / meter.began.elapsed().as_secs_f64();
    seen(&mut deployments, 1, complete).await?;
    let row = meter.row(format!("Deployment of {LARGE}: ready"), LARGE, "least 3: made, bound, running").await?;
    cluster.stop().await;
    show(Row::new(format!("Deployment of {LARGE}: pods created"), created, Unit::PerSecond).kubernetes(633.0));
    show(row);
    Ok(())
}

/// Many Deployments that get another template at once.
pub(super) async fn rollout(show: &mut dyn FnMut(Row)) -> Result<()> {
    let (count, replicas) = ROLLED;
    let cluster = cluster(NODES).await?;
    let client = cluster.client();
    let mut deployments = follow(&*client, &DEPLOYMENTS).await?;
    let names: Vec<Key> = (0..count).map(|n| Key::new("default", format!("d-{n}"))).collect();
    for key in &names {
        let object = objects::deployment(&key.name, replicas as u32, "default-scheduler");
        create(&*client, &DEPLOYMENTS, key.clone(), object).await?;
    }
    seen(&mut deployments, count, complete).await?;
    let mut deployments = follow(&*client, &DEPLOYMENTS).await?;
    let meter = Meter::start(&client).await?;
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"rolled": "once"}}}}});
    let patches = stream::iter(&names).map(|key| {
        let (client, change) = (&client, change.clone());
        async move {
            client.patch(&DEPLOYMENTS, key, None, Patch::Merge(change), &WriteOptions::default()).await?;
            Ok::<_, super::Failure>(())
        }
    });
    patches.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    seen(&mut deployments, count, complete).await?;
    let name = format!("{count} Deployments of {replicas} rolled at once: pods");
    let row = meter.row(name, count * replicas, "least 5: made, bound, running, ended, gone").await?;
    cluster.stop().await;
    show(row);
    Ok(())
}

/// A Job of many completions.
pub(super) async fn job(show: &mut dyn FnMut(Row)) -> Result<()> {
    let cluster = cluster(NODES).await?;
    let client = cluster.client();
    let meter = Meter::start(&client).await?;
    create(&*client, &JOBS, Key::new("default", "wide"), objects::job("wide", LARGE, LARGE / 10)).await?;
    let mut jobs = follow(&*client, &JOBS).await?;
    let is_complete = |event: &WatchEvent| {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { return None };
        let tree: Value = object.parse().ok()?;
        tree.pointer("/status/completionTime").map(|_| object.clone())
    };
    seen(&mut jobs, 1, is_complete).await?;
    let least = "least 4: made, bound, ended, counted";
    let row = meter.row(format!("Job of {LARGE} completions"), LARGE, least).await?;
    cluster.stop().await;
    show(row);
    Ok(())
}

/// A DaemonSet whose pods are all ready.
pub(super) async fn daemon_set(show: &mut dyn FnMut(Row)) -> Result<()> {
    let count = DAEMON_NODES as usize;
    let cluster = cluster(DAEMON_NODES).await?;
    let client = cluster.client();
    let idle = settled(&*client, count).await?;
    let (mut pods, mut sets) = (follow(&*client, &PODS).await?, follow(&*client, &DAEMON_SETS).await?);
    let meter = Meter { idle, ..Meter::start(&client).await? };
    create(&*client, &DAEMON_SETS, Key::new("default", "everywhere"), objects::daemon_set("everywhere")).await?;
    seen(&mut pods, count, added).await?;
    let created = count as f64 / meter.began.elapsed().as_secs_f64();
    let is_ready = |event: &WatchEvent| {
        let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { return None };
        let tree: Value = object.parse().ok()?;
        let ready = tree.pointer("/status/numberReady").and_then(Value::as_u64);
        (ready == Some(DAEMON_NODES.into())).then(|| object.clone())
    };
    seen(&mut sets, 1, is_ready).await?;
    let least = "least 3 beside heartbeats: made, bound, running";
    let row = meter.row(format!("DaemonSet on {count} nodes: ready"), count, least).await?;
    cluster.stop().await;
    show(Row::new(format!("DaemonSet on {count} nodes: pods created"), created, Unit::PerSecond));
    show(row);
    Ok(())
}

/// Waits until all nodes are ready and nobody keeps pods away from them; then how many writes a second there are.
async fn settled(client: &dyn Client, nodes: usize) -> Result<f64> {
    let is_open = |node: &Arc<Stored>| {
        let tree: Value = node.parse().unwrap_or_default();
        let conditions = tree.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let is_ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        is_ready && tree.pointer("/spec/taints").is_none()
    };
    let began = Instant::now();
    while client.list(&NODE_OBJECTS, &ListOptions::default()).await?.items.iter().filter(|n| is_open(n)).count() < nodes
    {
        if began.elapsed() > PATIENCE {
            return Err("the nodes are not ready".into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::sleep(LEASE_INTERVAL).await;
    let (before, _) = written(client).await?;
    tokio::time::sleep(LEASE_INTERVAL).await;
    let (after, _) = written(client).await?;
    Ok(after.saturating_sub(before) as f64 / LEASE_INTERVAL.as_secs_f64())
}

/// A Namespace that goes with everything in it.
pub(super) async fn namespace(show: &mut dyn FnMut(Row)) -> Result<()> {
    let cluster = cluster(0).await?;
    let client = cluster.client();
    let key = Key::cluster("full");
    create(&*client, &NAMESPACES, key.clone(), json!({"metadata": {"name": "full"}})).await?;
    fill(&*client, "full", IN_NAMESPACE, &Value::Null).await?;
    let mut namespaces = follow(&*client, &NAMESPACES).await?;
    let meter = Meter::start(&client).await?;
    client.delete(&NAMESPACES, &key, &DeleteOptions::default()).await?;
    seen(&mut namespaces, 1, deleted).await?;
    let name = format!("Namespace with {IN_NAMESPACE} objects: gone");
    let row = meter.row(name, IN_NAMESPACE, "least 1").await?;
    cluster.stop().await;
    show(row);
    Ok(())
}

/// What goes after its owner.
pub(super) async fn dependents(show: &mut dyn FnMut(Row)) -> Result<()> {
    let cluster = cluster(0).await?;
    let client = cluster.client();
    let key = Key::new("default", "owner");
    let made = client.create(&CONFIG_MAPS, &key, None, objects::config_map("owner"), &WriteOptions::default()).await?;
    let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": &*made.meta.uid}]);
    fill(&*client, "default", DEPENDENTS, &owners).await?;
    let mut gone = follow(&*client, &CONFIG_MAPS).await?;
    let meter = Meter::start(&client).await?;
    let background = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    client.delete(&CONFIG_MAPS, &key, &background).await?;
    seen(&mut gone, DEPENDENTS + 1, deleted).await?;
    let row = meter.row(format!("garbage: {DEPENDENTS} dependents gone"), DEPENDENTS, "least 1").await?;
    cluster.stop().await;
    show(row);
    Ok(())
}
