//! How does one program look after several clusters? One manager runs the same reconciler over each, with the caches of
//! each. This one keeps a notice in the east as it is in the west.
//!
//! `cargo run -p examples --example two_clusters`, `cargo test -p examples --example two_clusters`

use async_trait::async_trait;
use k8s_openapi::api::core::v1::ConfigMap;
use orch::{
    Cluster,
    api::{Key, Object},
    runtime::{
        Context, Error, Manager, Reconciler, Requeue, Watches,
        predicate::{self, Matters},
    },
    store::{Client, ClientExt, Stored},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Runs over both clusters. What the west says goes: a change in the east is undone.
struct Mirror {
    west: Arc<dyn Client>,
    east: Arc<dyn Client>,
}

#[async_trait]
impl Reconciler for Mirror {
    type Kind = ConfigMap;

    async fn reconcile(&self, map: Arc<ConfigMap>, _: &Context) -> Result<Requeue, Error> {
        self.settle(&map.key()).await
    }

    async fn gone(&self, key: &Key, _: &Context) -> Result<(), Error> {
        self.settle(key).await.map(drop)
    }
}

impl Mirror {
    /// Whichever cluster woke us, both are looked at: what the other one has now is asked for, since its caches are
    /// another loop's.
    async fn settle(&self, key: &Key) -> Result<Requeue, Error> {
        let (wanted, found) = (self.west.find::<ConfigMap>(key).await?, self.east.find::<ConfigMap>(key).await?);
        match (wanted, found) {
            (None, Some(found)) => {
                self.east.remove_with::<ConfigMap>(&found.key(), &Default::default()).await?;
            }
            (Some(wanted), found) if found.as_ref().map(|found| &found.data) != Some(&wanted.data) => {
                let mut copy = ConfigMap { data: wanted.data.clone(), ..ConfigMap::default() };
                (copy.metadata.name, copy.metadata.namespace) =
                    (wanted.metadata.name.clone(), wanted.metadata.namespace.clone());
                copy.metadata.labels = wanted.metadata.labels.clone();
                self.east.apply(&copy, "mirror", true).await?;
            }
            _ => {}
        }
        Ok(Requeue::OnChange)
    }
}

fn watches() -> Watches {
    let mirrored = predicate::object(|map: &Stored| map.meta.labels.contains_key("mirrored"));
    Watches::root::<ConfigMap>().only(predicate::resource_version.and(mirrored))
}

async fn says(cluster: &Cluster, words: Option<&str>) -> Result<(), Box<dyn std::error::Error>> {
    let key = Key::new("default", "notice");
    let holds =
        |map: Option<&ConfigMap>| map.and_then(|map| map.data.as_ref()?.get("words")).map(String::as_str) == words;
    tokio::time::timeout(Duration::from_secs(30), cluster.client().wait_for(&key, holds)).await??;
    Ok(())
}

async fn story(west: Cluster, east: Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let mirror = Mirror { west: west.client(), east: east.client() };
    // `ctx.cluster` says which one an object is in; the first one has no name.
    let manager = Manager::new(&west.caches(), west.ambient()).cluster("east", &east.caches()).reconciler(
        "mirror",
        watches(),
        mirror,
    );
    west.ambient().tasks.spawn_graceful(async move { drop(manager.run(std::future::pending()).await) });

    let notice = |words: &str| json!({"metadata": {"labels": {"mirrored": "yes"}}, "data": {"words": words}});
    let mut map: ConfigMap = serde_json::from_value(notice("closed on Sundays"))?;
    (map.metadata.name, map.metadata.namespace) = (Some("notice".into()), Some("default".into()));
    west.client().add(&map).await?;
    says(&east, Some("closed on Sundays")).await?;
    let key = Key::new("default", "notice");
    east.client().merge::<ConfigMap>(&key, notice("always open")).await?;
    says(&east, Some("closed on Sundays")).await?;
    west.client().remove::<ConfigMap>(&key).await?;
    says(&east, None).await?;
    west.stop().await;
    east.stop().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (west, east) = (Cluster::builder().build().await?, Cluster::builder().build().await?);
    story(west, east).await?;
    println!("the east says what the west says");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_the_west_says_goes() {
    let (west, east) =
        (Cluster::builder().seed(1).build().await.unwrap(), Cluster::builder().seed(2).build().await.unwrap());
    story(west, east).await.unwrap();
}
