//! What a pod writes into its claim outlives the pod and orch, and goes with the claim.

use crate::{
    cluster::{Orch, connect, until},
    namespaces::inside,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, LogParams, PostParams},
};
use serde_json::{Value, json};
use std::path::PathBuf;

#[test]
fn data_outlives_its_pod_and_orch() {
    if inside("volumes::data_outlives_its_pod_and_orch") {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(story());
    }
}

async fn story() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::Builder::new().prefix("orch-volumes-").tempdir().unwrap();
    let mut orch = Orch::up(dir.path());
    let client = connect(dir.path()).await;
    claims(&client).create(&PostParams::default(), &claim()).await.unwrap();
    run(&client, "writer", &["write", "/data/file", "kept through thick and thin"]).await;
    let path = path(&client).await;
    assert!(path.starts_with(dir.path()), "{}", path.display());
    remove(&client, "writer").await;

    orch.kill();
    orch = Orch::up(dir.path());
    let client = connect(dir.path()).await;
    assert_eq!(run(&client, "reader", &["cat", "/data/file"]).await, "kept through thick and thin\n");
    remove(&client, "reader").await;

    claims(&client).delete("data", &DeleteParams::default()).await.unwrap();
    until("the end of the volume", async || {
        let volumes = Api::<PersistentVolume>::all(client.clone()).list(&ListParams::default()).await.unwrap();
        volumes.items.is_empty()
    })
    .await;
    assert!(!path.exists(), "{} is left behind", path.display());
    orch.down();
}

fn claims(client: &Client) -> Api<PersistentVolumeClaim> {
    Api::default_namespaced(client.clone())
}

/// A claim that names no class, and so gets the default one.
fn claim() -> PersistentVolumeClaim {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    serde_json::from_value(json!({"metadata": {"name": "data"}, "spec": spec})).unwrap()
}

/// Runs a command in a pod with the claim to its end: what it printed.
async fn run(client: &Client, name: &str, command: &[&str]) -> String {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let container = json!({"name": "main", "image": "orch.local/toolbox:latest", "command": command,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let pod: Value = json!({"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    until("the end of the command", async || {
        let pod = pods.get(name).await.unwrap();
        pod.status.and_then(|status| status.phase).as_deref() == Some("Succeeded")
    })
    .await;
    pods.logs(name, &LogParams::default()).await.unwrap()
}

async fn remove(client: &Client, name: &str) {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    until("the end of the pod", async || pods.get_opt(name).await.unwrap().is_none()).await;
}

/// Where the volume of the claim is on the node.
async fn path(client: &Client) -> PathBuf {
    let claim = claims(client).get("data").await.unwrap();
    assert_eq!(claim.spec.as_ref().unwrap().storage_class_name.as_deref(), Some("local"));
    let name = claim.spec.unwrap().volume_name.unwrap();
    let volume = Api::<PersistentVolume>::all(client.clone()).get(&name).await.unwrap();
    volume.spec.unwrap().local.unwrap().path.into()
}
