//! What a loop costs: `cargo bench -p orch-runtime --bench engine`.
//!
//! Prints reconciles per second and the queue's overhead per key. What a watched object takes: `benches/memory.rs`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use orch_api::Key;
use orch_runtime::{
    Context, Error, Options, Priority, Reconciler, Requeue, Watches, WorkQueue,
    metrics::Prometheus,
    queue::{Backoff, Measured, Queue},
    reconciler,
    view::Caches,
};
use orch_store::{Ambient, Client, ClientExt, Informers, backend::MemoryBackend, testing::BareClient};
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
