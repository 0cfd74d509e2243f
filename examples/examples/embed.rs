//! How do I run a cluster in my own program? This one runs a Deployment on three simulated nodes and lists its
//! pods, in one process, without a socket. `cargo run -p examples --example embed`

use orch::{
    Cluster,
    api::{
        Key,
        k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod},
    },
    store::ClientExt,
};
use serde_json::json;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().simulated_nodes(3).build().await?;
    let client = cluster.client(); // Shares the stored bytes. `cluster.kube_client()` is a kube-rs client.
    client.add(&web(3)?).await?;

    let key = Key::new("default", "web");
    let ready = client.wait_for(&key, |web: Option<&Deployment>| {
        web.and_then(|web| web.status.as_ref()).is_some_and(|status| status.ready_replicas == Some(3))
    });
    tokio::time::timeout(Duration::from_secs(30), ready).await??;

    for pod in client.read_all::<Pod>("default").await? {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        println!("{} runs on {}", pod.metadata.name.as_deref().unwrap_or("?"), node.unwrap_or("?"));
    }
    cluster.stop().await;
    Ok(())
}

fn web(replicas: i32) -> Result<Deployment, serde_json::Error> {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "example.org/web:1" }] },
            },
        },
    }))
}
