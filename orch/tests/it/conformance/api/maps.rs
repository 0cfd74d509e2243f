//! `test/e2e/common/node/{configmap,secrets}.go` and `test/e2e/common/storage/{configmap,secrets}_volume.go`.

use super::*;

const MAPS: Gvr = Gvr::of("", "v1", "configmaps");
const SECRETS: Gvr = Gvr::of("", "v1", "secrets");

/// What is kept under an empty key is refused.
async fn has_no_empty_key(gvr: &Gvr, value: &str) {
    let here = World::without_controllers().await;
    let body = json!({"metadata": {"name": "empty-key"}, "data": {"": value}});
    let refused = here.of(gvr).try_create(body).await.unwrap_err();
    assert_eq!(refused.code(), 422);
    assert!(refused.message().contains("data[]: Invalid value: \"\""), "{refused}");
}

/// [sig-node] ConfigMap should fail to create ConfigMap with empty key [Conformance]
#[tokio::test(start_paused = true)]
async fn a_config_map_has_no_empty_key() {
    has_no_empty_key(&MAPS, "value-1").await;
}

/// [sig-node] Secrets should fail to create secret due to empty secret key [Conformance]
#[tokio::test(start_paused = true)]
async fn a_secret_has_no_empty_key() {
    has_no_empty_key(&SECRETS, "dmFsdWUtMQo=").await;
}

/// What is immutable stays so, with its data; its labels may change, and it may be deleted.
async fn is_immutable(gvr: &Gvr) {
    let here = World::without_controllers().await;
    let objects = here.of(gvr);
    objects.create(json!({"metadata": {"name": "immutable"}, "data": {"data-1": "dmFsdWUtMQo="}})).await;
    objects.update("immutable", |object| object["data"]["data-4"] = "dmFsdWUtNAo=".into()).await;
    let marked = objects.update("immutable", |object| object["immutable"] = true.into()).await;
    let mut changed = marked.clone();
    changed["data"]["data-5"] = "dmFsdWUtNQo=".into();
    let refused = objects.try_replace(changed).await.unwrap_err();
    assert_eq!(refused.code(), 422, "{refused}");
    assert_eq!(objects.get("immutable").await["immutable"], true);
    let mut changed = marked;
    changed["immutable"] = false.into();
    let refused = objects.try_replace(changed).await.unwrap_err();
    assert_eq!(refused.code(), 422, "{refused}");
    objects.update("immutable", |object| object["metadata"]["labels"] = json!({"label1": "value1"})).await;
    objects.end("immutable").await;
}

/// [sig-storage] ConfigMap should be immutable if `immutable` field is set [Conformance]
#[tokio::test(start_paused = true)]
async fn an_immutable_config_map_stays_as_it_is() {
    is_immutable(&MAPS).await;
}

/// [sig-storage] Secrets should be immutable if `immutable` field is set [Conformance]
#[tokio::test(start_paused = true)]
async fn an_immutable_secret_stays_as_it_is() {
    is_immutable(&SECRETS).await;
}

/// [sig-node] ConfigMap should update ConfigMap successfully [Conformance] [NodeConformance]
#[tokio::test(start_paused = true)]
async fn a_config_map_is_updated() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    let map = json!({"metadata": {"name": "configmap-test"}, "data": {"data-1": "value-1", "data-2": "value-2"}});
    maps.create(map.clone()).await;
    let mut changed = map;
    changed["data"] = json!({"data": "value"});
    maps.replace(changed).await;
    assert_eq!(maps.get("configmap-test").await["data"], json!({"data": "value"}));
}

/// [sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]
#[tokio::test(start_paused = true)]
async fn a_config_map_is_created_patched_listed_and_deleted() {
    let here = World::without_controllers().await;
    let maps = here.of(&MAPS);
    let metadata = json!({"name": "test-configmap", "labels": {"test-configmap-static": "true"}});
    let body = json!({"metadata": metadata, "data": {"valueName": "value"}});
    maps.create(body.clone()).await;
    let read = maps.get("test-configmap").await;
    assert!(contains(&read, &body));
    let patch = json!({"metadata": {"labels": {"test-configmap": "patched"}}, "data": {"valueName": "value1"}});
    let patched = maps.patch("test-configmap", patch.clone()).await;
    assert!(revision(&patched) > revision(&read));
    let listed = maps.everywhere().list("test-configmap=patched").await;
    assert!(listed.iter().any(|map| contains(map, &json!({"metadata": metadata})) && contains(map, &patch)));
    maps.delete_all("test-configmap-static=true").await;
    assert!(maps.list("test-configmap-static=true").await.is_empty());
}

/// [sig-node] Secrets should patch a secret [Conformance]
#[tokio::test(start_paused = true)]
async fn a_secret_is_created_patched_listed_and_deleted() {
    let here = World::without_controllers().await;
    let secrets = here.of(&SECRETS);
    let metadata = json!({"name": "test-secret", "labels": {"testsecret-constant": "true"}});
    let made = secrets.create(json!({"metadata": metadata, "data": {"key": "dmFsdWU="}, "type": "Opaque"})).await;
    let listed = async || secrets.everywhere().list("testsecret-constant=true").await;
    assert!(listed().await.iter().any(|secret| name(secret) == "test-secret"));
    let patch = json!({"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": "dmFsdWUx"}});
    secrets.patch("test-secret", patch).await;
    let patched = secrets.get("test-secret").await;
    assert!(revision(&patched) > revision(&made));
    assert_eq!(patched["data"]["key"], "dmFsdWUx");
    secrets.delete_all("testsecret=true").await;
    assert!(listed().await.is_empty());
}
