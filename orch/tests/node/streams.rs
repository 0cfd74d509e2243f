//! kube-rs's streams, in process, against plain processes.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, LogParams, TerminalSize};
use orch::{
    Cluster,
    cluster::NodeParts,
    node::{AgentConfig, ProcessRuntime, agent::Machine, probe::NetProber},
    store::{Ambient, ClientExt},
};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A cluster with a pod `web` that serves on 8080 and one called `cat` with a terminal.
async fn world(dir: &std::path::Path) -> Cluster {
    let ambient = Ambient::system();
    let shim = vec![env!("CARGO_BIN_EXE_orch").to_owned(), "process-shim".to_owned()];
    let network = "127.201.0.0/16".parse().unwrap();
    let runtime = Arc::new(ProcessRuntime::open(&dir.join("state"), shim, network, ambient.clone()).unwrap());
    let prober = Arc::new(NetProber { runtime: runtime.clone() });
    let mut config = AgentConfig::new("n1", dir.join("agent"));
    config.machine = Machine::default();
    config.addresses = vec![[127, 0, 0, 1].into()];
    let cluster =
        Cluster::builder().ambient(ambient).node(config, NodeParts { runtime, prober }).build().await.unwrap();
    let pod = |name: &str, container: serde_json::Value| {
        serde_json::from_value::<Pod>(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        }))
        .unwrap()
    };
    let image = "orch.local/toolbox:latest";
    let serve = json!({"name": "main", "image": image, "args": ["serve", "--port", "8080"],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}});
    let typed = json!({"name": "main", "image": image, "command": ["sh"], "stdin": true, "tty": true});
    for (name, container) in [("web", serve), ("shell", typed)] {
        cluster.client().add(&pod(name, container)).await.unwrap();
        let key = orch::api::Key::new("default", name);
        let client = cluster.client();
        let ready = client.wait_for(&key, |pod: Option<&Pod>| {
            let conditions = pod.and_then(|p| p.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        });
        ready.await.unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kube_rs_runs_attaches_forwards_and_follows() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = world(dir.path()).await;
    let pods: Api<Pod> = Api::namespaced(cluster.kube_client(), "default");
    run(&pods).await;
    attach(&pods).await;
    forward(&pods).await;
    follow(&pods).await;
    for name in ["web", "shell"] {
        pods.delete(name, &Default::default()).await.unwrap();
    }
    let client = cluster.client();
    for name in ["web", "shell"] {
        client.wait_for(&orch::api::Key::new("default", name), |pod: Option<&Pod>| pod.is_none()).await.unwrap();
    }
    cluster.stop().await;
}

async fn run(pods: &Api<Pod>) {
    let script = ["sh", "-c", "cat; echo done >&2; exit 9"];
    let mut session = pods.exec("web", script, &AttachParams::default().stdin(true)).await.unwrap();
    let status = session.take_status().unwrap();
    let (mut stdin, mut stdout) = (session.stdin().unwrap(), session.stdout().unwrap());
    let mut stderr = session.stderr().unwrap();
    stdin.write_all(b"typed").await.unwrap();
    // With v5 of the protocol the end of input can be told.
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let (mut out, mut err) = (String::new(), String::new());
    stdout.read_to_string(&mut out).await.unwrap();
    stderr.read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("typed", "done\n"));
    let status = status.await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    let causes = status.details.unwrap().causes.unwrap();
    assert_eq!(causes[0].message.as_deref(), Some("9"));
    session.join().await.unwrap();
}

async fn attach(pods: &Api<Pod>) {
    let params = AttachParams::interactive_tty();
    let mut session = pods.attach("shell", &params).await.unwrap();
    let mut sizes = session.terminal_size().unwrap();
    futures::SinkExt::send(&mut sizes, TerminalSize { width: 111, height: 33 }).await.unwrap();
    let (mut stdin, mut stdout) = (session.stdin().unwrap(), session.stdout().unwrap());
    let mut seen = String::new();
    // The size may come after the first question.
    while !seen.contains("33 111") {
        stdin.write_all(b"stty size\n").await.unwrap();
        let mut buffer = [0; 1024];
        let count = stdout.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}

async fn forward(pods: &Api<Pod>) {
    let mut forwarder = pods.portforward("web", &[8080, 8081]).await.unwrap();
    let mut stream = forwarder.take_stream(8080).unwrap();
    let error = forwarder.take_error(8081).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    assert!(error.await.unwrap().contains("error forwarding port 8081 to pod"));
    drop(stream);
    forwarder.abort();
}

async fn follow(pods: &Api<Pod>) {
    let params = LogParams { follow: true, ..LogParams::default() };
    let mut lines = futures::AsyncBufReadExt::lines(pods.log_stream("web", &params).await.unwrap());
    let first = futures::StreamExt::next(&mut lines).await.unwrap().unwrap();
    assert_eq!(first, "serving on port 8080");
}
