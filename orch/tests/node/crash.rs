//! `kill -9` of orch under load: what was acknowledged is there afterwards, and containers never noticed.

use crate::{
    cluster::{Orch, connect, until},
    hammer::Hammer,
    namespaces::inside,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod, Service},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// How many clients write at once.
const WRITERS: usize = 4;

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
    let hammer = Hammer::start(address, 2, 2, pod_of);
    until("answers of all pods", async || hammer.tally().answers.len() == 3).await;

    let killed = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..WRITERS).map(|n| tokio::spawn(write(client.clone(), format!("map-{n}"), killed.clone()))).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    killed.store(true, Relaxed);
    orch.kill();
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert!(acknowledged.len() > WRITERS, "{acknowledged:?}");

    hammer.forget_answers();
    until("answers while orch is down", async || hammer.tally().answered() > 200).await;
    let answers = hammer.tally().answers;
    assert_eq!(answers.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "every pod answers: {answers:?}");
    assert_eq!(self::processes(&mark), processes, "no container noticed");

    orch = Orch::up(dir.path());
    let client = connect(dir.path()).await;
    let found = Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await.unwrap();
    let found: BTreeMap<_, _> = found.iter().filter_map(|m| Some((m.metadata.name.clone()?, value_of(m)?))).collect();
    for (name, value) in &acknowledged {
        let kept = found.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is lost"));
        // A write that was not answered may or may not have happened.
        assert!(kept == value || *kept == value + 1, "{name}: {value} was acknowledged, {kept} is there");
    }
    hammer.forget_answers();
    until("answers of all pods", async || hammer.tally().answered() > 200).await;
    assert_eq!(ready_pods(&client).await, before, "the same containers, never restarted");
    assert_eq!(self::processes(&mark), processes);
    let tally = hammer.stop().await;
    assert_eq!(tally.answers.len(), 3, "{:?}", tally.answers);
    println!(
        "{} objects acknowledged, {} requests, {} failures",
        acknowledged.len(),
        tally.requests,
        tally.failures.len()
    );
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);

    orch.end();
    assert_eq!(self::processes(&mark), processes, "an orderly end stops no container either");
    Orch::up(dir.path()).down();
    assert_eq!(self::processes(&mark), Vec::<u32>::new());
}

/// Creates objects and changes each of them, until orch is gone: the last value of each that was acknowledged.
async fn write(client: Client, prefix: String, killed: Arc<AtomicBool>) -> BTreeMap<String, u64> {
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let mut acknowledged = BTreeMap::new();
    for n in 0.. {
        let name = format!("{prefix}-{n}");
        let map = json!({"metadata": {"name": name, "namespace": "default"}, "data": {"value": "0"}});
        let mut map: ConfigMap = serde_json::from_value(map).unwrap();
        for value in 0..3 {
            map.data = Some([("value".to_owned(), value.to_string())].into());
            let request = async {
                match value {
                    0 => maps.create(&PostParams::default(), &map).await,
                    _ => maps.replace(&name, &PostParams::default(), &map).await,
                }
            };
            match tokio::time::timeout(Duration::from_secs(5), request).await {
                Ok(Ok(written)) => map = written,
                refused => {
                    assert!(killed.load(Relaxed), "{name}: {refused:?}");
                    return acknowledged;
                }
            }
            acknowledged.insert(name.clone(), value);
        }
    }
    acknowledged
}

fn value_of(map: &ConfigMap) -> Option<u64> {
    map.data.as_ref()?.get("value")?.parse().ok()
}

/// The pod that an answer of the toolbox's server is from.
fn pod_of(answer: &str) -> String {
    serde_json::from_str::<serde_json::Value>(answer).unwrap()["pod"].as_str().unwrap().to_owned()
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
