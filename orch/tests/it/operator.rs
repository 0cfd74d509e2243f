//! One operator, two transports: in process, and over kube-client as against any Kubernetes API server.

use async_trait::async_trait;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Event},
};
use orch::{
    Cluster,
    api::{Key, Object, owner},
    runtime::{
        Context, Error, Manager, Reconciler, Requeue, Watches,
        finalizer::{Stage, finalizer},
        leader::Election,
        plan::Notice,
        predicate::{self, Matters},
        view::Caches,
        wait,
    },
    store::{Client, ClientExt, Informers, remote::RemoteClient},
};
use serde_json::{from_value, json};
use std::{sync::Arc, time::Duration};

/// Runs a deployment for every config map with a `site` label, and signs it off in an annotation when it goes.
struct Sites;

#[async_trait]
impl Reconciler for Sites {
    type Kind = ConfigMap;

    async fn reconcile(&self, site: Arc<ConfigMap>, ctx: &Context) -> Result<Requeue, Error> {
        if site.metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key("site")) {
            return Ok(Requeue::OnChange);
        }
        finalizer(ctx, site, "example.com/site", async |stage| match stage {
            Stage::Apply(site) => apply(&site, ctx).await,
            Stage::Cleanup(site) => {
                ctx.recorder.record(Notice::normal(&*site, "Closed", "the site is closed"));
                Ok(Requeue::OnChange)
            }
        })
        .await
    }
}

async fn apply(site: &ConfigMap, ctx: &Context) -> Result<Requeue, Error> {
    let replicas = site.data.as_ref().and_then(|data| data.get("replicas")?.parse().ok());
    let replicas: i32 = replicas.ok_or_else(|| Error::Terminal("data.replicas is not a number".into()))?;
    let name = site.metadata.name.clone().unwrap_or_default();
    let found: Option<Arc<Deployment>> = ctx.view().get(&site.key());
    if found.is_some_and(|found| found.spec.replicas == Some(replicas)) {
        return Ok(Requeue::OnChange);
    }
    let wanted: Deployment = from_value(json!({
        "metadata": {"name": name, "namespace": site.metadata.namespace,
            "ownerReferences": [owner::controller_reference(site)]},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
    }))
    .map_err(|error| Error::Terminal(error.to_string()))?;
    ctx.client.apply(&wanted, "sites", true).await?;
    let mine: Option<Arc<Deployment>> = ctx.fresh().await.get(&site.key());
    assert!(mine.is_some_and(|mine| mine.spec.replicas == Some(replicas)), "a fresh view has what was written");
    ctx.recorder.record(Notice::normal(site, "Opened", format!("{replicas} replicas")));
    Ok(Requeue::OnChange)
}

fn watches() -> Watches {
    Watches::root::<ConfigMap>()
        .only(predicate::resource_version.and(|delta: &orch::store::informer::Delta| delta.key().is_some()))
        .owns::<Deployment>()
        .only(predicate::generation)
}

/// The scenario, whatever the operator speaks to the server by.
async fn scenario(cluster: Cluster, client: Arc<dyn Client>) {
    let ambient = cluster.ambient().clone();
    let informers = Informers::new(client, ambient.child("operator"));
    let manager = Manager::new(&Caches::new(informers), &ambient)
        .lead(Election::new(Key::new("default", "sites"), "me"))
        .reconciler("sites", watches(), Sites);
    ambient.tasks.spawn_graceful(async move { manager.run(std::future::pending()).await.unwrap() });

    let user = cluster.client();
    let site = json!({"metadata": {"name": "shop", "namespace": "default", "labels": {"site": "yes"}},
        "data": {"replicas": "2"}});
    let site = user.add::<ConfigMap>(&from_value(site).unwrap()).await.unwrap();
    let key = Key::new("default", "shop");
    until(&user, &key, wait::deployment_completed).await;
    user.modify::<ConfigMap, _>(&key, |site| {
        drop(site.data.get_or_insert_default().insert("replicas".into(), "3".into()))
    })
    .await
    .unwrap();
    until::<Deployment>(&user, &key, |found| found.is_some_and(|found| found.spec.replicas == Some(3))).await;
    user.remove::<Deployment>(&key).await.unwrap();
    until(&user, &key, wait::deployment_completed).await;

    user.remove::<ConfigMap>(&key).await.unwrap();
    until(&user, &key, wait::deleted::<ConfigMap>(site.uid())).await;
    until::<Deployment>(&user, &key, |found| found.is_none()).await;
    let closed = async {
        while !user.read_all::<Event>("default").await.unwrap().iter().any(|e| e.reason.as_deref() == Some("Closed")) {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("an event says that it was closed");
    cluster.stop().await;
}

async fn until<K: Object>(client: &Arc<dyn Client>, key: &Key, holds: impl Fn(Option<&K>) -> bool + Send) {
    let wait = client.wait_for::<K, _>(key, holds);
    let result = tokio::time::timeout(Duration::from_secs(600), wait).await;
    result.unwrap_or_else(|_| panic!("{key}: {} is not as it should be", std::any::type_name::<K>())).unwrap();
}

async fn cluster() -> Cluster {
    Cluster::builder().seed(1).simulated_nodes(1).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_operator_runs_in_process() {
    let cluster = cluster().await;
    let client = cluster.client();
    scenario(cluster, client).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_operator_runs_over_http() {
    let cluster = cluster().await;
    let client = Arc::new(RemoteClient::new(cluster.kube_client()));
    scenario(cluster, client).await;
}

/// A write that is under way when the cluster stops waits for the watch cache, which must outlive it.
#[tokio::test(start_paused = true)]
async fn a_cluster_stops_at_once_also_while_its_loops_write() {
    for seed in 0..20 {
        let cluster = Cluster::builder().seed(seed).simulated_nodes(1).build().await.unwrap();
        let began = tokio::time::Instant::now();
        cluster.stop().await;
        assert!(began.elapsed() < Duration::from_secs(5), "seed {seed}: {:?}", began.elapsed());
    }
}
