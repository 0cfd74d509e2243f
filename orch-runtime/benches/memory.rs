//! What a watched object takes: `cargo bench -p orch-runtime --bench memory`.
//!
//! The same 10,000 pods in the caches of kube-runtime 5 and in ours, by what the allocator has given out: whole, by their
//! metadata, and by three facts of each. In a process of its own a cache has its own bytes; in the process of the server it
//! shares them.
#![allow(clippy::unwrap_used)] // A benchmark that fails may panic.
#![allow(unsafe_code)] // An allocator that counts is an allocator.

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use kube::{
    ResourceExt,
    core::PartialObjectMeta,
    runtime::{reflector, watcher::Event},
};
use orch_api::{Gvr, Object};
use orch_store::{
    Ambient, Client, ClientExt, Informers, Stored,
    backend::MemoryBackend,
    client::{Around, Result, WatchOptions, WatchStream},
    testing::BareClient,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const OBJECTS: usize = 10_000;

/// The system's allocator, with the sum of what it has given out.
struct Counting;

static GIVEN: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        GIVEN.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        GIVEN.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// What is kept after something was done, in bytes per object.
async fn kept<T>(work: impl Future<Output = T>) -> (usize, T) {
    let before = GIVEN.load(Ordering::Relaxed);
    let value = work.await;
    (GIVEN.load(Ordering::Relaxed).saturating_sub(before) / OBJECTS, value)
}

/// A pod of which only three facts are wanted.
#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: Arc<str>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Arc<str>,
    #[serde(rename = "podIP")]
    pod_ip: Arc<str>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pods: Vec<String> = (0..OBJECTS).map(|n| pod(n).to_string()).collect();
        println!("bytes per watched pod of {} bytes of JSON", pods[0].len());
        println!("| what is kept | kube-runtime 5 | orch | ratio |");
        println!("| --- | ---: | ---: | ---: |");
        let theirs = theirs(&pods).await;
        let ours = ours(&pods).await;
        for ((what, ours), theirs) in ours.into_iter().zip(theirs.into_iter().map(Some).chain([None])) {
            let ratio = theirs.map_or("".into(), |theirs| format!("{:.1}", theirs as f64 / ours.max(1) as f64));
            println!("| {what} | {} | {ours} | {ratio} |", theirs.map_or("".into(), |theirs| theirs.to_string()));
        }
    });
}

/// Whole, metadata, and three facts, in the reflector's store; the facts as its guide says, by clearing what is not needed.
async fn theirs(pods: &[String]) -> [usize; 3] {
    let facts = |pod: Pod| {
        let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        let mut small = Pod::default();
        (small.metadata.name, small.metadata.namespace) = (pod.metadata.name, pod.metadata.namespace);
        small.spec = Some(PodSpec { node_name: spec.node_name, ..PodSpec::default() });
        small.status = Some(PodStatus { phase: status.phase, pod_ip: status.pod_ip, ..PodStatus::default() });
        small
    };
    [
        reflected(pods, |pod: Pod| pod).await,
        reflected(pods, |pod: PartialObjectMeta<Pod>| pod).await,
        reflected(pods, facts).await,
    ]
}

async fn reflected<K>(pods: &[String], prune: impl Fn(K) -> K) -> usize
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Send + Sync + 'static,
{
    let fill = async {
        let (reader, mut writer) = reflector::store::<K>();
        writer.apply_watcher_event(&Event::Init);
        for pod in pods {
            writer.apply_watcher_event(&Event::InitApply(prune(serde_json::from_str(pod).unwrap())));
        }
        writer.apply_watcher_event(&Event::InitDone);
        (reader, writer)
    };
    let (bytes, (reader, _writer)) = kept(fill).await;
    assert!(reader.len() == OBJECTS && reader.state().iter().all(|pod| !pod.name_any().is_empty()));
    bytes
}

/// The same in informers whose client is elsewhere, and whole in the process of the server.
async fn ours(pods: &[String]) -> [(&'static str, usize); 4] {
    let ambient = Ambient::system();
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    for pod in pods {
        client.add::<Pod>(&serde_json::from_str(pod).unwrap()).await.unwrap();
    }
    let informers = || Informers::new(Arc::new(Apart(client.clone())), ambient.clone());
    let synced = async |informer: orch_store::Informer| {
        informer.synced().await;
        assert_eq!(informer.len(), OBJECTS);
        informer
    };
    let (whole, kept_whole) = kept(synced(informers().of::<Pod>())).await;
    let (metadata, kept_metadata) = kept(synced(informers().metadata(&Pod::gvr()))).await;
    let project = async {
        let facts = kept_whole.project(|stored| stored.parse::<Facts>().ok());
        let sum: usize = facts.list("").iter().filter_map(|(_, pod)| (**pod).as_ref()).map(Facts::letters).sum();
        assert!(sum > OBJECTS);
        facts
    };
    let (projection, kept_facts) = kept(project).await;
    let (shared, kept_shared) = kept(synced(Informers::new(client.clone(), ambient.clone()).of::<Pod>())).await;
    drop((kept_metadata, kept_facts, kept_shared));
    [
        ("whole objects", whole),
        ("metadata", metadata),
        ("three facts of each (orch: and the whole object)", whole + projection),
        ("whole objects, in the process of the server", shared),
    ]
}

impl Facts {
    fn letters(&self) -> usize {
        self.spec.node_name.len() + self.status.phase.len() + self.status.pod_ip.len()
    }
}

/// A client whose objects are copies, as if they had come over a network.
struct Apart(Arc<dyn Client>);

#[async_trait]
impl Around for Apart {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(self.0.clone())
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
        Ok(events.map(move |event| event.map(|event| event.map(copied))).boxed())
    }
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
