//! Can my kube-rs code run against a cluster in my process, without a socket?
//!
//! `cargo run -p examples --example kube_rs_client`

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, PostParams},
    runtime::{WatchStreamExt, wait::await_condition, wait::conditions, watcher},
};
use orch::Cluster;
use serde_json::{from_value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().simulated_nodes(1).build().await?;
    let pods: Api<Pod> = Api::default_namespaced(cluster.kube_client());

    let pod: Pod = from_value(json!({
        "metadata": {"name": "hello"},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    }))?;
    pods.create(&PostParams::default(), &pod).await?;

    // kube-rs' own watcher, with all that it knows about lists, watches and bookmarks.
    let mut changes = watcher(pods.clone(), watcher::Config::default()).applied_objects().boxed();
    while let Some(pod) = changes.try_next().await? {
        let phase = pod.status.and_then(|s| s.phase).unwrap_or_default();
        println!("hello is {phase}");
        if phase == "Running" {
            break;
        }
    }
    await_condition(pods.clone(), "hello", conditions::is_pod_running()).await?;

    // Exec is a WebSocket: over a stream in memory it works as over a network.
    let mut session = pods.exec("hello", ["echo", "from inside"], &AttachParams::default().stderr(false)).await?;
    let status = session.take_status().ok_or("a session has a status")?.await;
    println!("exec ended with {}", status.and_then(|s| s.status).unwrap_or_default());
    cluster.stop().await;
    Ok(())
}
