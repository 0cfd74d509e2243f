//! `test/e2e/auth/service_accounts.go`.

use super::*;
use k8s_openapi::api::{
    authentication::v1::TokenReview,
    core::v1::{ConfigMap, ServiceAccount},
};

/// [sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace [Conformance]
#[tokio::test(start_paused = true)]
async fn every_namespace_has_the_ca() {
    let here = Here::start().await;
    here.until::<ConfigMap>("the CA", "kube-root-ca.crt", |c| !c["data"]["ca.crt"].is_null()).await;
    let uid = here.get::<ConfigMap>("kube-root-ca.crt").await["metadata"]["uid"].clone();
    here.remove::<ConfigMap>("kube-root-ca.crt").await;
    here.until::<ConfigMap>("another one", "kube-root-ca.crt", move |c| c["metadata"]["uid"] != uid).await;
    here.merge::<ConfigMap>("kube-root-ca.crt", None, json!({"data": {"ca.crt": ""}})).await;
    here.until::<ConfigMap>("the CA again", "kube-root-ca.crt", |c| {
        c["data"]["ca.crt"].as_str().is_some_and(|ca| !ca.is_empty())
    })
    .await;
}

async fn token(here: &Here, account: &str) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let (client, key) = (here.0.client(), Key::new("default", account));
    let made =
        client.create(&ServiceAccount::gvr(), &key, Some("token"), body, &WriteOptions::default()).await.unwrap();
    made.parse::<Value>().unwrap()["status"]["token"].as_str().unwrap().to_owned()
}

/// [sig-auth] ServiceAccounts should create a serviceAccountToken and ensure a successful TokenReview [Conformance]
#[tokio::test(start_paused = true)]
async fn a_token_is_reviewed() {
    let here = Here::start().await;
    here.add::<ServiceAccount>(json!({"metadata": {"name": "e2e-sa", "namespace": "default"}})).await;
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token(&here, "e2e-sa").await}});
    let client = here.0.client();
    let options = WriteOptions::default();
    let review = client.create(&TokenReview::gvr(), &Key::cluster(""), None, body, &options).await.unwrap();
    let review: Value = review.parse().unwrap();
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:e2e-sa");
}

/// [sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount [Conformance]; [sig-auth]
/// ServiceAccounts should update a ServiceAccount [Conformance]
#[tokio::test(start_paused = true)]
async fn an_account_is_created_changed_and_deleted() {
    let here = Here::start().await;
    let account = json!({"metadata": {"name": "testserviceaccount", "namespace": "default",
        "labels": {"test-serviceaccount-static": "true"}}});
    let made = here.add::<ServiceAccount>(account).await;
    assert!(made["automountServiceAccountToken"].is_null());
    let patched =
        here.merge::<ServiceAccount>("testserviceaccount", None, json!({"automountServiceAccountToken": false})).await;
    assert_eq!(patched["automountServiceAccountToken"], false);
    let mut changed = here.get::<ServiceAccount>("testserviceaccount").await;
    changed["automountServiceAccountToken"] = true.into();
    assert_eq!(here.update::<ServiceAccount>(changed).await["automountServiceAccountToken"], true);
    assert_eq!(here.list::<ServiceAccount>("", "test-serviceaccount-static=true").await.len(), 1);
    let select = ListOptions {
        namespace: "default".into(),
        labels: "test-serviceaccount-static=true".into(),
        ..ListOptions::default()
    };
    here.0.client().delete_collection(&ServiceAccount::gvr(), &select, &DeleteOptions::default()).await.unwrap();
    here.until_gone::<ServiceAccount>("testserviceaccount").await;
}

/// [sig-auth] ServiceAccounts should allow opting out of API token automount [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_and_accounts_may_do_without_tokens() {
    let here = Here::start().await;
    let account = |name: &str, mounts: Value| json!({"metadata": {"name": name, "namespace": "default"}, "automountServiceAccountToken": mounts});
    here.add::<ServiceAccount>(account("mount", json!(true))).await;
    here.add::<ServiceAccount>(account("nomount", json!(false))).await;
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
        let made = here.add::<Pod>(pod).await;
        let mounts = made["spec"]["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
        let mounted = mounts.iter().any(|m| m["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount");
        assert_eq!(mounted, expected, "{account} {says}");
    }
}
