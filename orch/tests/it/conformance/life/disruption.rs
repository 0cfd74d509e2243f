//! `test/e2e/apps/disruption.go`.

use super::*;
use k8s_openapi::api::{apps::v1::ReplicaSet, policy::v1::PodDisruptionBudget as Budget};
use orch::api::StatusError;

fn budget(name: &str, spec: Value) -> Value {
    let mut budget =
        json!({"metadata": {"name": name, "namespace": "default", "labels": {"foo_pdb": "bar_pdb"}}, "spec": spec});
    budget["spec"]["selector"] = json!({"matchLabels": {"foo": "bar"}});
    budget
}

async fn processed(here: &World, name: &str) {
    here.kind::<Budget>()
        .until_one("a budget that was counted", name, |b| {
            b["status"]["observedGeneration"] == b["metadata"]["generation"] && !b["status"]["conditions"].is_null()
        })
        .await;
}

async fn evict(here: &World, pod: &str) -> Result<Value, StatusError> {
    let body =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": "default"}});
    here.kind::<Pod>().sub("eviction").try_create(body).await
}

async fn pods(here: &World, count: usize) {
    for i in 0..count {
        here.kind::<Pod>().create(pod(&format!("pod-{i}"), json!({"foo": "bar"}))).await;
    }
    for i in 0..count {
        here.running(&format!("pod-{i}")).await;
    }
}

/// [sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of
/// PodDisruptionBudgets [Conformance]
#[tokio::test(start_paused = true)]
async fn budgets_are_listed_and_deleted_together() {
    let here = World::start().await;
    here.kind::<Budget>().create(budget("foo", json!({"minAvailable": 2}))).await;
    here.kind::<Budget>().create(budget("foo2", json!({"minAvailable": "1%"}))).await;
    let mut third = budget("foo3", json!({"minAvailable": 2}));
    third["metadata"]["namespace"] = "kube-public".into();
    here.kind::<Budget>().create(third).await;
    assert_eq!(here.kind::<Budget>().everywhere().list("foo_pdb=bar_pdb").await.len(), 3);
    assert_eq!(here.kind::<Budget>().list("foo_pdb=bar_pdb").await.len(), 2);
    here.kind::<Budget>().delete_all("").await;
    here.kind::<Budget>().until_gone("foo").await;
    here.kind::<Budget>().until_gone("foo2").await;
}

/// [sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]
#[tokio::test(start_paused = true)]
async fn a_budget_is_created_changed_and_deleted() {
    let here = World::start().await;
    here.kind::<Budget>().create(budget("foo", json!({"minAvailable": "1%"}))).await;
    processed(&here, "foo").await;
    let mut changed = here.kind::<Budget>().get("foo").await;
    changed["spec"]["minAvailable"] = "2%".into();
    let changed = here.kind::<Budget>().replace(changed).await;
    assert_eq!(changed["spec"]["minAvailable"], "2%");
    processed(&here, "foo").await;
    let patched = here.kind::<Budget>().merge("foo", json!({"spec": {"minAvailable": "3%"}})).await;
    assert_eq!(patched["spec"]["minAvailable"], "3%");
    processed(&here, "foo").await;
    here.kind::<Budget>().delete("foo").await;
    here.kind::<Budget>().until_gone("foo").await;
}

/// [sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]
#[tokio::test(start_paused = true)]
async fn a_budget_says_how_many_pods_may_go() {
    let here = World::start().await;
    here.kind::<Budget>().create(budget("foo", json!({"minAvailable": 1}))).await;
    pods(&here, 3).await;
    here.kind::<Budget>().until_one("disruptions", "foo", |b| b["status"]["disruptionsAllowed"] == 2).await;
}

/// [sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_budget_is_written() {
    let here = World::start().await;
    here.kind::<Budget>().create(budget("foo", json!({"minAvailable": 1}))).await;
    pods(&here, 1).await;
    here.kind::<Budget>().until_one("a healthy pod", "foo", |b| b["status"]["currentHealthy"] == 1).await;
    let now = here.0.ambient().clock.now();
    let patch = json!({"status": {"disruptedPods": {"pod-0": now}}});
    here.kind::<Budget>().sub("status").merge("foo", patch).await;
    assert!(!here.kind::<Budget>().get("foo").await["status"]["disruptedPods"]["pod-0"].is_null());
    let patched = here.kind::<Budget>().sub("status").merge("foo", json!({"status": {"disruptedPods": null}})).await;
    assert!(patched["status"]["disruptedPods"].is_null());
}

/// [sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]
#[tokio::test(start_paused = true)]
async fn an_eviction_waits_until_the_budget_allows_it() {
    let here = World::start().await;
    here.kind::<Budget>().create(budget("foo", json!({"minAvailable": 3}))).await;
    here.kind::<ReplicaSet>()
        .create(json!({"metadata": {"name": "rs", "namespace": "default"}, "spec": {"replicas": 3,
        "selector": {"matchLabels": {"foo": "bar"}},
        "template": pod("", json!({"foo": "bar"}))}}))
        .await;
    here.kind::<Budget>().until_one("three healthy pods", "foo", |b| b["status"]["currentHealthy"] == 3).await;
    let name = here.kind::<Pod>().list("foo=bar").await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let refused = evict(&here, &name).await.unwrap_err();
    assert_eq!(refused.code(), 429);
    let cause = refused.details().unwrap().causes.clone().unwrap().remove(0);
    assert_eq!(cause.reason.as_deref(), Some("DisruptionBudget"));
    assert_eq!(cause.message.as_deref(), Some("The disruption budget foo needs 3 healthy pods and has 3 currently"));
    here.kind::<Budget>().merge("foo", json!({"spec": {"minAvailable": 2}})).await;
    here.kind::<Budget>().until_one("a disruption", "foo", |b| b["status"]["disruptionsAllowed"] == 1).await;
    evict(&here, &name).await.unwrap();
    here.kind::<Pod>().until_gone(&name).await;
    here.kind::<Budget>()
        .until_one("three healthy pods again", "foo", |b| b["status"]["disruptionsAllowed"] == 1)
        .await;
    here.kind::<Budget>().merge("foo", json!({"spec": {"minAvailable": 3}})).await;
    processed(&here, "foo").await;
    here.kind::<Budget>().until_one("no disruption", "foo", |b| b["status"]["disruptionsAllowed"] == 0).await;
    let name = here.kind::<Pod>().list("foo=bar").await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    evict(&here, &name).await.unwrap_err();
    here.kind::<Budget>().delete("foo").await;
    evict(&here, &name).await.unwrap();
}
