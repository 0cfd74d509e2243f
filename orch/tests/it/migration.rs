//! StorageVersionMigrations in process: custom objects are stored in a new version, built-in ones stay as they are.

use k8s_openapi::{
    api::{core::v1::ConfigMap, storagemigration::v1::StorageVersionMigration},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use orch::{
    Cluster,
    api::{Gvr, Key, Object, conditions},
    store::{
        ClientExt,
        client::{ListOptions, Patch, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const DEFINITION: &str = "widgets.example.com";

fn widgets(version: &'static str) -> Gvr {
    Gvr::of("example.com", version, "widgets")
}

fn definition() -> CustomResourceDefinition {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema});
    let definition = json!({
        "metadata": {"name": DEFINITION},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [version("v1", true), version("v2", false)]},
    });
    serde_json::from_value(definition).unwrap()
}

fn migration(name: &str, group: &str, resource: &str) -> StorageVersionMigration {
    let resource = json!({"group": group, "resource": resource});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"resource": resource}})).unwrap()
}

async fn until<K: Object>(cluster: &Cluster, name: &str, holds: impl Fn(&K) -> bool + Send + Sync) -> Arc<K> {
    let (client, key) = (cluster.client(), Key::cluster(name));
    let waits = client.wait_for::<K, _>(&key, |found| found.is_some_and(&holds));
    match tokio::time::timeout(Duration::from_secs(600), waits).await {
        Ok(found) => found.unwrap().unwrap(),
        Err(_) => {
            let last = client.find::<K>(&key).await.unwrap().map(|o| serde_json::to_string(&*o).unwrap());
            panic!("{name} does not become what it should be: {last:?}");
        }
    }
}

/// The conditions of a migration that is over: type, status, reason.
async fn ended(cluster: &Cluster, name: &str) -> Vec<String> {
    let over = |m: &StorageVersionMigration| {
        let all = m.status.iter().flat_map(|s| s.conditions.iter().flatten());
        conditions::find(all, "Running").is_some_and(|c| c.status == "False")
    };
    let migration = until::<StorageVersionMigration>(cluster, name, over).await;
    let all = migration.status.clone().unwrap().conditions.unwrap();
    all.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect()
}

/// The revision of each object by its name.
async fn revisions(cluster: &Cluster, gvr: &Gvr) -> BTreeMap<String, u64> {
    let page = cluster.client().list(gvr, &ListOptions::default()).await.unwrap();
    page.items.iter().map(|object| (object.key.name.to_string(), object.revision.0)).collect()
}

#[tokio::test(start_paused = true)]
async fn custom_objects_are_stored_anew_in_the_version_in_which_they_are_stored_now() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let client = cluster.client();
    cluster.define(definition()).await.unwrap();
    for name in ["a", "b"] {
        let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name, "namespace": "default"}, "size": 3});
        let key = Key::new("default", name);
        client.create(&widgets("v1"), &key, None, widget, &WriteOptions::default()).await.unwrap();
    }
    let storage = json!([{"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true}]);
    let (gvr, key) = (CustomResourceDefinition::gvr(), Key::cluster(DEFINITION));
    client.patch(&gvr, &key, None, Patch::Json(storage), &WriteOptions::default()).await.unwrap();
    let stored =
        |d: &CustomResourceDefinition| d.status.as_ref().and_then(|s| s.stored_versions.clone()).unwrap_or_default();
    until::<CustomResourceDefinition>(&cluster, DEFINITION, |d| stored(d) == ["v1", "v2"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = revisions(&cluster, &widgets("v2")).await;

    client.add(&migration("widgets", "example.com", "widgets")).await.unwrap();
    assert_eq!(
        ended(&cluster, "widgets").await,
        ["Running=False MigrationCompleted", "Succeeded=True StorageVersionMigrationSucceeded"]
    );
    let after = revisions(&cluster, &widgets("v2")).await;
    assert!(before.iter().all(|(name, revision)| after[name] > *revision), "{before:?} {after:?}");
    let defined = until::<CustomResourceDefinition>(&cluster, DEFINITION, |d| stored(d) == ["v2"]).await;
    let marks = defined.status.clone().unwrap().conditions.unwrap();
    let mark = conditions::find(&marks, "StorageMigrating").unwrap();
    let message = "The migration has succeeded and the stored versions have been updated";
    assert_eq!((&*mark.status, mark.message.as_deref()), ("False", Some(message)));

    // What is stored as it should be is not written again, and the versions stay told.
    client.add(&migration("again", "example.com", "widgets")).await.unwrap();
    ended(&cluster, "again").await;
    assert_eq!(revisions(&cluster, &widgets("v2")).await, after);
    assert_eq!(stored(&client.read::<CustomResourceDefinition>(&key).await.unwrap()), ["v2"]);
    let widget: Value = client.get(&widgets("v1"), &Key::new("default", "a"), None).await.unwrap().parse().unwrap();
    assert_eq!((&widget["apiVersion"], &widget["size"]), (&json!("example.com/v1"), &json!(3)));
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn objects_of_built_in_kinds_are_found_in_order_and_what_is_not_served_fails() {
    let cluster = Cluster::builder().seed(1).build().await.unwrap();
    let client = cluster.client();
    let map = json!({"metadata": {"name": "a", "namespace": "default"}, "data": {"a": "b"}});
    client.add::<ConfigMap>(&serde_json::from_value(map).unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = revisions(&cluster, &ConfigMap::gvr()).await;
    for name in ["first", "second"] {
        client.add(&migration(name, "", "configmaps")).await.unwrap();
    }
    client.add(&migration("nothing", "example.com", "nothings")).await.unwrap();
    let succeeded = ["Running=False MigrationCompleted", "Succeeded=True StorageVersionMigrationSucceeded"];
    assert_eq!(ended(&cluster, "first").await, succeeded);
    assert_eq!(ended(&cluster, "second").await, succeeded);
    // Objects of the server's own beginning get their field managers; what somebody has made is stored as it should be.
    assert_eq!(revisions(&cluster, &ConfigMap::gvr()).await["a"], before["a"]);
    let failed = ["Running=False MigrationCompleted", "Failed=True StorageVersionMigrationFailed"];
    assert_eq!(ended(&cluster, "nothing").await, failed);
    cluster.stop().await;
}
