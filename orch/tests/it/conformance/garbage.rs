//! `test/e2e/apimachinery/garbage_collector.go`.

use super::world::*;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Pod, ReplicationController},
};
use orch::store::client::{DeleteOptions, Propagation};
use serde_json::{Value, json};
use std::time::Duration;

/// Enough for many deletions at once (upstream takes 10 to 100, by the size of the cluster).
const MANY: usize = 20;

fn replication_controller(name: &str, replicas: usize) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"name": name},
        "template": template(name, "app:1")}})
}

fn deployment() -> Value {
    json!({"metadata": {"name": "simpletest.deployment"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": {"name": "simpletest"}}, "template": template("simpletest", "app:1")}})
}

/// A deletion of this very object.
fn of(object: &Value, propagation: Propagation) -> DeleteOptions {
    let uid = object["metadata"]["uid"].as_str().unwrap();
    DeleteOptions { uid: Some(uid.into()), propagation: Some(propagation), ..DeleteOptions::default() }
}

impl World {
    async fn replicated(&self, name: &str, replicas: usize) -> Value {
        let made = self.kind::<ReplicationController>().create(replication_controller(name, replicas)).await;
        let counted = |rc: &Value| rc["status"]["replicas"].as_u64() == Some(replicas as u64);
        self.kind::<ReplicationController>().until_one("all replicas", name, counted).await;
        made
    }

    /// How many Deployments, ReplicaSets and pods there are.
    async fn remaining(&self) -> (usize, usize, usize) {
        let deployments = self.kind::<Deployment>().list("").await.len();
        (deployments, self.kind::<ReplicaSet>().list("").await.len(), self.kind::<Pod>().list("").await.len())
    }
}

/// [sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_go_after_their_controller() {
    let here = World::start().await;
    let controllers = here.kind::<ReplicationController>();
    let made = controllers.create(replication_controller("simpletest.rc", 2)).await;
    here.kind::<Pod>().until("some pods", "", |pods| !pods.is_empty()).await;
    controllers.delete_with("simpletest.rc", &of(&made, Propagation::Background)).await;
    here.kind::<Pod>().until("no pods", "", <[Value]>::is_empty).await;
    assert!(controllers.list("").await.is_empty());
}

/// [sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn orphans_outlive_their_controller() {
    let here = World::start().await;
    let made = here.replicated("simpletest.rc", MANY).await;
    let controllers = here.kind::<ReplicationController>();
    controllers.delete_with("simpletest.rc", &of(&made, Propagation::Orphan)).await;
    controllers.until("the end of the controller", "", <[Value]>::is_empty).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(here.kind::<Pod>().list("").await.len(), MANY);
}

/// [sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning [Conformance]
#[tokio::test(start_paused = true)]
async fn replica_sets_and_pods_go_after_their_deployment() {
    let here = World::start().await;
    let made = here.kind::<Deployment>().create(deployment()).await;
    here.kind::<ReplicaSet>().until("a set", "", |sets| !sets.is_empty()).await;
    here.kind::<Deployment>().delete_with("simpletest.deployment", &of(&made, Propagation::Background)).await;
    here.kind::<ReplicaSet>().until("no set", "", <[Value]>::is_empty).await;
    here.kind::<Pod>().until("no pods", "", <[Value]>::is_empty).await;
    assert_eq!(here.remaining().await, (0, 0, 0));
}

/// [sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan [Conformance]
#[tokio::test(start_paused = true)]
async fn an_orphaned_replica_set_keeps_its_pods() {
    let here = World::start().await;
    let made = here.kind::<Deployment>().create(deployment()).await;
    let set = here.kind::<ReplicaSet>().until("a set", "", |sets| !sets.is_empty()).await.remove(0);
    let generation = set["metadata"]["generation"].as_u64();
    let counted =
        |set: &Value| set["status"]["observedGeneration"].as_u64() >= generation && set["status"]["replicas"] == 2;
    here.kind::<ReplicaSet>().until_one("its count", &name(&set), counted).await;
    let deployments = here.kind::<Deployment>();
    deployments.delete_with("simpletest.deployment", &of(&made, Propagation::Orphan)).await;
    deployments.until("the end of the Deployment", "", <[Value]>::is_empty).await;
    assert_eq!(here.remaining().await, (0, 1, 2));
    assert!(here.kind::<ReplicaSet>().list("").await.iter().all(|set| controller(set).is_none()));
}

/// [sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_controller_stays_until_its_pods_are_gone() {
    let here = World::start().await;
    let made = here.replicated("simpletest.rc", MANY).await;
    let controllers = here.kind::<ReplicationController>();
    let mut pods = here.kind::<Pod>().watch("", revision(&made)).await;
    let mut ends = controllers.watch("", revision(&made)).await;
    controllers.delete_with("simpletest.rc", &of(&made, Propagation::Foreground)).await;
    let gone = ends.until("DELETED", |_| true).await;
    assert!(here.kind::<Pod>().list("").await.is_empty());
    for _ in 0..MANY {
        assert!(revision(&pods.until("DELETED", |_| true).await) < revision(&gone), "no pod outlives it");
    }
}

/// [sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn pods_with_another_owner_stay() {
    let here = World::start().await;
    let going = here.replicated("simpletest-rc-to-be-deleted", MANY).await;
    let staying = here.kind::<ReplicationController>().create(replication_controller("simpletest-rc-to-stay", 0)).await;
    let owner = json!({"apiVersion": "v1", "kind": "ReplicationController", "name": name(&staying),
        "uid": staying["metadata"]["uid"]});
    let pods = here.kind::<Pod>();
    for pod in &pods.list("").await[..MANY / 2] {
        pods.patch(&name(pod), json!({"metadata": {"ownerReferences": [owner]}})).await;
    }
    let controllers = here.kind::<ReplicationController>();
    controllers.delete_with(&name(&going), &of(&going, Propagation::Foreground)).await;
    controllers.until_gone(&name(&going)).await;
    let left = pods.list("").await;
    assert_eq!(left.len(), MANY / 2);
    for pod in left {
        assert!(pod["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(pod["metadata"]["ownerReferences"], json!([owner]));
    }
}

/// [sig-api-machinery] Garbage collector should not be blocked by dependency circle [Conformance]
#[tokio::test(start_paused = true)]
async fn a_circle_of_owners_is_deleted() {
    let here = World::start().await;
    let pods = here.kind::<Pod>();
    let mut made = Vec::new();
    for name in ["pod1", "pod2", "pod3"] {
        made.push(pods.create(pod(name, json!({}))).await);
    }
    for (at, owner) in [(0, 2), (1, 0), (2, 1)] {
        let owner: &Value = &made[owner];
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": name(owner), "uid": owner["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true});
        pods.patch(&name(&made[at]), json!({"metadata": {"ownerReferences": [owner]}})).await;
    }
    pods.delete_with("pod1", &of(&made[0], Propagation::Foreground)).await;
    pods.until("no pods", "", <[Value]>::is_empty).await;
}
