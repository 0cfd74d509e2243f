//! What a loop costs: `cargo bench -p orch-runtime --bench engine`.
//!
//! Prints reconciles per second, the queue's overhead per key, and the memory of a watched pod next to kube-runtime's
//! reflector on the same pods.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    core::PartialObjectMeta,
    runtime::{reflector, watcher::Event},
};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{
    Context, Error, Options, Priority, Reconciler, Requeue, Watches, WorkQueue,
    metrics::Prometheus,
    queue::{Backoff, Measured, Queue},
    reconciler,
    view::Caches,
};
use orch_store::{
    Ambient, Client, ClientExt, Informers, Stored,
    backend::MemoryBackend,
    client::{Around, Result, WatchEvent, WatchOptions, WatchStream},
    testing::BareClient,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

const OBJECTS: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        queue().await;
        reconciles(false).await;
        reconciles(true).await;
        memory().await;
    });
}

/// Add, take and finish a key, with client-go's metrics and without.
async fn queue() {
    const KEYS: usize = 1_000_000;
    let keys: Vec<Key> = (0..1000).map(|n| Key::new("default", format!("key-{n}"))).collect();
    let plain: Arc<dyn WorkQueue<Key>> = Arc::new(Queue::new(Backoff::default()));
    let measured = Measured::new("bench", Arc::new(Queue::new(Backoff::default())), &Prometheus::new());
    for (name, queue) in [("plain", plain), ("measured", measured as Arc<dyn WorkQueue<Key>>)] {
        let began = Instant::now();
        for key in keys.iter().cycle().take(KEYS) {
            queue.add(key.clone(), Priority::Normal);
            let key = queue.next().await.unwrap();
            queue.done(&key);
        }
        println!("queue, {name}: {:?} per key", began.elapsed() / KEYS as u32);
    }
}

struct Nothing {
    writes: bool,
    done: Arc<AtomicUsize>,
}

#[async_trait]
impl Reconciler for Nothing {
    type Kind = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, ctx: &Context) -> std::result::Result<Requeue, Error> {
        if self.writes && map.data.is_none() {
            let mut map = (*map).clone();
            map.data.get_or_insert_default().insert("done".into(), "yes".into());
            ctx.client.replace(&map).await?;
        } else {
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Requeue::OnChange)
    }
}

/// From the first list until every object was reconciled: by looking, or by one write each and a look at it.
async fn reconciles(writes: bool) {
    let ambient = Ambient::system();
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    for n in 0..OBJECTS {
        let mut map = ConfigMap::default();
        (map.metadata.name, map.metadata.namespace) = (Some(format!("map-{n}")), Some("default".into()));
        client.add(&map).await.unwrap();
    }
    let done = Arc::new(AtomicUsize::new(0));
    let caches = Caches::new(Informers::new(client, ambient.clone()));
    let options = Options { meter: Arc::new(Prometheus::new()), ..Options::default() };
    let began = Instant::now();
    let work = Nothing { writes, done: done.clone() };
    let run = reconciler::run("bench", work, Watches::root::<ConfigMap>(), caches, ambient.clone(), options);
    ambient.tasks.spawn_graceful(run);
    while done.load(Ordering::Relaxed) < OBJECTS {
        tokio::task::yield_now().await;
    }
    let rate = OBJECTS as f64 / began.elapsed().as_secs_f64();
    println!("objects reconciled per second, {}: {rate:.0}", if writes { "with a write each" } else { "only read" });
    ambient.tasks.stop().await;
}

/// What a pod takes in a cache that does not share bytes with a server in the same process.
async fn memory() {
    let pods: Vec<Value> = (0..OBJECTS).map(pod).collect();
    println!("memory per watched pod of {} bytes of JSON:", pods[0].to_string().len());
    let report =
        |name: &str, before: usize| println!("  {name}: {} bytes", resident().saturating_sub(before) / OBJECTS);

    let before = resident();
    let (whole, mut writer) = reflector::store::<Pod>();
    let typed = |pod: &Value| -> Pod { serde_json::from_value(pod.clone()).unwrap() };
    writer.apply_watcher_event(&Event::Init);
    pods.iter().for_each(|pod| writer.apply_watcher_event(&Event::InitApply(typed(pod))));
    writer.apply_watcher_event(&Event::InitDone);
    report("kube-runtime reflector, whole", before);

    let before = resident();
    let (partial, mut writer) = reflector::store::<PartialObjectMeta<Pod>>();
    writer.apply_watcher_event(&Event::Init);
    for pod in &pods {
        let object: PartialObjectMeta<Pod> = serde_json::from_value(json!({"metadata": pod["metadata"]})).unwrap();
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    report("kube-runtime reflector, metadata", before);

    let ambient = Ambient::system();
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    for pod in &pods {
        client.add::<Pod>(&typed(pod)).await.unwrap();
    }
    let apart = Informers::new(Arc::new(Apart(client.clone())), ambient.clone());
    let mut kept = Vec::new();
    for (name, informer) in [("metadata", apart.metadata(&Pod::gvr())), ("whole", apart.of::<Pod>())] {
        let before = resident();
        informer.synced().await;
        report(&format!("informer, {name}"), before);
        kept.push(informer);
    }
    let before = resident();
    let phases = apart.of::<Pod>().project(|stored| stored.meta.labels.len());
    report("informer, one more projection", before);
    let shared = Informers::new(client, ambient).of::<Pod>();
    let before = resident();
    shared.synced().await;
    report("informer, whole, in the process of the server", before);
    assert_eq!((whole.len(), partial.len(), phases.list("").len(), shared.len()), (OBJECTS, OBJECTS, OBJECTS, OBJECTS));
}

/// A client whose objects are copies, as if they had come over a network.
struct Apart(Arc<dyn Client>);

#[async_trait]
impl Around for Apart {
    fn inner(&self) -> &dyn Client {
        &*self.0
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let metadata_only = options.metadata_only;
        let copied = move |stored: Arc<Stored>| {
            let json = match metadata_only {
                true => {
                    let tree: Value = stored.parse().unwrap();
                    json!({"metadata": tree["metadata"]}).to_string().into()
                }
                false => bytes::Bytes::copy_from_slice(&stored.json),
            };
            Arc::new(Stored::from_json(json).unwrap())
        };
        let events = self.0.watch(resource, options).await?;
        let copies = events.map(move |event| {
            Ok(match event? {
                WatchEvent::Added(stored) => WatchEvent::Added(copied(stored)),
                other => other,
            })
        });
        Ok(copies.boxed())
    }
}

/// The memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// A running pod of a few kilobytes.
fn pod(n: usize) -> Value {
    let env: Vec<_> = (0..20).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("value {n}")})).collect();
    json!({
        "metadata": {"name": format!("web-{n:08}"), "namespace": "default", "uid": format!("{n:08x}"),
            "labels": {"app": format!("web-{}", n % 100), "pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": true}]},
        "spec": {"nodeName": format!("node-{}", n % 1000), "containers": [{"name": "web", "image": "web:1.2.3", "env": env,
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 10}}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0, "image": "web:1.2.3", "imageID": "i"}]},
    })
}
