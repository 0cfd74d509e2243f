//! `test/e2e/apimachinery/namespace.go`.

use super::world::*;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use serde_json::{Value, json};
use std::time::Duration;

impl World {
    /// Deletes a namespace, waits until it is gone, and makes it anew.
    async fn renew(&self, name: &str) {
        self.kind::<Namespace>().end(name).await;
        self.namespace(name).await;
    }
}

/// [sig-api-machinery] Namespaces should ensure that all pods are removed when a namespace is deleted [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn pods_go_with_their_namespace() {
    let here = World::start().await;
    here.namespace("nsdeletetest").await;
    let pods = here.kind::<Pod>().within("nsdeletetest");
    pods.create(pod("test-pod", json!({}))).await;
    pods.until_one("a running pod", "test-pod", |pod| pod["status"]["phase"] == "Running").await;
    here.renew("nsdeletetest").await;
    assert!(pods.try_get("test-pod").await.unwrap_err().is_not_found());
}

/// [sig-api-machinery] Namespaces should ensure that all services are removed when a namespace is deleted [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn services_go_with_their_namespace() {
    let here = World::start().await;
    here.namespace("nsdeletetest").await;
    let services = here.kind::<Service>().within("nsdeletetest");
    let spec = json!({"selector": {"foo": "bar", "baz": "blah"}, "ports": [{"port": 80, "targetPort": 80}]});
    services.create(json!({"metadata": {"name": "test-service"}, "spec": spec})).await;
    here.renew("nsdeletetest").await;
    assert!(services.try_get("test-service").await.unwrap_err().is_not_found());
}

/// [sig-api-machinery] OrderedNamespaceDeletion namespace deletion should delete pod first [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_go_before_all_else() {
    let here = World::start().await;
    here.namespace("nsdeletetest").await;
    let pods = here.kind::<Pod>().within("nsdeletetest");
    let mut held = pod("test-pod", json!({}));
    held["metadata"]["finalizers"] = json!(["e2e.example.com/finalizer"]);
    pods.create(held).await;
    pods.until_one("a running pod", "test-pod", |pod| pod["status"]["phase"] == "Running").await;
    let maps = here.kind::<ConfigMap>().within("nsdeletetest");
    maps.create(json!({"metadata": {"name": "test-configmap"}, "data": {"key": "value"}})).await;

    let namespaces = here.kind::<Namespace>();
    namespaces.delete("nsdeletetest").await;
    let seen = |namespace: &Value| {
        namespace["status"]["phase"] == "Terminating" && has_condition(namespace, "NamespaceDeletionContentFailure")
    };
    namespaces.until_one("a look at what is in it", "nsdeletetest", seen).await;
    let going = |pod: &Value| !pod["metadata"]["deletionTimestamp"].is_null();
    pods.until_one("a pod that goes", "test-pod", going).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    maps.get("test-configmap").await;
    pods.get("test-pod").await;

    pods.merge("test-pod", json!({"metadata": {"finalizers": null}})).await;
    pods.until_gone("test-pod").await;
    namespaces.until_gone("nsdeletetest").await;
}

/// [sig-api-machinery] Namespaces should patch a Namespace [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_namespace_is_patched() {
    let here = World::without_controllers().await;
    let namespaces = here.kind::<Namespace>();
    let made = namespaces.create(json!({"metadata": {"name": "nspatchtest"}})).await;
    let patched = namespaces.patch("nspatchtest", json!({"metadata": {"labels": {"testLabel": "testValue"}}})).await;
    assert!(revision(&patched) > revision(&made));
    assert_eq!(namespaces.get("nspatchtest").await["metadata"]["labels"]["testLabel"], "testValue");
}

/// [sig-api-machinery] Namespaces should apply changes to a namespace status [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_namespace_is_written() {
    let here = World::without_controllers().await;
    let namespaces = here.kind::<Namespace>();
    namespaces.create(json!({"metadata": {"name": "status"}})).await;
    let status = namespaces.sub("status");
    assert_eq!(status.get("status").await["status"]["phase"], "Active");
    let condition =
        |kind: &str, message: &str| json!({"type": kind, "status": "True", "reason": "E2E", "message": message});
    let patch = json!({"metadata": {"annotations": {"e2e-patched-ns-status": "status"}},
        "status": {"conditions": [condition("StatusPatch", "Patched by an e2e test")]}});
    let patched = status.merge("status", patch).await;
    assert_eq!(patched["metadata"]["annotations"]["e2e-patched-ns-status"], "status");
    let last = patched["status"]["conditions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["reason"], &last["message"]), (&json!("E2E"), &json!("Patched by an e2e test")));
    let updated = status
        .update("status", |namespace| {
            let conditions = namespace["status"]["conditions"].as_array_mut().unwrap();
            conditions.push(condition("StatusUpdate", "Updated by an e2e test"));
        })
        .await;
    let last = updated["status"]["conditions"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["type"], &last["message"]), (&json!("StatusUpdate"), &json!("Updated by an e2e test")));
}

/// [sig-api-machinery] Namespaces should apply an update to a Namespace [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_namespace_is_updated() {
    let here = World::without_controllers().await;
    let namespaces = here.kind::<Namespace>();
    namespaces.create(json!({"metadata": {"name": "updated"}})).await;
    let updated =
        namespaces.update("updated", |namespace| namespace["metadata"]["labels"]["updated"] = "updated".into()).await;
    assert_eq!(updated["metadata"]["labels"]["updated"], "updated");
}

/// [sig-api-machinery] Namespaces should apply a finalizer to a Namespace [Conformance] [Serial]
#[tokio::test(start_paused = true)]
async fn a_finalizer_of_a_namespace_comes_and_goes() {
    let fake = "e2e.example.com/fakeFinalizer";
    let here = World::start().await;
    here.namespace("e2e-ns").await;
    let finalize = here.kind::<Namespace>().sub("finalize");
    let change = async |change: &dyn Fn(&mut Vec<Value>)| loop {
        let mut namespace = here.kind::<Namespace>().get("e2e-ns").await;
        change(namespace["spec"]["finalizers"].as_array_mut().unwrap());
        match finalize.try_replace(namespace).await {
            Err(error) if error.is_conflict() => {}
            other => return other.unwrap(),
        }
    };
    let added = change(&|finalizers| finalizers.push(fake.into())).await;
    assert_eq!(added["spec"]["finalizers"], json!(["kubernetes", fake]));
    let removed = change(&|finalizers| finalizers.retain(|finalizer| finalizer != fake)).await;
    assert_eq!(removed["spec"]["finalizers"], json!(["kubernetes"]));
}
