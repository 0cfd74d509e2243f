//! `test/e2e/apps/disruption.go`.

use super::*;
use k8s_openapi::api::{apps::v1::ReplicaSet, policy::v1::PodDisruptionBudget as Budget};

fn budget(name: &str, spec: Value) -> Value {
    let mut budget =
        json!({"metadata": {"name": name, "namespace": "default", "labels": {"foo_pdb": "bar_pdb"}}, "spec": spec});
    budget["spec"]["selector"] = json!({"matchLabels": {"foo": "bar"}});
    budget
}

async fn processed(here: &Here, name: &str) {
    here.until::<Budget>("a budget that was counted", name, |b| {
        b["status"]["observedGeneration"] == b["metadata"]["generation"] && !b["status"]["conditions"].is_null()
    })
    .await;
}

async fn pods(here: &Here, count: usize) {
    for i in 0..count {
        here.add::<Pod>(pod(&format!("pod-{i}"), json!({"foo": "bar"}))).await;
    }
    for i in 0..count {
        here.running(&format!("pod-{i}")).await;
    }
}

/// [sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of
/// PodDisruptionBudgets [Conformance]
#[tokio::test(start_paused = true)]
async fn budgets_are_listed_and_deleted_together() {
    let here = Here::start().await;
    here.add::<Budget>(budget("foo", json!({"minAvailable": 2}))).await;
    here.add::<Budget>(budget("foo2", json!({"minAvailable": "1%"}))).await;
    let mut third = budget("foo3", json!({"minAvailable": 2}));
    third["metadata"]["namespace"] = "kube-public".into();
    here.add::<Budget>(third).await;
    assert_eq!(here.list::<Budget>("", "foo_pdb=bar_pdb").await.len(), 3);
    assert_eq!(here.list::<Budget>("default", "foo_pdb=bar_pdb").await.len(), 2);
    let select = ListOptions { namespace: "default".into(), ..ListOptions::default() };
    here.0.client().delete_collection(&Budget::gvr(), &select, &DeleteOptions::default()).await.unwrap();
    here.until_gone::<Budget>("foo").await;
    here.until_gone::<Budget>("foo2").await;
}

/// [sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]
#[tokio::test(start_paused = true)]
async fn a_budget_is_created_changed_and_deleted() {
    let here = Here::start().await;
    here.add::<Budget>(budget("foo", json!({"minAvailable": "1%"}))).await;
    processed(&here, "foo").await;
    let mut changed = here.get::<Budget>("foo").await;
    changed["spec"]["minAvailable"] = "2%".into();
    let changed = here.update::<Budget>(changed).await;
    assert_eq!(changed["spec"]["minAvailable"], "2%");
    processed(&here, "foo").await;
    let patched = here.merge::<Budget>("foo", None, json!({"spec": {"minAvailable": "3%"}})).await;
    assert_eq!(patched["spec"]["minAvailable"], "3%");
    processed(&here, "foo").await;
    here.remove::<Budget>("foo").await;
    here.until_gone::<Budget>("foo").await;
}

/// [sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]
#[tokio::test(start_paused = true)]
async fn a_budget_says_how_many_pods_may_go() {
    let here = Here::start().await;
    here.add::<Budget>(budget("foo", json!({"minAvailable": 1}))).await;
    pods(&here, 3).await;
    here.until::<Budget>("disruptions", "foo", |b| b["status"]["disruptionsAllowed"] == 2).await;
}

/// [sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]
#[tokio::test(start_paused = true)]
async fn the_status_of_a_budget_is_written() {
    let here = Here::start().await;
    here.add::<Budget>(budget("foo", json!({"minAvailable": 1}))).await;
    pods(&here, 1).await;
    here.until::<Budget>("a healthy pod", "foo", |b| b["status"]["currentHealthy"] == 1).await;
    let now = here.0.ambient().clock.now();
    let patch = json!({"status": {"disruptedPods": {"pod-0": now}}});
    here.merge::<Budget>("foo", Some("status"), patch).await;
    assert!(!here.get::<Budget>("foo").await["status"]["disruptedPods"]["pod-0"].is_null());
    let patched = here.merge::<Budget>("foo", Some("status"), json!({"status": {"disruptedPods": null}})).await;
    assert!(patched["status"]["disruptedPods"].is_null());
}

/// [sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]
#[tokio::test(start_paused = true)]
async fn an_eviction_waits_until_the_budget_allows_it() {
    let here = Here::start().await;
    here.add::<Budget>(budget("foo", json!({"minAvailable": 3}))).await;
    here.add::<ReplicaSet>(json!({"metadata": {"name": "rs", "namespace": "default"}, "spec": {"replicas": 3,
        "selector": {"matchLabels": {"foo": "bar"}},
        "template": pod("", json!({"foo": "bar"}))}}))
        .await;
    here.until::<Budget>("three healthy pods", "foo", |b| b["status"]["currentHealthy"] == 3).await;
    let name = here.list::<Pod>("default", "foo=bar").await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let refused = here.evict(&name, &WriteOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), 429);
    let cause = refused.details().unwrap().causes.clone().unwrap().remove(0);
    assert_eq!(cause.reason.as_deref(), Some("DisruptionBudget"));
    assert_eq!(cause.message.as_deref(), Some("The disruption budget foo needs 3 healthy pods and has 3 currently"));
    here.merge::<Budget>("foo", None, json!({"spec": {"minAvailable": 2}})).await;
    here.until::<Budget>("a disruption", "foo", |b| b["status"]["disruptionsAllowed"] == 1).await;
    here.evict(&name, &WriteOptions::default()).await.unwrap();
    here.until_gone::<Pod>(&name).await;
    here.until::<Budget>("three healthy pods again", "foo", |b| b["status"]["disruptionsAllowed"] == 1).await;
    here.merge::<Budget>("foo", None, json!({"spec": {"minAvailable": 3}})).await;
    processed(&here, "foo").await;
    here.until::<Budget>("no disruption", "foo", |b| b["status"]["disruptionsAllowed"] == 0).await;
    let name = here.list::<Pod>("default", "foo=bar").await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    here.evict(&name, &WriteOptions::default()).await.unwrap_err();
    here.remove::<Budget>("foo").await;
    here.evict(&name, &WriteOptions::default()).await.unwrap();
}
