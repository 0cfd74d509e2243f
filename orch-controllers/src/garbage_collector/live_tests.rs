//! The garbage collector over a real store and real informers.

use super::*;
use crate::fixtures;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod},
};
use orch_api::{Key, Reason, StatusError};
use orch_store::{
    Client, ClientExt, Informers,
    backend::MemoryBackend,
    client::{Around, Result, WatchOptions, WatchStream},
    testing::BareClient,
};

/// A server that cannot read its ConfigMaps.
struct Broken(BareClient);

#[async_trait]
impl Around for Broken {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(Arc::new(self.0.clone()))
    }

    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        match *resource == ConfigMap::gvr() {
            true => Err(StatusError::new(Reason::InternalError, "the conversion webhook does not answer")),
            false => self.0.watch(resource, options).await,
        }
    }
}

fn start() -> Arc<dyn Client> {
    start_with(|ambient| Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient)))
}

fn start_with(client: impl Fn(Ambient) -> Arc<dyn Client>) -> Arc<dyn Client> {
    let ambient = Ambient::seeded(1);
    let client = client(ambient.clone());
    let served = |gvr, kind| Served { gvr, kind, namespaced: true };
    let discovery = vec![
        served(ConfigMap::gvr(), ConfigMap::gvk()),
        served(Pod::gvr(), Pod::gvk()),
        served(ReplicaSet::gvr(), ReplicaSet::gvk()),
    ];
    let collector = Arc::new(GarbageCollector { discovery: Arc::new(discovery) });
    let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
    ambient.tasks.spawn_graceful(collector.run(caches, ambient.clone(), Options::default()));
    client
}

async fn is_gone(client: &Arc<dyn Client>, pod: &str) {
    let gone = async {
        while client.find::<Pod>(&Key::new("default", pod)).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("collected in time");
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deleted_set_are_collected_and_others_are_not() {
    let client = start();
    let owner = client.add(&fixtures::replica_set("web", 1)).await.unwrap();
    client.add(&fixtures::pod_of_set("owned", &owner)).await.unwrap();
    client.add(&fixtures::pod("free", "web")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(client.find::<Pod>(&Key::new("default", "owned")).await.unwrap().is_some());
    client.remove::<ReplicaSet>(&owner.key()).await.unwrap();
    is_gone(&client, "owned").await;
    assert!(client.find::<Pod>(&Key::new("default", "free")).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_owner_never_existed_is_collected() {
    let client = start();
    client.add(&fixtures::pod_of_set("lost", &fixtures::replica_set("nowhere", 1))).await.unwrap();
    is_gone(&client, "lost").await;
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_cannot_be_read_keeps_no_other_from_being_collected() {
    let broken = |ambient| Broken(BareClient::new(Arc::new(MemoryBackend::new()), ambient));
    let client = start_with(|ambient| Arc::new(broken(ambient)));
    client.add(&fixtures::pod_of_set("lost", &fixtures::replica_set("nowhere", 1))).await.unwrap();
    is_gone(&client, "lost").await;
}
