//! Conformance of what keeps a cluster going: budgets, quotas, endpoints, accounts, certificates, taints.

mod accounts;
mod certificates;
mod disruption;
mod endpoints;
mod networks;
mod quota;
mod taints;

use k8s_openapi::api::core::v1::{Node, Pod};
use orch::{
    Cluster,
    api::{Key, Object, StatusError},
    store::{
        ClientExt,
        client::{DeleteOptions, ListOptions, Patch, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// More virtual time than anything here needs.
const PATIENCE: Duration = Duration::from_secs(900);

/// A cluster with simulated nodes, and calls on it in JSON.
struct Here(Cluster);

impl Here {
    async fn start() -> Self {
        Self(Cluster::builder().seed(7).simulated_nodes(2).build().await.unwrap())
    }

    async fn add<K: Object>(&self, object: Value) -> Value {
        self.try_add::<K>(object).await.unwrap()
    }

    async fn try_add<K: Object>(&self, object: Value) -> Result<Value, StatusError> {
        let typed: K = serde_json::from_value(object).unwrap();
        self.0.client().add::<K>(&typed).await.map(|made| tree(&*made))
    }

    async fn get<K: Object>(&self, name: &str) -> Value {
        tree(&*self.0.client().read::<K>(&key::<K>(name)).await.unwrap())
    }

    async fn update<K: Object>(&self, object: Value) -> Value {
        let typed: K = serde_json::from_value(object).unwrap();
        tree(&*self.0.client().replace::<K>(&typed).await.unwrap())
    }

    async fn update_status<K: Object>(&self, object: Value) -> Value {
        let typed: K = serde_json::from_value(object).unwrap();
        tree(&*self.0.client().replace_status::<K>(&typed).await.unwrap())
    }

    async fn merge<K: Object>(&self, name: &str, subresource: Option<&str>, patch: Value) -> Value {
        let client = self.0.client();
        let patch = Patch::Merge(patch);
        client
            .patch(&K::gvr(), &key::<K>(name), subresource, patch, &WriteOptions::default())
            .await
            .unwrap()
            .parse()
            .unwrap()
    }

    async fn remove<K: Object>(&self, name: &str) {
        self.0.client().remove::<K>(&key::<K>(name)).await.unwrap();
    }

    async fn remove_now<K: Object>(&self, name: &str) {
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        self.0.client().remove_with::<K>(&key::<K>(name), &now).await.unwrap();
    }

    async fn list<K: Object>(&self, namespace: &str, labels: &str) -> Vec<Value> {
        let options = ListOptions { namespace: namespace.into(), labels: labels.into(), ..ListOptions::default() };
        self.0.client().select::<K>(&options).await.unwrap().iter().map(|object| tree(&**object)).collect()
    }

    /// Waits until an object is as it should be.
    #[track_caller]
    fn until<K: Object>(
        &self,
        what: &str,
        name: &str,
        holds: impl Fn(&Value) -> bool + Send + Sync,
    ) -> impl Future<Output = ()> {
        let (client, what, key) = (self.0.client(), what.to_owned(), key::<K>(name));
        async move {
            let waits = client.wait_for::<K, _>(&key, |found| found.is_some_and(|found| holds(&tree(found))));
            let done = tokio::time::timeout(PATIENCE, waits).await;
            if done.is_err() {
                let last = client.find::<K>(&key).await.unwrap().map(|o| tree(&*o));
                panic!("{what}: not within {PATIENCE:?}; it is {last:?}");
            }
        }
    }

    async fn until_gone<K: Object>(&self, name: &str) {
        let (client, key) = (self.0.client(), key::<K>(name));
        let waits = client.wait_for::<K, _>(&key, |found| found.is_none());
        tokio::time::timeout(PATIENCE, waits).await.expect("it goes").unwrap();
    }

    /// Waits until a list is as it should be, looking once a second.
    async fn until_list<K: Object>(&self, what: &str, labels: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let namespace = key::<K>("").namespace;
        for _ in 0..PATIENCE.as_secs() {
            let found = self.list::<K>(&namespace, labels).await;
            if holds(&found) {
                return found;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{what}: {:?}", self.list::<K>(&namespace, labels).await);
    }

    async fn running(&self, name: &str) {
        self.until::<Pod>("a pod that runs", name, |pod| pod["status"]["phase"] == "Running" && is_ready(pod)).await;
    }

    async fn evict(&self, name: &str, options: &WriteOptions) -> Result<Value, StatusError> {
        let body =
            json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}});
        let client = self.0.client();
        let answer = client.create(&Pod::gvr(), &Key::new("default", name), Some("eviction"), body, options).await?;
        Ok(answer.parse().unwrap())
    }
}

fn tree<K: Object>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    value["metadata"].as_object_mut().map(|meta| meta.remove("managedFields"));
    value
}

/// Keys are in the namespace `default`, but for kinds without one.
fn key<K: Object>(name: &str) -> Key {
    let kind = orch::api::kinds::find(&K::gvr()).unwrap();
    if kind.scope == orch::api::Scope::Namespaced { Key::new("default", name) } else { Key::cluster(name) }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn pod(name: &str, labels: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "app:1"}], "terminationGracePeriodSeconds": 1}})
}

async fn node_of(here: &Here, pod: &str) -> Arc<Node> {
    let name = here.get::<Pod>(pod).await["spec"]["nodeName"].as_str().unwrap().to_owned();
    here.0.client().read::<Node>(&Key::cluster(name)).await.unwrap()
}
