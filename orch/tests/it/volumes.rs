//! Claims in a whole cluster, and what becomes of those that nobody can satisfy.

use crate::world::{World, key};
use k8s_openapi::api::{
    core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use orch::{api::Key, store::ClientExt};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

impl World {
    async fn claim(&self, name: &str, change: impl Fn(&mut Value)) {
        let mut claim = json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
        change(&mut claim);
        self.add::<PersistentVolumeClaim>(claim).await;
    }

    async fn pod(&self, name: &str, claim: &str) {
        self.add::<Pod>(json!({"metadata": {"name": name, "namespace": "default"}, "spec": {
            "containers": [{"name": "main", "image": "app:1"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]}}))
            .await;
    }

    async fn running(&self, name: &str) {
        let runs = |pod: Option<&Pod>| pod.and_then(|p| p.status.as_ref()?.phase.as_deref()) == Some("Running");
        self.until(&key(name), runs).await;
    }

    /// The messages of an object's events of one reason.
    async fn told(&self, name: &str, reason: &str) -> Vec<String> {
        let events = self.0.client().read_all::<Event>("default").await.unwrap();
        let about = |event: &&Arc<Event>| {
            event.involved_object.name.as_deref() == Some(name) && event.reason.as_deref() == Some(reason)
        };
        events.iter().filter(about).filter_map(|event| event.message.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_a_class_gets_a_volume_of_the_nodes() {
    let world = World::start(3).await;
    let class: Arc<StorageClass> = world.0.client().read(&Key::cluster("local")).await.unwrap();
    assert_eq!(class.provisioner, orch::node::provision::PROVISIONER);
    world.claim("data", |_| {}).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let waits = ["waiting for first consumer to be created before binding"];
    assert_eq!(world.told("data", "WaitForFirstConsumer").await, waits);
    world.pod("user", "data").await;
    world.running("user").await;

    let pod: Arc<Pod> = world.0.client().read(&key("user")).await.unwrap();
    let node = pod.spec.as_ref().unwrap().node_name.clone().unwrap();
    let volumes = world.0.client().read_all::<PersistentVolume>("").await.unwrap();
    let [volume] = &volumes[..] else { panic!("{volumes:?}") };
    let volume = serde_json::to_value(&**volume).unwrap();
    let terms = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!((&terms["key"], &terms["values"]), (&json!("kubernetes.io/hostname"), &json!([node])));
    assert_eq!(volume["status"]["phase"], "Bound");
    assert!(volume["status"]["lastPhaseTransitionTime"].is_string(), "{volume}");
}

#[tokio::test(start_paused = true)]
async fn what_no_node_can_make_is_told_once_and_waits_in_peace() {
    let world = World::start(1).await;
    world.claim("shared", |claim| claim["spec"]["accessModes"] = json!(["ReadWriteMany"])).await;
    world.pod("user", "shared").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let why = "a directory of a node can be had as ReadWriteOnce or ReadWriteOncePod only";
    let words = format!("failed to provision volume with StorageClass \"local\": {why}");
    assert_eq!(world.told("shared", "ProvisioningFailed").await, [words]);
    let key = key("shared");
    let before: Arc<PersistentVolumeClaim> = world.0.client().read(&key).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let after: Arc<PersistentVolumeClaim> = world.0.client().read(&key).await.unwrap();
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version, "nobody writes");
}

#[tokio::test(start_paused = true)]
async fn a_claim_whose_node_is_gone_is_scheduled_anew() {
    let world = World::start(1).await;
    let marks = json!({"volume.kubernetes.io/selected-node": "gone",
        "volume.kubernetes.io/storage-provisioner": orch::node::provision::PROVISIONER});
    world.claim("data", |claim| claim["metadata"]["annotations"] = marks.clone()).await;
    world.pod("user", "data").await;
    world.running("user").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_grows_while_it_is_used_and_does_not_shrink() {
    let world = World::start(1).await;
    world.claim("data", |_| {}).await;
    world.pod("user", "data").await;
    world.running("user").await;
    let key = key("data");
    let ask = async |size: &str| {
        let claim: Arc<PersistentVolumeClaim> = world.0.client().read(&key).await.unwrap();
        let mut claim = serde_json::to_value(&*claim).unwrap();
        claim["spec"]["resources"]["requests"]["storage"] = json!(size);
        world.0.client().replace(&serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()).await
    };
    ask("5Gi").await.unwrap();
    let has = |claim: Option<&PersistentVolumeClaim>| {
        let capacity = claim.and_then(|c| c.status.as_ref()?.capacity.as_ref()?.get("storage"));
        capacity.is_some_and(|size| size.0 == "5Gi")
    };
    world.until(&key, has).await;
    // Events are written beside the objects.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.told("data", "VolumeResizeSuccessful").await, ["Resize volume succeeded"]);
    let refused = ask("2Gi").await.unwrap_err();
    assert!(refused.message().contains("field can not be less than status.capacity"), "{refused}");
}
