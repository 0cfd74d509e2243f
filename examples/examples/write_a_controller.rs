//! How do I write a controller, and test it against a real API server in milliseconds?
//!
//! `cargo run -p examples --example write_a_controller`, and its test: `cargo test -p examples --examples`

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use orch::{
    Cluster,
    api::Key,
    runtime::{Context, Error, Options, Reconciler, Requeue, Watches, reconciler},
    store::ClientExt,
};
use serde_json::{from_value, json};
use std::sync::Arc;

/// Gives every namespace a ConfigMap that says who to call.
struct Greeter;

#[async_trait]
impl Reconciler for Greeter {
    type Kind = Namespace;

    async fn reconcile(&self, namespace: Arc<Namespace>, ctx: &Context) -> Result<Requeue, Error> {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        if namespace.metadata.deletion_timestamp.is_none() {
            let map: ConfigMap = from_value(json!({
                "metadata": {"name": "on-call", "namespace": name},
                "data": {"phone": "555-0100"},
            }))
            .map_err(|e| Error::Terminal(e.to_string()))?;
            ctx.client.apply(&map, "greeter", true).await?;
        }
        Ok(Requeue::OnChange)
    }
}

/// Runs it in a cluster until that stops. The caches would work as well over the client of any other cluster.
fn start(cluster: &Cluster) {
    let watches = Watches::root::<Namespace>().owns::<ConfigMap>();
    let greeter =
        reconciler::run("greeter", Greeter, watches, cluster.caches(), cluster.ambient().clone(), Options::default());
    cluster.ambient().tasks.spawn_graceful(greeter);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().build().await?;
    start(&cluster);
    let greeting =
        cluster.client().wait_for::<ConfigMap, _>(&Key::new("default", "on-call"), |map| map.is_some()).await?;
    println!("{:?}", greeting.and_then(|map| map.data.clone()).unwrap_or_default());
    cluster.stop().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_is_greeted() {
    let cluster = Cluster::builder().seed(7).build().await.unwrap();
    start(&cluster);
    let team: Namespace = from_value(json!({"metadata": {"name": "team"}})).unwrap();
    cluster.client().add(&team).await.unwrap();
    let key = Key::new("team", "on-call");
    let map = cluster.client().wait_for::<ConfigMap, _>(&key, |map| map.is_some()).await.unwrap().unwrap();
    assert_eq!(map.data.as_ref().unwrap()["phone"], "555-0100");
}
