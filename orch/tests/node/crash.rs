//! `kill -9` of orch under load: what was acknowledged is there afterwards, and containers never noticed.

use crate::namespaces::inside;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Service},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ORCH: &str = env!("CARGO_BIN_EXE_orch");
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn containers_and_objects_outlive_a_killed_orch() {
    if inside("crash::containers_and_objects_outlive_a_killed_orch") {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(story());
    }
}

async fn story() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::Builder::new().prefix("orch-crash-").tempdir().unwrap();
    let mark = format!("crash-{}", std::process::id());
    let mut orch = Orch::up(dir.path());
    let client = connect(dir.path()).await;
    let (deployments, services) = (Api::default_namespaced(client.clone()), Api::default_namespaced(client.clone()));
    deployments.create(&PostParams::default(), &deployment(&mark)).await.unwrap();
    let service = services.create(&PostParams::default(), &service()).await.unwrap();
    let address = SocketAddr::new(service.spec.as_ref().unwrap().cluster_ip.as_ref().unwrap().parse().unwrap(), 80);
    let before = ready_pods(&client).await;
    let processes = processes(&mark);
    assert_eq!(processes.len(), 3, "{processes:?}");
    until("an answer of the Service", async || ask(address).await.is_ok()).await;

    let load = Load::default();
    let asking = tokio::spawn(load.clone().ask(address));
    let writing = tokio::spawn(load.clone().write(client.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    orch.kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(self::processes(&mark), processes, "no container noticed");
    load.no_writes.store(true, Relaxed);
    let acknowledged = writing.await.unwrap();
    assert!(!acknowledged.is_empty());

    orch = Orch::up(dir.path());
    let client = connect(dir.path()).await;
    let found = Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.unwrap();
    let found: BTreeMap<_, _> = found.iter().map(|m| (m.metadata.name.clone().unwrap(), m.data.clone())).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|name| !found.contains_key(*name)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ready_pods(&client).await, before, "the same containers, never restarted");
    assert_eq!(self::processes(&mark), processes);
    load.no_requests.store(true, Relaxed);
    asking.await.unwrap();
    let (answers, failures) = (load.answers.load(Relaxed), load.failures.load(Relaxed));
    println!("{} writes acknowledged, {answers} requests answered, {failures} failed", acknowledged.len());
    assert!(answers > 100);
    assert_eq!(failures, 0);

    orch.end();
    assert_eq!(self::processes(&mark), processes, "an orderly end stops no container either");
    let down = Command::new(ORCH).args(["down", "--data-dir"]).arg(dir.path()).output().unwrap();
    assert!(down.status.success(), "{down:?}");
    assert_eq!(self::processes(&mark), Vec::<u32>::new());
}

/// A running `orch up`; removes its pods when a test fails.
struct Orch {
    child: Child,
    dir: std::path::PathBuf,
}

impl Orch {
    fn up(dir: &Path) -> Self {
        let mut child = Command::new(ORCH)
            .args(["up", "--listen", "127.0.0.1:16443", "--runtime", "oci", "--data-dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("orch is ready"), "{line:?}");
        Self { child, dir: dir.to_owned() }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Orch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = Command::new(ORCH).args(["down", "--data-dir"]).arg(&self.dir).status();
        }
    }
}

/// What goes on while orch is killed.
#[derive(Clone, Default)]
struct Load {
    no_requests: Arc<AtomicBool>,
    no_writes: Arc<AtomicBool>,
    answers: Arc<AtomicU32>,
    failures: Arc<AtomicU32>,
}

impl Load {
    /// Asks the Service again and again.
    async fn ask(self, address: SocketAddr) {
        while !self.no_requests.load(Relaxed) {
            match ask(address).await {
                Ok(()) => self.answers.fetch_add(1, Relaxed),
                Err(error) => {
                    println!("request failed: {error}");
                    self.failures.fetch_add(1, Relaxed)
                }
            };
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Creates objects until the first refusal; the names of those that were acknowledged.
    async fn write(self, client: Client) -> Vec<String> {
        let maps = Api::default_namespaced(client);
        let mut acknowledged = Vec::new();
        while !self.no_writes.load(Relaxed) {
            let name = format!("map-{}", acknowledged.len());
            let map = json!({"metadata": {"name": name, "namespace": "default"}, "data": {"name": name}});
            let map: ConfigMap = serde_json::from_value(map).unwrap();
            match tokio::time::timeout(Duration::from_secs(5), maps.create(&PostParams::default(), &map)).await {
                Ok(Ok(_)) => acknowledged.push(name),
                _ => break,
            }
        }
        acknowledged
    }
}

async fn ask(address: SocketAddr) -> Result<(), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n").await.map_err(|e| e.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(|e| e.to_string())?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer) }
    };
    tokio::time::timeout(Duration::from_secs(3), exchange).await.map_err(|_| "no answer".to_owned())?
}

async fn connect(dir: &Path) -> Client {
    let file = Kubeconfig::read_from(dir.join("kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn deployment(mark: &str) -> Deployment {
    let container = json!({
        "name": "main", "image": "orch.local/toolbox:latest", "command": ["serve", "--port", "8080"],
        "env": [{"name": "ORCH_MARK", "value": mark}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    });
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}},
    }))
    .unwrap()
}

fn service() -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }))
    .unwrap()
}

/// Waits until three pods are ready: pod name to container id and number of restarts.
async fn ready_pods(client: &Client) -> BTreeMap<String, (String, i32)> {
    let mut last = BTreeMap::new();
    until("three ready pods", async || {
        let pods = Api::<Pod>::default_namespaced(client.clone()).list(&ListParams::default()).await;
        last = pods.iter().flat_map(|list| list.items.iter().filter_map(ready)).collect();
        last.len() == 3
    })
    .await;
    last
}

fn ready(pod: &Pod) -> Option<(String, (String, i32))> {
    let main = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let name = pod.metadata.name.clone()?;
    main.ready.then(|| (name, (main.container_id.clone().unwrap_or_default(), main.restart_count)))
}

async fn until(what: &str, mut test: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !test().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never came"));
}

/// The processes whose environment bears the mark.
fn processes(mark: &str) -> Vec<u32> {
    let wanted = format!("ORCH_MARK={mark}");
    let mut found: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes())
        })
        .collect();
    found.sort_unstable();
    found
}
