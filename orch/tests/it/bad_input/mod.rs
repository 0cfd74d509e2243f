//! What controllers make of bad input: the conditions and events that Kubernetes has for it, nothing lost that should
//! live, and no hot loop: the writes of quiet time are counted.

mod limits;
mod owners;
mod time;

use crate::world::{PATIENCE, World, condition, key};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Pod};
use orch::{
    api::{Gvr, Key, Object},
    store::{
        ClientExt,
        client::{ListOptions, Patch, WatchOptions, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

impl World {
    async fn patch<K: Object>(&self, key: &Key, subresource: Option<&str>, patch: Value) {
        let (client, options) = (self.0.client(), WriteOptions::default());
        client.patch(&K::gvr(), key, subresource, Patch::Merge(patch), &options).await.unwrap();
    }

    /// Waits until what there is of a kind is as wanted.
    async fn until_all<K: Object>(&self, holds: impl Fn(&[Arc<K>]) -> bool) -> Vec<Arc<K>> {
        for _ in 0..PATIENCE.as_secs() {
            let all = self.all::<K>().await;
            if holds(&all) {
                return all;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("not as it should be: {}", json!(self.all::<K>().await.iter().map(|o| json!(**o)).collect::<Vec<_>>()));
    }

    /// Waits for an event of that reason, and answers its message.
    async fn event(&self, reason: &str) -> String {
        let is = |event: &Arc<Event>| event.reason.as_deref() == Some(reason);
        let all = self.until_all::<Event>(|all| all.iter().any(is)).await;
        all.iter().find(|event| is(event)).unwrap().message.clone().unwrap_or_default()
    }

    /// How many pods are not on their way out, by the name of their controller.
    async fn pods_of(&self, owner: &str) -> usize {
        let all = self.all::<Pod>().await;
        all.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && controller(&***pod) == owner).count()
    }

    /// The writes to objects of these kinds in the namespace `default` in so long a time.
    async fn writes(&self, kinds: &[Gvr], meanwhile: Duration) -> usize {
        let (client, namespace) = (self.0.client(), Arc::<str>::from("default"));
        let mut watches = Vec::new();
        for gvr in kinds {
            let page = client.list(gvr, &ListOptions { namespace: namespace.clone(), ..ListOptions::default() }).await;
            let after = Some(page.unwrap().revision);
            let options = WatchOptions { namespace: namespace.clone(), after, ..WatchOptions::default() };
            watches.push(client.watch(gvr, &options).await.unwrap());
        }
        tokio::time::sleep(meanwhile).await;
        let mut count = 0;
        for mut watch in watches {
            while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(1), watch.next()).await {
                count += usize::from(event.unwrap().object().is_some());
            }
        }
        count
    }
}

fn controller<K: Object>(object: &K) -> &str {
    let owners = object.meta().owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.controller == Some(true)).map_or("", |owner| &owner.name)
}

/// The metadata of something in the namespace `default`.
fn named(name: &str) -> Value {
    json!({"name": name, "namespace": "default"})
}

fn template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}})
}

fn replica_set(name: &str, app: &str, replicas: i32) -> Value {
    json!({"metadata": named(name), "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app)}})
}
