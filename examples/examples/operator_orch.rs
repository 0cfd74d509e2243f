//! How do I write an operator? This one runs a Deployment for every ConfigMap with the label `site`: with a finalizer,
//! owned objects, events, leader election, metrics, and a reconcile that reads what it wrote.
//! `cargo run -p examples --example operator_orch`

use async_trait::async_trait;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use orch::{
    Cluster,
    api::{Key, Object, owner},
    runtime::{
        Context, Error, Manager, Reconciler, Requeue, Watches,
        finalizer::{Stage, finalizer},
        leader::Election,
        plan::Notice,
        predicate, wait,
    },
    store::ClientExt,
};
use serde_json::{from_value, json};
use std::sync::Arc;

struct Sites;

#[async_trait]
impl Reconciler for Sites {
    type Kind = ConfigMap;

    async fn reconcile(&self, site: Arc<ConfigMap>, ctx: &Context) -> Result<Requeue, Error> {
        if site.metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key("site")) {
            return Ok(Requeue::OnChange);
        }
        finalizer(ctx, site, "example.com/site", async |stage| match stage {
            Stage::Apply(site) => open(&site, ctx).await,
            // The Deployment is collected with its owner. What is outside of the cluster would be removed here.
            Stage::Cleanup(_) => Ok(Requeue::OnChange),
        })
        .await
    }
}

async fn open(site: &ConfigMap, ctx: &Context) -> Result<Requeue, Error> {
    let replicas = site.data.as_ref().and_then(|data| data.get("replicas")?.parse::<i32>().ok());
    // Nothing helps but a change of the object, so do not try again before.
    let replicas = replicas.ok_or_else(|| Error::Terminal("data.replicas is not a number".into()))?;
    let found: Option<Arc<Deployment>> = ctx.view().get(&site.key());
    if found.is_some_and(|found| found.spec.replicas == Some(replicas)) {
        return Ok(Requeue::OnChange);
    }
    ctx.client.apply(&deployment(site, replicas)?, "sites", true).await?;
    ctx.recorder.record(Notice::normal(site, "Opened", format!("{replicas} replicas")));
    Ok(Requeue::OnChange)
}

fn deployment(site: &ConfigMap, replicas: i32) -> Result<Deployment, Error> {
    let name = site.metadata.name.clone().unwrap_or_default();
    from_value(json!({
        "metadata": {"name": name, "namespace": site.metadata.namespace,
            "ownerReferences": [owner::controller_reference(site)]},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
    }))
    .map_err(|error| Error::Terminal(error.to_string()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().simulated_nodes(1).build().await?;
    let manager = Manager::new(&cluster.caches(), cluster.ambient())
        .lead(Election::new(Key::new("default", "sites"), "this-process"))
        // A Deployment's status changes often and tells us nothing: only its spec matters.
        .reconciler("sites", Watches::root::<ConfigMap>().owns::<Deployment>().only(predicate::generation), Sites);
    let metrics = manager.metrics().clone();
    cluster.ambient().tasks.spawn_graceful(async move { drop(manager.run(std::future::pending()).await) });

    let (client, key) = (cluster.client(), Key::new("default", "shop"));
    let site = json!({"metadata": {"name": "shop", "namespace": "default", "labels": {"site": "yes"}},
        "data": {"replicas": "2"}});
    let site = client.add::<ConfigMap>(&from_value(site)?).await?;
    client.wait_for::<Deployment, _>(&key, wait::deployment_completed).await?;
    println!("the site is open");
    client.remove::<ConfigMap>(&key).await?;
    client.wait_for::<ConfigMap, _>(&key, wait::deleted(site.uid())).await?;
    println!("the site is closed");
    let text = metrics.text();
    let line = text.lines().find(|line| line.contains("reconcile_total") && line.contains("success"));
    println!("{}", line.unwrap_or("nothing was measured"));
    cluster.stop().await;
    Ok(())
}
