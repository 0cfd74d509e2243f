//! Every pod runs as a service account and finds its token (`plugin/pkg/admission/serviceaccount`). An account may have it
//! that its pods see no secrets but those that it names (`mountable`).

mod mountable;

use super::{Operation, Plugin, Review, SERVICE_ACCOUNTS, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Gvr, Key, StatusError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// A bound token is renewed by the hour. Asked for with these very seconds it stays good for a year, for clients that do not
/// read it again (`WarnOnlyBoundTokenExpirationSeconds`).
pub(crate) const EXPIRATION_SECONDS: i64 = 3607;
/// The account that every namespace gets.
const DEFAULT: &str = "default";
/// How long a pod waits for it: its namespace may be a moment old.
const PATIENCE: Duration = Duration::from_secs(1);

/// The plugin `ServiceAccount`.
pub struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is_of("", "pods")
            && matches!(
                (review.operation, review.subresource()),
                (Operation::Create, "") | (Operation::Update, "ephemeralcontainers")
            )
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, pod: &mut Value) -> Result<bool, StatusError> {
        if is_mirror(pod) || review.operation == Operation::Update {
            return Ok(false);
        }
        if json::text(pod, &["spec", "serviceAccountName"]).is_empty() {
            json::set(pod, &["spec", "serviceAccountName"], DEFAULT);
        }
        let account = account(view, review, pod).await?;
        if automounts(&account, pod) {
            mount_token(pod, || format!("{VOLUME_PREFIX}{}", view.chance().suffix(5)));
        }
        if json::items(pod, &["spec", "imagePullSecrets"]).is_empty() {
            let secrets: Vec<Value> = account.image_pull_secrets.iter().map(|s| json!({"name": s.name})).collect();
            if !secrets.is_empty() {
                json::set(pod, &["spec", "imagePullSecrets"], secrets);
            }
        }
        Ok(true)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<(), StatusError> {
        let is_new = review.operation == Operation::Create;
        if is_new && is_mirror(pod) {
            return check_mirror(pod).map_err(|why| review.forbidden(pod, why));
        }
        if json::text(pod, &["spec", "serviceAccountName"]).is_empty() {
            return Err(review.forbidden(pod, format!("no service account specified for pod {}", review.key)));
        }
        let account = account(view, review, pod).await?;
        let fault = match is_new {
            true => mountable::fault(&account, pod),
            false => mountable::ephemeral_fault(&account, pod),
        };
        fault.map_or(Ok(()), |why| Err(review.forbidden(pod, why)))
    }
}

fn is_mirror(pod: &Value) -> bool {
    json::at(pod, &["metadata", "annotations"]).is_some_and(|a| a.get(MIRROR).is_some())
}

/// A mirror pod shows a pod that no API server admitted: it may name neither accounts nor secrets.
fn check_mirror(pod: &Value) -> Result<(), &'static str> {
    if !json::text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Err("a mirror pod may not reference service accounts");
    }
    for volume in json::items(pod, &["spec", "volumes"]) {
        if volume.get("secret").is_some() {
            return Err("a mirror pod may not reference secrets");
        }
        let sources = json::items(volume, &["projected", "sources"]);
        if sources.iter().any(|s| s.get("serviceAccountToken").is_some()) {
            return Err("a mirror pod may not use ServiceAccountToken volume projections");
        }
    }
    Ok(())
}

/// What the plugin looks at in an account: every pod comes by here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    metadata: Metadata,
    automount_service_account_token: Option<bool>,
    #[serde(default)]
    secrets: Vec<Named>,
    #[serde(default)]
    image_pull_secrets: Vec<Named>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

async fn account(view: &View<'_>, review: &Review<'_>, pod: &Value) -> Result<Arc<Account>, StatusError> {
    let namespace = &review.key.namespace;
    let name = json::text(pod, &["spec", "serviceAccountName"]);
    let key = Key::new(namespace.clone(), name);
    let found = match name {
        DEFAULT => view.await_one(&SERVICE_ACCOUNTS, &key, PATIENCE).await?,
        _ => view.find(&SERVICE_ACCOUNTS, &key).await?,
    };
    match found {
        Some(found) => found.parsed(),
        None => {
            let missing = StatusError::not_found(&Gvr::of("", "v1", "serviceaccount"), name);
            let why = format!("error looking up service account {namespace}/{name}: {missing}");
            Err(review.forbidden(pod, why))
        }
    }
}

fn automounts(account: &Account, pod: &Value) -> bool {
    let of_pod = json::at(pod, &["spec", "automountServiceAccountToken"]).and_then(Value::as_bool);
    of_pod.or(account.automount_service_account_token).unwrap_or(true)
}

/// Mounts the token into every container that has nothing else at its place.
fn mount_token(pod: &mut Value, new_name: impl FnOnce() -> String) {
    let volumes = json::items(pod, &["spec", "volumes"]);
    let existing = volumes.iter().map(|v| json::text(v, &["name"])).find(|n| n.starts_with(VOLUME_PREFIX));
    let had_volume = existing.is_some();
    let name = existing.map_or_else(new_name, str::to_owned);
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        if json::items(pod, &["spec", list]).is_empty() {
            continue;
        }
        for container in json::list_mut(pod, &["spec"], list) {
            let mounts = json::list_mut(container, &[], "volumeMounts");
            if !mounts.iter().any(|m| json::text(m, &["mountPath"]) == MOUNT_PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
                mounted = true;
            }
        }
    }
    if mounted && !had_volume {
        json::list_mut(pod, &["spec"], "volumes").push(token_volume(&name));
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": EXPIRATION_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
        ]}},
    ]}})
}
