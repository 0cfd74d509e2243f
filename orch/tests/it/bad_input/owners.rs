//! Selectors and owner references that do not mean what somebody hoped.

use super::*;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ConfigMap};
use orch::store::client::{DeleteOptions, Propagation};

fn counts() -> [Gvr; 2] {
    [Pod::gvr(), ReplicaSet::gvr()]
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_matches_pods_of_another_owner_takes_them_only_once_they_have_none() {
    let world = World::start(2).await;
    world.add::<ReplicaSet>(replica_set("one", "web", 2)).await;
    world.add::<ReplicaSet>(replica_set("two", "web", 3)).await;
    world.until_all::<Pod>(|pods| pods.len() == 5 && pods.iter().all(|pod| condition(&**pod, "Ready").is_some())).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.pods_of("one").await, world.pods_of("two").await), (2, 3));
    assert_eq!(world.writes(&counts(), HOUR).await, 0);
    // Orphans are anybody's. Who has enough deletes those that are too many.
    let orphan = DeleteOptions { propagation: Some(Propagation::Orphan), ..DeleteOptions::default() };
    world.0.client().delete(&ReplicaSet::gvr(), &key("one"), &orphan).await.unwrap();
    world.until::<ReplicaSet>(&key("one"), |set| set.is_none()).await;
    world.until_all::<Pod>(|pods| pods.len() == 3).await;
    assert_eq!(world.pods_of("two").await, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.writes(&counts(), HOUR).await, 0);
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_owners_that_want_one_pod_do_not_fight_over_it() {
    let world = World::start(2).await;
    let mut alone = template("web");
    alone["metadata"]["name"] = json!("alone");
    alone["metadata"]["namespace"] = json!("default");
    let alone = world.add::<Pod>(alone).await;
    for name in ["one", "two"] {
        world.add::<ReplicaSet>(replica_set(name, "web", 1)).await;
    }
    world.until_all::<Pod>(|pods| pods.len() == 2 && pods.iter().all(|pod| !controller(&**pod).is_empty())).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.pods_of("one").await, world.pods_of("two").await), (1, 1));
    let kept = world.0.client().read::<Pod>(&key("alone")).await.unwrap();
    assert_eq!(kept.metadata.uid, alone.metadata.uid);
    assert_eq!(world.writes(&counts(), HOUR).await, 0);
    world.0.stop().await;
}

fn owned(name: &str, namespace: &str, owner: (&str, &str, &str)) -> Value {
    let (kind, of, uid) = owner;
    let api_version = if kind == "ReplicaSet" { "apps/v1" } else { "v1" };
    let owner = json!({"apiVersion": api_version, "kind": kind, "name": of, "uid": uid});
    json!({"metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]}})
}

#[tokio::test(start_paused = true)]
async fn what_names_an_owner_that_does_not_exist_goes_and_what_has_another_one_stays() {
    let world = World::start(0).await;
    let owner = world.add::<ConfigMap>(json!({"metadata": named("owner")})).await;
    world.add::<ConfigMap>(owned("lost", "default", ("ConfigMap", "nobody", "no-uid"))).await;
    world.add::<ConfigMap>(owned("other-uid", "default", ("ConfigMap", "owner", "no-uid"))).await;
    let mut two = owned("two", "default", ("ConfigMap", "owner", owner.metadata.uid.as_deref().unwrap()));
    let dead = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "no-uid"});
    two["metadata"]["ownerReferences"].as_array_mut().unwrap().push(dead);
    world.add::<ConfigMap>(two).await;
    world.add::<ConfigMap>(owned("unknown", "default", ("Nonsense", "a", "some-uid"))).await;
    world.until::<ConfigMap>(&key("lost"), |map| map.is_none()).await;
    world.until::<ConfigMap>(&key("other-uid"), |map| map.is_none()).await;
    let one = |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.metadata.owner_references.as_ref().is_some_and(|all| all.len() == 1))
    };
    let left = world.until::<ConfigMap>(&key("two"), one).await.unwrap();
    assert_eq!(left.metadata.owner_references.as_ref().unwrap()[0].name, "owner");
    // Of a kind that is not served nobody knows whether it is there.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(world.0.client().find::<ConfigMap>(&key("unknown")).await.unwrap().is_some());
    assert_eq!(world.writes(&[ConfigMap::gvr()], HOUR).await, 0);
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_another_namespace_is_none_and_that_is_said() {
    let world = World::start(0).await;
    let elsewhere = json!({"metadata": {"name": "owner", "namespace": "kube-system"}});
    let owner = world.add::<ConfigMap>(elsewhere).await;
    let uid = owner.metadata.uid.clone().unwrap();
    world.add::<ConfigMap>(owned("stray", "default", ("ConfigMap", "owner", &uid))).await;
    world.until::<ConfigMap>(&key("stray"), |map| map.is_none()).await;
    let message = world.event("OwnerRefInvalidNamespace").await;
    assert_eq!(
        message,
        format!(
            "ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: {uid}] does not exist in namespace \"default\""
        )
    );
    assert!(world.0.client().find::<ConfigMap>(&owner.key()).await.unwrap().is_some());
    world.0.stop().await;
}

#[tokio::test(start_paused = true)]
async fn owners_in_a_circle_live_until_one_of_them_is_deleted() {
    let world = World::start(0).await;
    let first = world.add::<ConfigMap>(json!({"metadata": named("first")})).await;
    let second = owned("second", "default", ("ConfigMap", "first", first.metadata.uid.as_deref().unwrap()));
    let second = world.add::<ConfigMap>(second).await;
    let back = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": second.metadata.uid, "blockOwnerDeletion": true}]);
    world.patch::<ConfigMap>(&key("first"), None, json!({"metadata": {"ownerReferences": back}})).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.writes(&[ConfigMap::gvr()], HOUR).await, 0);
    let foreground = DeleteOptions { propagation: Some(Propagation::Foreground), ..DeleteOptions::default() };
    world.0.client().delete(&ConfigMap::gvr(), &key("first"), &foreground).await.unwrap();
    world.until::<ConfigMap>(&key("first"), |map| map.is_none()).await;
    world.until::<ConfigMap>(&key("second"), |map| map.is_none()).await;
    world.0.stop().await;
}
