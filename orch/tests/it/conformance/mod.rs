//! Conformance tests of Kubernetes that need controllers and simulated nodes, ported. Each carries its codename in a comment.

mod batch;
mod daemon_set;
mod deployment;
mod life;
mod replication;
mod stateful_set;
mod volumes;
mod workload;

use orch::{
    Cluster,
    api::{Key, Object},
    store::ClientExt,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// More virtual time than anything here needs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A cluster with simulated nodes.
struct World(Cluster);

impl World {
    async fn start() -> Self {
        Self(Cluster::builder().seed(1).simulated_nodes(2).build().await.unwrap())
    }

    async fn add<K: Object>(&self, object: Value) -> Arc<K> {
        self.0.client().add::<K>(&serde_json::from_value(object).unwrap()).await.unwrap()
    }

    /// Waits for the object to be as wanted.
    async fn until<K: Object>(&self, key: &Key, holds: impl Fn(Option<&K>) -> bool + Send) -> Option<Arc<K>> {
        let client = self.0.client();
        let wait = client.wait_for::<K, _>(key, holds);
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{key} is not as wanted")).unwrap()
    }

    /// Waits for what is there of a kind to be as wanted.
    async fn until_all<K: Object>(&self, holds: impl Fn(&[Arc<K>]) -> bool) -> Vec<Arc<K>> {
        let wait = async {
            loop {
                let all = self.all::<K>().await;
                if holds(&all) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{} are not as wanted", K::plural(&())))
    }

    async fn all<K: Object>(&self) -> Vec<Arc<K>> {
        self.0.client().read_all::<K>("default").await.unwrap()
    }
}
