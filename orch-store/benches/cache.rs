//! What the watch cache and the informers cost: `cargo bench -p orch-store --bench cache`.
//!
//! Beside criterion's figures it prints the memory that an object takes in the cache.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use orch_api::{Gvr, Key};
use orch_store::{
    Ambient, Backend, Informers, Stored, WatchCache,
    backend::{Condition, Durability, MemoryBackend, Txn, Value, Write},
    cache::{Filter, WatchStart},
    client::ReadAt,
    testing::{BareClient, encode},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const PODS: Gvr = Gvr::of("", "v1", "pods");
const PREFIX: &str = "/registry/pods/";

criterion_group!(benches, fan_out, apply, list, informer);
criterion_main!(benches, memory);

/// From a commit until the last of so many watchers has the event.
fn fan_out(c: &mut Criterion) {
    let mut group = c.benchmark_group("watch event from commit to the last watcher");
    for (count, filtered) in [(1, false), (1000, false), (1000, true)] {
        let runtime = runtime();
        let (backend, cache) = runtime.block_on(world(0));
        let got = Arc::new(AtomicUsize::new(0));
        let all = Arc::new(tokio::sync::Notify::new());
        for _ in 0..count {
            let filter = filtered.then(|| Filter::new(|o| o.meta.labels.get("app") == Some("web-1")));
            let watch = runtime.block_on(async {
                cache.resource(PREFIX).watch(WatchStart::State(ReadAt::Latest), Some("default"), filter)
            });
            let (mut watch, got, all) = (watch.unwrap(), got.clone(), all.clone());
            runtime.spawn(async move {
                while watch.next().await.is_some() {
                    if got.fetch_add(1, Ordering::AcqRel) + 1 == count {
                        all.notify_one();
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(200));
        let name = format!("{count} watchers{}", if filtered { " by label" } else { "" });
        group.bench_function(name, |b| {
            b.iter(|| {
                got.store(0, Ordering::Release);
                runtime.block_on(async {
                    put(&*backend, 1).await;
                    all.notified().await;
                });
            });
        });
    }
}

/// Commits to a memory backend until they are in the cache, without and with somebody who reads along.
fn apply(c: &mut Criterion) {
    const BATCH: usize = 1000;
    let mut group = c.benchmark_group("1000 pods committed and in the cache");
    group.throughput(Throughput::Elements(BATCH as u64));
    let runtime = runtime();
    let (backend, cache) = runtime.block_on(world(10_000));
    let values: Vec<Value> = (0..BATCH).map(pod).collect();
    group.bench_function("over 10,000 others", |b| {
        b.iter(|| {
            runtime.block_on(async {
                for (i, value) in values.iter().enumerate() {
                    write(&*backend, i, value.clone()).await;
                }
                cache.caught_up(backend.revision().await.unwrap()).await.unwrap();
            });
        });
    });
}

/// Reads of many objects.
fn list(c: &mut Criterion) {
    let runtime = runtime();
    let (_backend, cache) = runtime.block_on(world(10_000));
    let pods = cache.resource(PREFIX);
    let mut group = c.benchmark_group("10,000 pods");
    group.bench_function("snapshot", |b| {
        b.iter(|| runtime.block_on(pods.snapshot(ReadAt::Latest)).unwrap().revision);
    });
    group.bench_function("page of all", |b| {
        b.iter(|| runtime.block_on(pods.snapshot(ReadAt::Latest)).unwrap().page(None, None, 0).items.len());
    });
    group.bench_function("page of 500", |b| {
        b.iter(|| runtime.block_on(pods.snapshot(ReadAt::Latest)).unwrap().page(None, None, 500).items.len());
    });
    group.bench_function("label selector that matches none", |b| {
        b.iter(|| {
            let snapshot = runtime.block_on(pods.snapshot(ReadAt::Latest)).unwrap();
            snapshot.iter(None, None).filter(|o| o.meta.labels.get("tier") == Some("none")).count()
        });
    });
}

/// The first sync of an informer with a projection.
fn informer(c: &mut Criterion) {
    #[derive(Deserialize)]
    struct Pod {
        spec: Spec,
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        node_name: Option<String>,
    }
    #[derive(Deserialize)]
    struct Status {
        phase: String,
    }
    fn project(object: &Stored) -> (Option<String>, String) {
        object.parse::<Pod>().map(|pod| (pod.spec.node_name, pod.status.phase)).unwrap_or_default()
    }
    let runtime = runtime();
    let (backend, _) = runtime.block_on(world(100_000));
    let ambient = Ambient::system();
    let client = Arc::new(BareClient::new(backend, ambient.clone()));
    runtime.block_on(async { client.cache().resource(PREFIX).snapshot(ReadAt::Latest).await.map(drop) }).unwrap();
    let mut group = c.benchmark_group("100,000 pods into an informer");
    group.sample_size(10);
    group.bench_function("with a projection", |b| {
        b.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let start = Instant::now();
                runtime.block_on(async {
                    let informers = Informers::new(client.clone(), ambient.clone());
                    let pods = informers.get(&PODS);
                    let phases = pods.project(project);
                    pods.synced().await;
                    assert!(phases.get(&Key::new("default", "web-1-00000001")).is_some());
                    total += start.elapsed();
                    informers.forget(&PODS);
                });
            }
            total
        });
    });
}

/// What 100,000 pods take in the cache beside their JSON, which the backend holds already.
fn memory() {
    const COUNT: usize = 100_000;
    let runtime = runtime();
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::with_history(1));
    let size = pod(0).json.len();
    runtime.block_on(async {
        for i in 0..COUNT {
            write(&*backend, i, pod(i)).await;
        }
        let before = resident();
        let cache = WatchCache::new(backend.clone(), Ambient::system());
        cache.resource(PREFIX).snapshot(ReadAt::Latest).await.unwrap();
        let bytes = resident().saturating_sub(before) / COUNT;
        println!("memory per object in the cache: its JSON ({size} bytes) + {bytes} bytes");
    });
}

/// The memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// A cache of so many pods.
async fn world(count: usize) -> (Arc<dyn Backend>, WatchCache) {
    let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::new());
    for i in 0..count {
        write(&*backend, i, pod(i)).await;
    }
    let cache = WatchCache::new(backend.clone(), Ambient::system());
    cache.resource(PREFIX).snapshot(ReadAt::Latest).await.unwrap();
    (backend, cache)
}

async fn put(backend: &dyn Backend, i: usize) {
    write(backend, i, pod(i)).await;
}

async fn write(backend: &dyn Backend, i: usize, value: Value) {
    let key = format!("{PREFIX}default/web-{}-{i:08}", i % 100).into();
    let write = Write { key, condition: Condition::Any, value: Some(value), durability: Durability::Buffered };
    backend.commit(Txn { writes: vec![write] }).await.unwrap();
}

/// A running Pod of about four and a half kilobytes.
fn pod(i: usize) -> Value {
    let owner = format!("{:08x}-0000-4000-8000-{:012x}", i % 100, i % 100);
    let env: Vec<_> = (0..20)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("a value of some length, number {n}")}))
        .collect();
    let conditions: Vec<_> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}))
        .collect();
    encode(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("web-{}-{i:08}", i % 100), "namespace": "default",
            "uid": format!("{i:08x}-0000-4000-9000-{i:012x}"), "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": format!("web-{}", i % 100), "pod-template-hash": "5d4f8c7b9", "tier": "front"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("web-{}", i % 100),
                "uid": owner, "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "nodeName": format!("node-{}", i % 1000), "serviceAccountName": "default", "restartPolicy": "Always",
            "containers": [{"name": "web", "image": "registry.example/web:1.2.3", "env": env,
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 10},
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}]}],
            "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": conditions, "message": "x".repeat(1600),
            "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]},
    }))
    .unwrap()
}
