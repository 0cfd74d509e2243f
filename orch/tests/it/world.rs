//! [`World`]: a cluster under a paused clock with what many tests do to it and wait for in it.

use k8s_openapi::api::core::v1::Pod;
use orch::{
    Cluster,
    api::{Key, Object},
    store::ClientExt,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// More virtual time than anything here needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3600);

/// A cluster. What the tests of one file do besides is in that file.
pub(crate) struct World(pub(crate) Cluster);

impl World {
    pub(crate) async fn start(nodes: u32) -> Self {
        Self(Cluster::builder().seed(1).simulated_nodes(nodes).build().await.unwrap())
    }

    pub(crate) async fn add<K: Object>(&self, object: Value) -> Arc<K> {
        self.0.client().add::<K>(&serde_json::from_value(object).unwrap()).await.unwrap()
    }

    pub(crate) async fn until<K: Object>(
        &self,
        key: &Key,
        holds: impl Fn(Option<&K>) -> bool + Send + Sync,
    ) -> Option<Arc<K>> {
        until(&self.0, key, holds).await
    }

    /// What there is of a kind in the namespace `default`.
    pub(crate) async fn all<K: Object>(&self) -> Vec<Arc<K>> {
        self.0.client().read_all::<K>("default").await.unwrap()
    }
}

/// Waits until an object is as wanted, or gone, and says what it is otherwise.
async fn until<K: Object>(
    cluster: &Cluster,
    key: &Key,
    holds: impl Fn(Option<&K>) -> bool + Send + Sync,
) -> Option<Arc<K>> {
    let client = cluster.client();
    match tokio::time::timeout(PATIENCE, client.wait_for::<K, _>(key, &holds)).await {
        Ok(found) => found.unwrap(),
        Err(_) => {
            let last = client.find::<K>(key).await.unwrap().map(|found| json!(*found).to_string());
            panic!("{key} does not become what it should be: {last:?}");
        }
    }
}

/// The same for an object that is to be there.
pub(crate) async fn becomes<K: Object>(
    cluster: &Cluster,
    key: &Key,
    holds: impl Fn(&K) -> bool + Send + Sync,
) -> Arc<K> {
    until::<K>(cluster, key, |found| found.is_some_and(&holds)).await.unwrap()
}

/// An object of the namespace `default`.
pub(crate) fn key(name: &str) -> Key {
    Key::new("default", name)
}

/// Status, reason and message of a condition.
pub(crate) fn condition(object: &impl serde::Serialize, kind: &str) -> Option<(String, String, String)> {
    let object = json!(object);
    let found = object.pointer("/status/conditions")?.as_array()?.iter().find(|c| c["type"] == kind)?.clone();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, ..)| status == "True")
}
