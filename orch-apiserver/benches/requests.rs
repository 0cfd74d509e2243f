//! What requests cost: creates through the in-process client, and a list of 10,000 over the service.
#![allow(clippy::unwrap_used)] // A benchmark that fails may panic.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::Request;
use http_body_util::{BodyExt, Full};
use orch_api::{Gvr, Key};
use orch_apiserver::ApiServer;
use orch_store::{Ambient, Client, backend::memory::MemoryBackend, client::WriteOptions};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

const MAPS: Gvr = Gvr::of("", "v1", "configmaps");
const PODS: Gvr = Gvr::of("", "v1", "pods");
const MUTATING: Gvr = Gvr::of("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations");
const VALIDATING: Gvr = Gvr::of("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations");
const LIST_SIZE: u64 = 10_000;

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"containers": [{"name": "main", "image": "example"}]}})
}

async fn start() -> ApiServer {
    let server = ApiServer::builder(Ambient::system(), Arc::new(MemoryBackend::new())).build().await.unwrap();
    let account = json!({"metadata": {"name": "default"}});
    create(&server, &Gvr::of("", "v1", "serviceaccounts"), "default", account).await;
    server
}

async fn create(server: &ApiServer, resource: &Gvr, name: &str, body: Value) {
    let key = Key::new("default", name);
    server.client().create(resource, &key, None, body, &WriteOptions::default()).await.unwrap();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn creates(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(start());
    let next = AtomicU64::new(0);
    let mut group = c.benchmark_group("create in process");
    group.throughput(Throughput::Elements(1));
    for (name, resource, body) in [("ConfigMap", &MAPS, map as fn(&str) -> Value), ("Pod", &PODS, pod)] {
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| async {
                let name = format!("object-{}", next.fetch_add(1, Ordering::Relaxed));
                create(&server, resource, &name, body(&name)).await;
            });
        });
    }
    // Configurations that are about other resources: what a create pays for being nobody's business.
    let hook = json!({"name": "h.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "rules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}],
        "clientConfig": {"url": "https://127.0.0.1:1"}});
    for (kind, resource) in [("Mutating", &MUTATING), ("Validating", &VALIDATING)] {
        for i in 0..10 {
            let body = json!({"apiVersion": "admissionregistration.k8s.io/v1",
                "kind": format!("{kind}WebhookConfiguration"), "metadata": {"name": format!("c{i}")}, "webhooks": [hook]});
            let key = Key::cluster(format!("c{i}"));
            let options = WriteOptions::default();
            runtime.block_on(server.client().create(resource, &key, None, body, &options)).unwrap();
        }
    }
    group.bench_function("ConfigMap beside 20 webhooks", |b| {
        b.to_async(&runtime).iter(|| async {
            let name = format!("object-{}", next.fetch_add(1, Ordering::Relaxed));
            create(&server, &MAPS, &name, map(&name)).await;
        });
    });
    group.finish();
}

fn starting(c: &mut Criterion) {
    let runtime = runtime();
    c.bench_function("start in process", |b| b.to_async(&runtime).iter(|| async { drop(start().await) }));
}

fn lists(c: &mut Criterion) {
    let runtime = runtime();
    let server = runtime.block_on(async {
        let server = start().await;
        for i in 0..LIST_SIZE {
            let name = format!("pod-{i}");
            create(&server, &PODS, &name, pod(&name)).await;
        }
        server
    });
    let mut group = c.benchmark_group("list");
    group.throughput(Throughput::Elements(LIST_SIZE)).sample_size(20);
    for (name, uri) in
        [("10,000 pods", "/api/v1/pods"), ("10,000 pods, none selected", "/api/v1/pods?labelSelector=a%3Db")]
    {
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| async {
                let request = Request::builder().uri(uri).body(Full::<bytes::Bytes>::default()).unwrap();
                let mut body = server.service().oneshot(request).await.unwrap().into_body();
                let mut size = 0;
                while let Some(frame) = body.frame().await {
                    size += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
                }
                size
            });
        });
    }
    group.finish();
}

criterion_group!(benches, starting, creates, lists);
criterion_main!(benches);
