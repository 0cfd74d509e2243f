//! `test/e2e/auth/service_accounts.go`.

use super::*;
use k8s_openapi::api::{
    authentication::v1::TokenReview,
    core::v1::{ConfigMap, ServiceAccount},
};

/// [sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]
#[tokio::test(start_paused = true)]
async fn every_namespace_has_the_ca() {
    let here = World::start().await;
    here.kind::<ConfigMap>().until_one("the CA", "kube-root-ca.crt", |c| !c["data"]["ca.crt"].is_null()).await;
    let uid = here.kind::<ConfigMap>().get("kube-root-ca.crt").await["metadata"]["uid"].clone();
    here.kind::<ConfigMap>().delete("kube-root-ca.crt").await;
    here.kind::<ConfigMap>().until_one("another one", "kube-root-ca.crt", move |c| c["metadata"]["uid"] != uid).await;
    here.kind::<ConfigMap>().merge("kube-root-ca.crt", json!({"data": {"ca.crt": ""}})).await;
    here.kind::<ConfigMap>()
        .until_one("the CA again", "kube-root-ca.crt", |c| {
            c["data"]["ca.crt"].as_str().is_some_and(|ca| !ca.is_empty())
        })
        .await;
}

async fn token(here: &World, account: &str) -> String {
    let body = json!({"metadata": {"name": account}, "spec": {"audiences": []}});
    let made = here.kind::<ServiceAccount>().sub("token").create(body).await;
    made["status"]["token"].as_str().unwrap().to_owned()
}

/// [sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]
#[tokio::test(start_paused = true)]
async fn a_token_is_reviewed() {
    let here = World::start().await;
    here.kind::<ServiceAccount>().create(json!({"metadata": {"name": "e2e-sa", "namespace": "default"}})).await;
    let review = here.kind::<TokenReview>().create(json!({"spec": {"token": token(&here, "e2e-sa").await}})).await;
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:e2e-sa");
}

/// [sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]; [sig-auth]
/// ServiceAccounts should update a ServiceAccount [Conformance]
#[tokio::test(start_paused = true)]
async fn an_account_is_created_changed_and_deleted() {
    let here = World::start().await;
    let account = json!({"metadata": {"name": "testserviceaccount", "namespace": "default",
        "labels": {"test-serviceaccount-static": "true"}}});
    let made = here.kind::<ServiceAccount>().create(account).await;
    assert!(made["automountServiceAccountToken"].is_null());
    let patched =
        here.kind::<ServiceAccount>().merge("testserviceaccount", json!({"automountServiceAccountToken": false})).await;
    assert_eq!(patched["automountServiceAccountToken"], false);
    let mut changed = here.kind::<ServiceAccount>().get("testserviceaccount").await;
    changed["automountServiceAccountToken"] = true.into();
    assert_eq!(here.kind::<ServiceAccount>().replace(changed).await["automountServiceAccountToken"], true);
    assert_eq!(here.kind::<ServiceAccount>().everywhere().list("test-serviceaccount-static=true").await.len(), 1);
    here.kind::<ServiceAccount>().delete_all("test-serviceaccount-static=true").await;
    here.kind::<ServiceAccount>().until_gone("testserviceaccount").await;
}

/// [sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_and_accounts_may_do_without_tokens() {
    let here = World::start().await;
    let account = |name: &str, mounts: Value| json!({"metadata": {"name": name, "namespace": "default"}, "automountServiceAccountToken": mounts});
    here.kind::<ServiceAccount>().create(account("mount", json!(true))).await;
    here.kind::<ServiceAccount>().create(account("nomount", json!(false))).await;
    for (number, (account, says, expected)) in [
        ("default", Value::Null, true),
        ("mount", Value::Null, true),
        ("nomount", Value::Null, false),
        ("default", json!(true), true),
        ("mount", json!(true), true),
        ("nomount", json!(true), true),
        ("default", json!(false), false),
        ("mount", json!(false), false),
        ("nomount", json!(false), false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut pod = pod(&format!("pod-{number}"), json!({}));
        pod["spec"]["serviceAccountName"] = account.into();
        pod["spec"]["automountServiceAccountToken"] = says.clone();
        let made = here.kind::<Pod>().create(pod).await;
        let mounts = made["spec"]["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
        let mounted = mounts.iter().any(|m| m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount");
        assert_eq!(mounted, expected, "{account} {says}");
    }
}
