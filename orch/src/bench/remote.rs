//! Figures of any API server over HTTPS. Everything happens in one namespace that is deleted afterwards, and on
//! nodes that carry a label of their own.

use super::{
    Result, Row, Samples, Unit,
    http::{Connection, Endpoint},
    objects::{self, LABEL, Make, NOBODY},
    stats::milliseconds,
};
use futures::future::try_join_all;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Creates with one client, and with many.
const ALONE: usize = 1_000;
const TOGETHER: usize = 10_000;
const CLIENTS: usize = 32;
/// How many objects are listed.
const LISTED: usize = 10_000;
/// How often a quick request is repeated.
const REPEATS: usize = 1_000;
/// HTTP/2 streams per connection, below what servers allow.
const STREAMS: usize = 100;
const PODS_TO_SCHEDULE: usize = 5_000;
const REPLICAS: u32 = 1_000;
/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(300);

/// A namespace for one run.
pub(super) struct Scratch {
    pub(super) endpoint: Endpoint,
    name: String,
}

impl Scratch {
    /// Makes the namespace and waits for its service account, without which no pod is admitted.
    pub(super) async fn new(endpoint: &Endpoint) -> Result<Self> {
        let name = format!("orch-bench-{}", orch_store::Chance::from_os().suffix(6));
        let mut connection = endpoint.connect().await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        connection.post("/api/v1/namespaces", &namespace).await?;
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts?watch=1");
        let mut accounts = connection.watch(&path).await?;
        tokio::time::timeout(PATIENCE, accounts.next()).await??;
        Ok(Self { endpoint: endpoint.clone(), name })
    }

    fn path(&self, resource: &str) -> String {
        let group = if resource == "deployments" { "apis/apps" } else { "api" };
        format!("/{group}/v1/namespaces/{}/{resource}", self.name)
    }

    /// Removes everything; what no node agent will ever confirm is removed at once.
    async fn remove(self) -> Result<()> {
        let mut connection = self.endpoint.connect().await?;
        connection.send(Method::DELETE, &self.path("deployments"), None).await?;
        connection.send(Method::DELETE, &(self.path("pods") + "?gracePeriodSeconds=0"), None).await?;
        connection.send(Method::DELETE, &format!("/api/v1/namespaces/{}", self.name), None).await?;
        Ok(())
    }
}

/// Creates objects over some connections at once; how long each create took.
pub(super) async fn create_many(
    scratch: &Scratch,
    resource: &str,
    clients: usize,
    count: usize,
    object: &(dyn Fn(&str) -> Value + Sync),
) -> Result<(Samples, Duration)> {
    let run = orch_store::Chance::from_os().suffix(5);
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(scratch.endpoint.connect().await?);
    }
    let path = scratch.path(resource);
    let started = Instant::now();
    let work = connections.iter_mut().enumerate().map(|(client, connection)| {
        let (path, run) = (&path, &run);
        async move {
            let mut took = Vec::new();
            for number in (client..count).step_by(clients) {
                let body = object(&format!("{run}-{number}"));
                let began = Instant::now();
                connection.post(path, &body).await?;
                took.push(began.elapsed());
            }
            Ok::<_, super::Failure>(took)
        }
    });
    let all = try_join_all(work).await?.concat();
    Ok((Samples::new(all), started.elapsed()))
}

pub(super) async fn creates(endpoint: &Endpoint, show: &mut dyn FnMut(Row)) -> Result<()> {
    let scratch = Scratch::new(endpoint).await?;
    let pod = |name: &str| objects::pod(name, NOBODY);
    let kinds: [(&str, &str, &Make); 2] = [("ConfigMap", "configmaps", &objects::config_map), ("Pod", "pods", &pod)];
    for (kind, resource, object) in kinds {
        for (clients, count) in [(1, ALONE), (CLIENTS, TOGETHER)] {
            let (samples, took) = create_many(&scratch, resource, clients, count, object).await?;
            let rate = samples.len() as f64 / took.as_secs_f64();
            let mut row = Row::new(format!("HTTPS: create {kind}, {clients} client(s)"), rate, Unit::PerSecond)
                .detail(samples.words());
            row = match (kind, clients) {
                ("Pod", 1) => row.kubernetes(256.0),
                ("Pod", _) => row.kubernetes(1129.0).budget(10_000.0),
                _ => row,
            };
            show(row);
        }
    }
    get(&scratch, show).await?;
    scratch.remove().await
}

async fn get(scratch: &Scratch, show: &mut dyn FnMut(Row)) -> Result<()> {
    let mut connection = scratch.endpoint.connect().await?;
    connection.post(&scratch.path("pods"), &objects::pod("one", NOBODY)).await?;
    let path = scratch.path("pods/one");
    let mut took = Vec::new();
    for _ in 0..REPEATS {
        let began = Instant::now();
        connection.send(Method::GET, &path, None).await?;
        took.push(began.elapsed());
    }
    let samples = Samples::new(took);
    show(ms("HTTPS: GET of a pod", samples.median()).kubernetes(1.1).detail(samples.words()));
    Ok(())
}

/// LIST of running pods, all and none of them.
pub(super) async fn list(endpoint: &Endpoint, show: &mut dyn FnMut(Row)) -> Result<()> {
    let scratch = Scratch::new(endpoint).await?;
    fill(&scratch).await?;
    let mut connection = endpoint.connect().await?;
    let path = scratch.path("pods");
    for (what, path) in [("", path.clone()), (", none selected", path + "?labelSelector=app%3Dnone")] {
        let (mut took, mut size) = (Vec::new(), 0);
        if let Some(process) = endpoint.process {
            process.forget_peak()?;
        }
        let before = endpoint.process.map(|p| p.resident()).transpose()?;
        for _ in 0..10 {
            let began = Instant::now();
            size = connection.send(Method::GET, &path, None).await?;
            took.push(began.elapsed());
        }
        let samples = Samples::new(took);
        let name = format!("HTTPS: LIST of {LISTED} pods{what}");
        let mut row = ms(&name, samples.median()).detail(format!("{}, {size} bytes", samples.words()));
        if what.is_empty() {
            row = row.budget(80.0).kubernetes(399.0);
        }
        show(row);
        if let (Some(process), Some(before)) = (endpoint.process, before) {
            let extra = process.peak()?.saturating_sub(before) as f64 / 1e6;
            let memory = Row::new(format!("{name}: extra memory"), extra, Unit::Megabytes);
            show(if what.is_empty() { memory.budget(1.0) } else { memory });
        }
    }
    if let Some(process) = endpoint.process {
        let memory = process.resident()? as f64 / 1e6;
        show(Row::new(format!("binary: memory with {LISTED} running pods"), memory, Unit::Megabytes).kubernetes(626.0));
    }
    scratch.remove().await
}

/// Creates pods that look as if they ran.
async fn fill(scratch: &Scratch) -> Result<()> {
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(scratch.endpoint.connect().await?);
    }
    let path = scratch.path("pods");
    let work = connections.iter_mut().enumerate().map(|(client, connection)| {
        let path = &path;
        async move {
            for number in (client..LISTED).step_by(CLIENTS) {
                let name = format!("listed-{number}");
                connection.post(path, &objects::pod(&name, NOBODY)).await?;
                let status = objects::running();
                connection.send(Method::PATCH, &format!("{path}/{name}/status"), Some(&status)).await?;
            }
            Ok::<_, super::Failure>(())
        }
    });
    try_join_all(work).await.map(drop)
}

/// From POST to the last of some watchers.
pub(super) async fn fan_out(endpoint: &Endpoint, show: &mut dyn FnMut(Row)) -> Result<()> {
    let scratch = Scratch::new(endpoint).await?;
    for (watchers, rounds) in [(1, 200), (100, 100), (1_000, 30)] {
        let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        let tasks = orch_store::Tasks::new();
        let path = scratch.path("configmaps") + "?watch=1&resourceVersion=0";
        let mut connection: Option<Connection> = None;
        for number in 0..watchers {
            if number % STREAMS == 0 {
                connection = Some(endpoint.connect_many().await?);
            }
            let mut own = connection.as_ref().ok_or("no connection")?.share()?;
            let mut lines = own.watch(&path).await?;
            let arrived = arrived.clone();
            tasks.spawn(async move {
                while let Ok(lines) = lines.next().await {
                    for line in lines {
                        if is_mark(&line) {
                            let _gone = arrived.send(Instant::now());
                        }
                    }
                }
            });
        }
        let mut writer = endpoint.connect().await?;
        let mut took = Vec::new();
        for round in 0..rounds {
            let mark = objects::config_map(&format!("mark-{watchers}-{round}"));
            let began = Instant::now();
            writer.post(&scratch.path("configmaps"), &mark).await?;
            let mut last = began;
            for _ in 0..watchers {
                let at = tokio::time::timeout(PATIENCE, arrivals.recv()).await?;
                last = last.max(at.ok_or("the watchers ended")?);
            }
            took.push(last - began);
            writer.send(Method::DELETE, &scratch.path(&format!("configmaps/mark-{watchers}-{round}")), None).await?;
        }
        tasks.stop().await;
        let samples = Samples::new(took);
        let row = ms(&format!("HTTPS: POST to the last of {watchers} watcher(s)"), samples.median());
        let row = row.detail(format!("{}; both ends on this machine", samples.words()));
        show(if watchers == 100 { row.kubernetes(5.9) } else { row });
    }
    scratch.remove().await
}

/// Whether a line tells of a new object of [`fan_out`].
fn is_mark(line: &[u8]) -> bool {
    is_added(line) && line.windows(6).any(|part| part == b"\"mark-")
}

fn is_added(line: &[u8]) -> bool {
    line.starts_with(br#"{"type":"ADDED""#)
}

/// From the first POST of many pods to the binding of the last.
pub(super) async fn schedule(endpoint: &Endpoint, nodes: usize, show: &mut dyn FnMut(Row)) -> Result<()> {
    let scratch = Scratch::new(endpoint).await?;
    let mut connection = endpoint.connect().await?;
    for number in 0..nodes {
        connection.post("/api/v1/nodes", &objects::node(&format!("orch-bench-{number}"))).await?;
    }
    let path = scratch.path("pods") + "?watch=1&fieldSelector=spec.nodeName%21%3D";
    let mut bound = endpoint.connect().await?.watch(&path).await?;
    let pod = |name: &str| objects::pod(name, "default-scheduler");
    let started = Instant::now();
    let follow = async {
        let mut count = 0;
        while count < PODS_TO_SCHEDULE {
            count += bound.next().await?.iter().filter(|line| is_added(line)).count();
        }
        Ok::<_, super::Failure>(started.elapsed())
    };
    let create = create_many(&scratch, "pods", CLIENTS, PODS_TO_SCHEDULE, &pod);
    let result = tokio::time::timeout(PATIENCE, async { tokio::join!(create, follow) }).await;
    let cleaned = connection.send(Method::DELETE, &format!("/api/v1/nodes?labelSelector={LABEL}%3Dtrue"), None).await;
    scratch.remove().await?;
    cleaned?;
    let (created, took) = result?;
    let (_, created_after) = created?;
    let rate = PODS_TO_SCHEDULE as f64 / took?.as_secs_f64();
    let row = Row::new(format!("HTTPS: {PODS_TO_SCHEDULE} pods onto {nodes} nodes"), rate, Unit::PerSecond);
    let detail = format!("from the first POST to the last binding; created after {}", milliseconds(created_after));
    show(row.kubernetes(292.0).detail(detail));
    Ok(())
}

/// A Deployment to created pods and, where nodes run them, to ready.
pub(super) async fn deployment(endpoint: &Endpoint, with_nodes: bool, show: &mut dyn FnMut(Row)) -> Result<()> {
    let scratch = Scratch::new(endpoint).await?;
    let mut pods = endpoint.connect().await?.watch(&(scratch.path("pods") + "?watch=1")).await?;
    let mut deployments = endpoint.connect().await?.watch(&(scratch.path("deployments") + "?watch=1")).await?;
    let scheduler = if with_nodes { "default-scheduler" } else { NOBODY };
    let mut connection = endpoint.connect().await?;
    let started = Instant::now();
    connection.post(&scratch.path("deployments"), &objects::deployment("wide", REPLICAS, scheduler)).await?;
    let created = async {
        let mut count = 0;
        while count < REPLICAS as usize {
            count += pods.next().await?.iter().filter(|line| is_added(line)).count();
        }
        Ok::<_, super::Failure>(started.elapsed())
    };
    let ready = async {
        let mut replicas = if with_nodes { 0 } else { REPLICAS };
        while replicas < REPLICAS {
            replicas = deployments.next().await?.iter().map(|line| ready_replicas(line)).max().unwrap_or(0);
        }
        Ok::<_, super::Failure>(started.elapsed())
    };
    let result = tokio::time::timeout(PATIENCE, async { tokio::join!(created, ready) }).await;
    scratch.remove().await?;
    let (created, ready) = result?;
    let row = ms(&format!("HTTPS: Deployment of {REPLICAS} to created pods"), created?);
    show(row.kubernetes(1580.0));
    if with_nodes {
        show(ms(&format!("HTTPS: Deployment of {REPLICAS} to ready on simulated nodes"), ready?));
    }
    Ok(())
}

fn ready_replicas(line: &[u8]) -> u32 {
    #[derive(Deserialize)]
    struct Event {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        #[serde(default)]
        status: Status,
    }
    #[derive(Deserialize, Default)]
    struct Status {
        #[serde(default, rename = "readyReplicas")]
        ready: u32,
    }
    serde_json::from_slice::<Event>(line).map_or(0, |event| event.object.status.ready)
}

fn ms(name: &str, duration: Duration) -> Row {
    Row::new(name, duration.as_secs_f64() * 1e3, Unit::Milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_replicas_are_read_from_an_event() {
        let line = br#"{"type":"MODIFIED","object":{"kind":"Deployment","status":{"readyReplicas":7}}}"#;
        assert_eq!(ready_replicas(line), 7);
        assert_eq!(ready_replicas(br#"{"type":"ADDED","object":{"kind":"Deployment"}}"#), 0);
    }

    #[test]
    fn only_new_marks_are_counted() {
        assert!(is_mark(br#"{"type":"ADDED","object":{"metadata":{"name":"mark-1-0"}}}"#));
        assert!(!is_mark(br#"{"type":"DELETED","object":{"metadata":{"name":"mark-1-0"}}}"#));
        assert!(!is_mark(br#"{"type":"ADDED","object":{"metadata":{"name":"kube-root-ca.crt"}}}"#));
    }
}
