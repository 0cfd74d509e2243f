//! Custom kinds from their types: registered, and from then on like any other kind.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{CustomResource, CustomResourceExt, KubeSchema};
use orch::{
    Cluster,
    api::{Gvr, Key, Object, owner},
    cluster::RegisterError,
    store::{
        ClientExt,
        client::{DeleteOptions, Propagation},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};
use std::{sync::Arc, time::Duration};

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema)]
#[kube(group = "example.com", version = "v1", kind = "Garden", namespaced)]
#[kube(status = "GardenStatus", shortname = "gd")]
#[x_kube(validation = "self.trees <= self.area")]
struct GardenSpec {
    trees: i64,
    area: i64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct GardenStatus {
    blooming: bool,
}

/// Another kind that wants the name of a garden.
mod other {
    use super::*;

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    #[kube(
        group = "example.com",
        version = "v1",
        kind = "Gardener",
        plural = "gardeners",
        shortname = "gd",
        namespaced
    )]
    pub(super) struct GardenerSpec {
        name: String,
    }
}

/// A kind whose rule does not compile.
mod wrong {
    use super::*;

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, KubeSchema)]
    #[kube(group = "example.com", version = "v1", kind = "Wrong", namespaced)]
    #[x_kube(validation = "self.nothing > 3")]
    pub(super) struct WrongSpec {
        name: String,
    }
}

async fn start() -> Cluster {
    Cluster::builder().seed(1).build().await.unwrap()
}

fn garden(name: &str, namespace: &str, trees: i64) -> Garden {
    let mut garden = Garden::new(name, GardenSpec { trees, area: 10 });
    garden.metadata.namespace = Some(namespace.into());
    garden
}

/// More virtual time than anything here needs.
async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(600), wait).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

async fn until_gone<K: Object>(cluster: &Cluster, key: &Key) {
    let client = cluster.client();
    soon("gone", client.wait_for::<K, _>(key, |found| found.is_none())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_registered_kind_is_served_validated_and_watched() {
    let cluster = start().await;
    cluster.register::<Garden>().await.unwrap();
    let client = cluster.client();
    let made = client.add(&garden("a", "default", 3)).await.unwrap();
    let refused = client.add(&garden("b", "default", 30)).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "Garden.example.com \"b\" is invalid: spec: Invalid value: failed rule: self.trees <= self.area"
    );
    let informer = cluster.informers().of::<Garden>();
    soon("synced", informer.synced()).await;
    let seen: Arc<Garden> = informer.get(&made.key()).unwrap().decode().unwrap();
    assert_eq!(seen.spec.trees, 3);
    let mut blooming = Garden::clone(&made);
    blooming.status = Some(GardenStatus { blooming: true });
    client.replace_status(&blooming).await.unwrap();
    let key = made.key();
    let seen = client.wait_for::<Garden, _>(&key, |g| g.and_then(|g| g.status.as_ref()).is_some_and(|s| s.blooming));
    soon("the status", seen).await.unwrap();
    cluster.register::<Garden>().await.expect("again, it changes nothing");
    assert_eq!(client.read_all::<Garden>("default").await.unwrap().len(), 1);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn why_a_kind_is_not_served_is_told_apart() {
    let cluster = start().await;
    match cluster.register::<wrong::Wrong>().await {
        Err(RegisterError::Refused { name, status }) => {
            assert_eq!(name, "wrongs.example.com");
            assert!(status.message().contains("undefined field 'nothing'"), "{status}");
        }
        other => panic!("{other:?}"),
    }
    cluster.register::<Garden>().await.unwrap();
    match cluster.register::<other::Gardener>().await {
        Err(RegisterError::NamesTaken { name, message }) => {
            assert_eq!((&*name, &*message), ("gardeners.example.com", "\"gd\" is already in use"));
        }
        other => panic!("{other:?}"),
    }
    let mut converted = Garden::crd();
    converted.metadata.name = Some("others.example.com".into());
    let mut converted: Value = serde_json::to_value(converted).unwrap();
    converted["spec"]["names"] = json!({"plural": "others", "kind": "Other"});
    converted["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://localhost/convert", "caBundle": "bm9uc2Vuc2U="}}});
    match cluster.define(from_value(converted).unwrap()).await {
        Err(RegisterError::NotEstablished { reason, message, .. }) => {
            assert_eq!((&*reason, &*message), ("InvalidCABundle", "The conversion webhook CABundle is invalid"));
        }
        other => panic!("{other:?}"),
    }
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dependents_of_a_custom_object_go_with_it_and_it_goes_with_its_owner() {
    let cluster = start().await;
    cluster.register::<Garden>().await.unwrap();
    let client = cluster.client();
    let config = |name: &str, references: Value| -> ConfigMap {
        from_value(json!({"metadata": {"name": name, "namespace": "default", "ownerReferences": references}})).unwrap()
    };
    let root = client.add(&config("root", json!([]))).await.unwrap();
    let mut owned = garden("a", "default", 1);
    owned.metadata.owner_references = Some(vec![owner::controller_reference(&*root)]);
    let owned = client.add(&owned).await.unwrap();
    let leaf = client.add(&config("leaf", json!([owner::controller_reference(&*owned)]))).await.unwrap();
    let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
    client.delete(&Gvr::of("", "v1", "configmaps"), &root.key(), &options).await.unwrap();
    until_gone::<Garden>(&cluster, &owned.key()).await;
    until_gone::<ConfigMap>(&cluster, &leaf.key()).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreground_deletion_of_a_custom_object_waits_for_its_dependents() {
    let cluster = start().await;
    cluster.register::<Garden>().await.unwrap();
    let client = cluster.client();
    let owner = client.add(&garden("a", "default", 1)).await.unwrap();
    let leaf: ConfigMap = from_value(json!({"metadata": {"name": "leaf", "namespace": "default",
        "finalizers": ["example.com/hold"], "ownerReferences": [owner::controller_reference(&*owner)]}}))
    .unwrap();
    let leaf = client.add(&leaf).await.unwrap();
    let options = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    client.delete(&Garden::gvr(), &owner.key(), &options).await.unwrap();
    let key = leaf.key();
    let going =
        client.wait_for::<ConfigMap, _>(&key, |leaf| leaf.is_some_and(|l| l.metadata.deletion_timestamp.is_some()));
    let going: Arc<ConfigMap> = soon("the leaf is asked to go", going).await.unwrap().unwrap();
    assert!(client.find::<Garden>(&owner.key()).await.unwrap().is_some(), "the owner waits");
    let mut free = ConfigMap::clone(&going);
    free.metadata.finalizers = None;
    client.replace(&free).await.unwrap();
    until_gone::<Garden>(&cluster, &owner.key()).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_custom_objects_with_it() {
    let cluster = start().await;
    cluster.register::<Garden>().await.unwrap();
    let client = cluster.client();
    client.add::<Namespace>(&from_value(json!({"metadata": {"name": "park"}})).unwrap()).await.unwrap();
    client.add(&garden("a", "park", 1)).await.unwrap();
    client.add(&garden("a", "default", 1)).await.unwrap();
    client.delete(&Namespace::gvr(), &Key::cluster("park"), &DeleteOptions::default()).await.unwrap();
    until_gone::<Namespace>(&cluster, &Key::cluster("park")).await;
    assert_eq!(client.read_all::<Garden>("").await.unwrap().len(), 1, "that of another namespace is still there");
    cluster.stop().await;
}
