//! Whoever panics is named, and the rest of the cluster goes on.

use crate::world::{becomes, condition, is_ready, key};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use orch::{
    Cluster,
    api::{
        StatusError,
        review::{AdmissionRequest, AdmissionResponse},
    },
    controllers::scheduler::default_profile,
    runtime::scheduler::{Bind, Cycle, Filter, NodeInfo, Plugin, PodInfo, Points, Profile, Rejection},
    store::{AdmissionHook, Client, ClientExt},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Panics for pods of that name while it is broken.
struct Fragile(Arc<AtomicBool>);

impl Fragile {
    fn at(&self, pod: &PodInfo, name: &str) {
        assert!(*pod.key.name != *name || !self.0.load(Ordering::Relaxed), "{name} is too heavy");
    }
}

impl Plugin for Fragile {
    fn name(&self) -> &'static str {
        "Fragile"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.filter(self.clone());
        points.bind.insert(0, self);
    }
}

impl Filter for Fragile {
    fn filter(&self, _: &Cycle, pod: &PodInfo, _: &NodeInfo) -> Result<(), Rejection> {
        self.at(pod, "filtered");
        Ok(())
    }
}

#[async_trait]
impl Bind for Fragile {
    async fn bind(&self, _: &dyn Client, pod: &PodInfo, _: &str) -> Result<bool, StatusError> {
        self.at(pod, "bound");
        Ok(false)
    }
}

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"schedulerName": "fragile",
        "containers": [{"name": "main", "image": "app:1"}]}})
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_plugin_that_panics_is_named_by_its_pods_and_the_others_run() {
    let broken = Arc::new(AtomicBool::new(true));
    let profile = Profile { scheduler: "fragile".into(), ..default_profile() }.with(Fragile(broken.clone()));
    let cluster = Cluster::builder().seed(1).simulated_nodes(2).scheduler_profile(profile).build().await.unwrap();
    let client = cluster.client();
    for name in ["filtered", "bound", "sound"] {
        client.add::<Pod>(&serde_json::from_value(pod(name)).unwrap()).await.unwrap();
    }
    becomes::<Pod>(&cluster, &key("sound"), is_ready).await;
    let failed = becomes::<Pod>(&cluster, &key("filtered"), |pod| condition(pod, "PodScheduled").is_some()).await;
    let words = "running \"Fragile\" filter plugin: it panicked: filtered is too heavy";
    let expected = ("False".to_owned(), "SchedulerError".to_owned(), words.to_owned());
    assert_eq!(condition(&failed, "PodScheduled"), Some(expected));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = client.read_all::<Event>("default").await.unwrap();
    for words in [words, "running Bind plugin \"Fragile\": it panicked: bound is too heavy"] {
        let said = |event: &Event| {
            event.reason.as_deref() == Some("FailedScheduling")
                && event.message.as_deref().is_some_and(|m| m.contains(words))
        };
        assert!(events.iter().any(|event| said(event)), "{words}: {events:?}");
    }
    broken.store(false, Ordering::Relaxed);
    becomes::<Pod>(&cluster, &key("filtered"), is_ready).await;
    becomes::<Pod>(&cluster, &key("bound"), is_ready).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_panics_refuses_its_request_and_no_other() {
    async fn judge(request: AdmissionRequest) -> AdmissionResponse {
        assert!(request.name != "bad", "there is no such name");
        AdmissionResponse::allow()
    }
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]});
    let webhook = json!({"name": "names.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "failurePolicy": "Fail", "clientConfig": {}, "rules": [rule]});
    let hook = AdmissionHook::validating(serde_json::from_value(webhook).unwrap(), judge);
    let cluster = Cluster::builder().seed(1).admission_hook(hook).build().await.unwrap();
    let client = cluster.client();
    let map = |name: &str| serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}})).unwrap();
    let refused = client.add::<ConfigMap>(&map("bad")).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "Internal error occurred: failed calling webhook \"names.example.com\": the handler has panicked"
    );
    client.add::<ConfigMap>(&map("good")).await.unwrap();
    client
        .add::<Secret>(&serde_json::from_value(json!({"metadata": {"name": "bad", "namespace": "default"}})).unwrap())
        .await
        .unwrap();
    cluster.stop().await;
}
