//! `test/e2e/apimachinery/resource_quota.go`.

use super::*;
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{ConfigMap, ReplicationController, ResourceQuota, Secret, Service},
};

fn quota() -> Value {
    named(
        "test-quota",
        json!({"pods": "5", "services": "10", "services.nodeports": "1", "services.loadbalancers": "1",
        "replicationcontrollers": "10", "resourcequotas": "1", "cpu": "1", "memory": "500Mi", "configmaps": "10",
        "secrets": "10", "persistentvolumeclaims": "10", "requests.storage": "10Gi", "ephemeral-storage": "50Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "10",
        "gold.storageclass.storage.k8s.io/requests.storage": "10Gi",
        "count/replicasets.apps": "5", "requests.example.com/dongle": "3"}),
    )
}

fn named(name: &str, hard: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"hard": hard}})
}

/// Waits until the quota has these amounts in use.
async fn used(here: &World, name: &str, amounts: Value) {
    let wanted = amounts.as_object().unwrap().clone();
    let holds = move |quota: &Value| wanted.iter().all(|(name, amount)| quota["status"]["used"][name] == *amount);
    here.kind::<ResourceQuota>().until_one(&format!("{amounts} in use"), name, holds).await;
}

async fn with_quota() -> World {
    let here = World::start().await;
    here.kind::<ResourceQuota>().create(quota()).await;
    used(&here, "test-quota", json!({"resourcequotas": "1", "pods": "0", "services": "1"})).await;
    here
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated. [Conformance]
#[tokio::test(start_paused = true)]
async fn a_new_quota_is_counted_promptly() {
    let here = World::start().await;
    let begun = tokio::time::Instant::now();
    here.kind::<ResourceQuota>().create(quota()).await;
    used(&here, "test-quota", json!({"resourcequotas": "1", "cpu": "0", "secrets": "0", "configmaps": "1"})).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let quota = here.kind::<ResourceQuota>().get("test-quota").await;
    assert_eq!(quota["status"]["hard"], quota["spec"]["hard"]);
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_service_is_counted() {
    let here = with_quota().await;
    let service = |name: &str, kind: &str| json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"type": kind, "ports": [{"port": 80}]}});
    here.kind::<Service>().create(service("one", "ClusterIP")).await;
    here.kind::<Service>().create(service("two", "NodePort")).await;
    let refused = here.kind::<Service>().try_create(service("three", "LoadBalancer")).await.unwrap_err();
    assert!(refused.message().contains("exceeded quota: test-quota"), "{refused}");
    used(&here, "test-quota", json!({"services": "3", "services.nodeports": "1", "services.loadbalancers": "0"})).await;
    here.kind::<Service>().delete("one").await;
    here.kind::<Service>().delete("two").await;
    used(&here, "test-quota", json!({"services": "1", "services.nodeports": "0", "services.loadbalancers": "0"})).await;
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_secret_is_counted() {
    let here = with_quota().await;
    here.kind::<Secret>()
        .create(json!({"metadata": {"name": "s", "namespace": "default"}, "data": {"a": "YQ=="}}))
        .await;
    used(&here, "test-quota", json!({"secrets": "1"})).await;
    here.kind::<Secret>().delete("s").await;
    used(&here, "test-quota", json!({"secrets": "0"})).await;
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_config_map_is_counted() {
    let here = with_quota().await;
    here.kind::<ConfigMap>().create(json!({"metadata": {"name": "c", "namespace": "default"}})).await;
    used(&here, "test-quota", json!({"configmaps": "2"})).await;
    here.kind::<ConfigMap>().delete("c").await;
    used(&here, "test-quota", json!({"configmaps": "1"})).await;
}

/// A pod that runs on no node.
fn asking(name: &str, requests: Value) -> Value {
    let mut pod = pod(name, json!({}));
    pod["spec"]["nodeSelector"] = json!({"x-test.k8s.io/unsatisfiable": "not-schedulable"});
    let limits = match requests.get("example.com/dongle") {
        Some(dongles) => json!({"example.com/dongle": dongles}),
        None => json!({}),
    };
    pod["spec"]["containers"][0]["resources"] = json!({"requests": requests, "limits": limits});
    pod
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_pod_is_counted() {
    let here = with_quota().await;
    let fits = json!({"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", "example.com/dongle": "2"});
    here.kind::<Pod>().create(asking("test-pod", fits)).await;
    let taken = json!({"pods": "1", "cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi",
        "requests.example.com/dongle": "2"});
    used(&here, "test-quota", taken.clone()).await;
    let too_much = json!({"cpu": "600m", "memory": "100Mi", "ephemeral-storage": "1Gi"});
    assert!(here.kind::<Pod>().try_create(asking("fail-pod", too_much)).await.is_err());
    let dongles = json!({"cpu": "500m", "memory": "100Mi", "ephemeral-storage": "1Gi", "example.com/dongle": "2"});
    assert!(here.kind::<Pod>().try_create(asking("fail-pod-for-extended-resource", dongles)).await.is_err());
    let mut changed = here.kind::<Pod>().get("test-pod").await;
    changed["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "100m".into();
    assert!(here.kind::<Pod>().try_replace(changed).await.is_err(), "what a pod asks for is changed by resize alone");
    used(&here, "test-quota", taken).await;
    here.kind::<Pod>().delete_now("test-pod").await;
    let none =
        json!({"pods": "0", "cpu": "0", "memory": "0", "ephemeral-storage": "0", "requests.example.com/dongle": "0"});
    used(&here, "test-quota", none).await;
}

fn workload(kind: Value) -> Value {
    let mut object = json!({"metadata": {"name": "w", "namespace": "default"}, "spec": {"replicas": 0,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}}});
    object["spec"]["selector"] = kind;
    object
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_replication_controller_is_counted() {
    let here = with_quota().await;
    here.kind::<ReplicationController>().create(workload(json!({"a": "b"}))).await;
    used(&here, "test-quota", json!({"replicationcontrollers": "1"})).await;
    here.kind::<ReplicationController>().delete("w").await;
    used(&here, "test-quota", json!({"replicationcontrollers": "0"})).await;
}

/// [sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set. [Conformance]
#[tokio::test(start_paused = true)]
async fn the_life_of_a_replica_set_is_counted() {
    let here = with_quota().await;
    here.kind::<ReplicaSet>().create(workload(json!({"matchLabels": {"a": "b"}}))).await;
    used(&here, "test-quota", json!({"count/replicasets.apps": "1"})).await;
    here.kind::<ReplicaSet>().delete("w").await;
    used(&here, "test-quota", json!({"count/replicasets.apps": "0"})).await;
}

/// A quota of pods in a scope.
fn scoped(name: &str, scope: &str) -> Value {
    let hard = match scope {
        "BestEffort" => json!({"pods": "5"}),
        _ => {
            json!({"pods": "5", "requests.cpu": "1", "requests.memory": "500Mi", "limits.cpu": "2", "limits.memory": "1Gi"})
        }
    };
    let mut quota = named(name, hard);
    quota["spec"]["scopes"] = json!([scope]);
    quota
}

fn limited(name: &str) -> Value {
    let mut pod = asking(name, json!({"cpu": "500m", "memory": "200Mi"}));
    pod["spec"]["containers"][0]["resources"]["limits"] = json!({"cpu": "1", "memory": "400Mi"});
    pod
}

const TAKEN: &str =
    r#"{"pods": "1", "requests.cpu": "500m", "requests.memory": "200Mi", "limits.cpu": "1", "limits.memory": "400Mi"}"#;
const NONE: &str =
    r#"{"pods": "0", "requests.cpu": "0", "requests.memory": "0", "limits.cpu": "0", "limits.memory": "0"}"#;

fn amounts(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// [sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes. [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_that_end_are_counted_apart() {
    let here = World::start().await;
    here.kind::<ResourceQuota>().create(scoped("terminating", "Terminating")).await;
    here.kind::<ResourceQuota>().create(scoped("not-terminating", "NotTerminating")).await;
    used(&here, "terminating", amounts(NONE)).await;
    used(&here, "not-terminating", amounts(NONE)).await;
    here.kind::<Pod>().create(limited("test-pod")).await;
    used(&here, "not-terminating", amounts(TAKEN)).await;
    used(&here, "terminating", amounts(NONE)).await;
    here.kind::<Pod>().delete_now("test-pod").await;
    used(&here, "not-terminating", amounts(NONE)).await;
    let mut ending = limited("terminating-pod");
    ending["spec"]["activeDeadlineSeconds"] = 3600.into();
    here.kind::<Pod>().create(ending).await;
    used(&here, "terminating", amounts(TAKEN)).await;
    used(&here, "not-terminating", amounts(NONE)).await;
    here.kind::<Pod>().delete_now("terminating-pod").await;
    used(&here, "terminating", amounts(NONE)).await;
}

/// [sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope. [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_that_ask_for_nothing_are_counted_apart() {
    let here = World::start().await;
    here.kind::<ResourceQuota>().create(scoped("quota-besteffort", "BestEffort")).await;
    here.kind::<ResourceQuota>().create(scoped("quota-not-besteffort", "NotBestEffort")).await;
    used(&here, "quota-besteffort", json!({"pods": "0"})).await;
    used(&here, "quota-not-besteffort", amounts(NONE)).await;
    here.kind::<Pod>().create(asking("best-effort", json!({}))).await;
    used(&here, "quota-besteffort", json!({"pods": "1"})).await;
    used(&here, "quota-not-besteffort", amounts(NONE)).await;
    here.kind::<Pod>().delete_now("best-effort").await;
    used(&here, "quota-besteffort", json!({"pods": "0"})).await;
    here.kind::<Pod>().create(limited("not-best-effort")).await;
    used(&here, "quota-not-besteffort", amounts(TAKEN)).await;
    used(&here, "quota-besteffort", json!({"pods": "0"})).await;
    here.kind::<Pod>().delete_now("not-best-effort").await;
    used(&here, "quota-not-besteffort", amounts(NONE)).await;
}

/// [sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota. [Conformance]
#[tokio::test(start_paused = true)]
async fn a_quota_is_changed_and_deleted() {
    let here = World::start().await;
    here.kind::<ResourceQuota>().create(named("q", json!({"cpu": "1", "memory": "500Mi"}))).await;
    let mut changed = here.kind::<ResourceQuota>().get("q").await;
    changed["spec"]["hard"] = json!({"cpu": "2", "memory": "1Gi"});
    here.kind::<ResourceQuota>().merge("q", json!({"spec": {"hard": changed["spec"]["hard"]}})).await;
    here.kind::<ResourceQuota>().until_one("the new limits", "q", |q| q["status"]["hard"]["cpu"] == "2").await;
    here.kind::<ResourceQuota>().delete("q").await;
    here.kind::<ResourceQuota>().until_gone("q").await;
}

/// [sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota [Conformance]
#[tokio::test(start_paused = true)]
async fn quotas_are_listed_patched_and_deleted_together() {
    let here = World::start().await;
    let mut quota = named("e2e-quota", json!({"cpu": "1"}));
    quota["metadata"]["labels"] = json!({"e2e-quota": "yes"});
    here.kind::<ResourceQuota>().create(quota).await;
    assert_eq!(here.kind::<ResourceQuota>().everywhere().list("e2e-quota=yes").await.len(), 1);
    let patched = json!({"metadata": {"labels": {"e2e-quota": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}});
    let patched = here.kind::<ResourceQuota>().merge("e2e-quota", patched).await;
    assert_eq!(patched["spec"]["hard"]["memory"], "750Mi");
    here.kind::<ResourceQuota>().delete_all("e2e-quota=patched").await;
    here.kind::<ResourceQuota>().until_gone("e2e-quota").await;
}

/// [sig-api-machinery] ResourceQuota should apply changes to a resourcequota status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_quota_is_written_and_put_right() {
    let here = World::start().await;
    here.kind::<ResourceQuota>().create(named("q", json!({"cpu": "500m", "memory": "500Mi"}))).await;
    here.kind::<ResourceQuota>().until_one("a status", "q", |q| q["status"]["hard"]["cpu"] == "500m").await;
    let mut changed = here.kind::<ResourceQuota>().get("q").await;
    changed["status"]["hard"] = json!({"cpu": "1", "memory": "1Gi"});
    let written = here.kind::<ResourceQuota>().sub("status").replace(changed).await;
    assert_eq!(written["status"]["hard"]["cpu"], "1");
    here.kind::<ResourceQuota>()
        .until_one("the limits of the spec", "q", |q| q["status"]["hard"]["cpu"] == "500m")
        .await;
    let patched =
        here.kind::<ResourceQuota>().sub("status").merge("q", json!({"status": {"hard": {"cpu": "2"}}})).await;
    assert_eq!(patched["status"]["hard"]["cpu"], "2");
    here.kind::<ResourceQuota>()
        .until_one("the limits of the spec", "q", |q| q["status"]["hard"]["cpu"] == "500m")
        .await;
}
