//! Processes with mistakes, which speak to a client of their own.

use super::{config_map, controllers::new_pod};
use crate::sim::planted::key;
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, Pod},
};
use orch::{
    api::Object,
    store::{
        Ambient, Client, ClientExt, Informers,
        client::{DeleteOptions, TypedEvent, WatchOptions, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Ten times a second, what the cache lacks is created.
pub(super) async fn hasty(client: Arc<dyn Client>, ambient: Ambient) {
    let informers = Informers::new(client.clone(), ambient.clone());
    let (sets, pods) = (informers.of::<ReplicaSet>(), informers.of::<Pod>());
    let work = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for set in sets.list("default").iter().filter_map(|set| set.decode::<ReplicaSet>().ok()) {
                let wanted = set.spec.replicas.unwrap_or(1) as usize;
                let has = pods.owned_by(set.metadata.uid.as_deref().unwrap_or_default()).len();
                for _ in has..wanted {
                    let _ = client.add(&new_pod(&set)).await;
                }
            }
        }
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// A ConfigMap for each that appears, gone with each that goes.
pub(super) async fn counter(client: Arc<dyn Client>, ambient: Ambient) {
    let work = async {
        loop {
            let options = WatchOptions { labels: "count=me".into(), ..WatchOptions::default() };
            let Ok(mut events) = client.follow::<ConfigMap>(&options).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            while let Some(Ok(event)) = events.next().await {
                let name = |found: &ConfigMap| format!("{}-count", found.metadata.name.clone().unwrap_or_default());
                let _ = match event {
                    TypedEvent::Added(found) => {
                        let body = config_map(&name(&found), json!({}));
                        client
                            .create(&ConfigMap::gvr(), &key(&name(&found)), None, body, &WriteOptions::default())
                            .await
                            .map(drop)
                    }
                    TypedEvent::Deleted(found) => {
                        client.remove_with::<ConfigMap>(&key(&name(&found)), &DeleteOptions::default()).await.map(drop)
                    }
                    _ => Ok(()),
                };
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// Writes down ten times that it was here, over whatever is there.
pub(super) async fn stamper(client: Arc<dyn Client>, ambient: Ambient) {
    let shared = Informers::new(client.clone(), ambient.clone()).of::<ConfigMap>();
    let work = async {
        let mut stamps = 0;
        while stamps < 10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let Some(found) = shared.get(&key("shared")) else { continue };
            let Ok(mut body) = found.parse::<Value>() else { continue };
            stamps += 1;
            body["data"]["stamp"] = json!(stamps.to_string());
            body["metadata"]["resourceVersion"] = json!("");
            let _ = client.update(&ConfigMap::gvr(), &key("shared"), None, body, &WriteOptions::default()).await;
        }
        std::future::pending::<()>().await;
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}

/// One helper for the task, created until the API server says that it is.
pub(super) async fn once(client: Arc<dyn Client>, ambient: Ambient) {
    let work = async {
        let _ = client.wait_for::<ConfigMap, _>(&key("task"), |task| task.is_some()).await;
        let helpers = client.read_all::<ConfigMap>("default").await.unwrap_or_default();
        let is_helper = |found: &ConfigMap| found.metadata.generate_name.as_deref() == Some("helper-");
        if !helpers.iter().any(|found| is_helper(found)) {
            let mut helper = ConfigMap::default();
            helper.metadata.generate_name = Some("helper-".into());
            helper.metadata.namespace = Some("default".into());
            while client.add(&helper).await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        std::future::pending::<()>().await;
    };
    ambient.tasks.cancelled().run_until_cancelled(work).await;
}
