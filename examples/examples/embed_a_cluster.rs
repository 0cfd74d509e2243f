//! How do I run a whole cluster inside my program?
//!
//! `cargo run -p examples --example embed_a_cluster`

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use orch::{Cluster, api::Key, store::ClientExt};
use serde_json::{from_value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // API server, every controller, the scheduler and three nodes, all in this process.
    let cluster = Cluster::builder().simulated_nodes(3).build().await?;
    let client = cluster.client();

    let deployment: Deployment = from_value(json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx"}]},
            },
        },
    }))?;
    client.add(&deployment).await?;

    // Waits for the state; nothing is polled.
    let ready = |d: Option<&Deployment>| d.and_then(|d| d.status.as_ref()?.ready_replicas) == Some(3);
    client.wait_for(&Key::new("default", "web"), ready).await?;

    for pod in client.read_all::<Pod>("default").await? {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref()).unwrap_or_default();
        let address = pod.status.as_ref().and_then(|s| s.pod_ip.as_deref()).unwrap_or_default();
        println!("{name} runs on {node} as {address}");
    }
    cluster.stop().await;
    Ok(())
}
