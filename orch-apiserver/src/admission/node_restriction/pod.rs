//! What a kubelet may do with pods.

use super::{Operation, Review, View};
use crate::{
    admission::{NODES, PODS},
    core::json,
};
use orch_api::{Key, StatusError};
use serde_json::Value;

const MIRROR: &str = "kubernetes.io/config.mirror";

type Checked = Result<Result<(), String>, StatusError>;

pub(super) async fn check(
    view: &View<'_>,
    review: &Review<'_>,
    node: &str,
    subresource: &str,
    object: &Value,
) -> Checked {
    let operation = review.operation;
    match (subresource, operation) {
        ("", Operation::Create) => check_create(view, node, object).await,
        ("", Operation::Delete) => {
            let words = format!("node {node:?} can only delete pods with spec.nodeName set to itself");
            Ok(runs(review.old.unwrap_or(&Value::Null), node, words))
        }
        ("", _) => {
            let operation = operation.as_str();
            Ok(Err(format!("unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods")))
        }
        ("status", Operation::Update) => Ok(check_status(review, node, object)),
        ("eviction", Operation::Create) => {
            let pods = view.find(&PODS, review.key).await?;
            let pod: Value = pods.ok_or_else(|| StatusError::not_found(&PODS, &review.key.name))?.parse()?;
            Ok(runs(&pod, node, format!("node {node} can only evict pods with spec.nodeName set to itself")))
        }
        ("status" | "eviction", _) => Ok(Err(format!("unexpected operation {:?}", operation.as_str()))),
        (other, _) => {
            Ok(Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed")))
        }
    }
}

fn runs(pod: &Value, node: &str, otherwise: String) -> Result<(), String> {
    if json::text(pod, &["spec", "nodeName"]) == node { Ok(()) } else { Err(otherwise) }
}

/// A kubelet shows the pods that it runs by itself, and these need nothing of the API.
async fn check_create(view: &View<'_>, node: &str, pod: &Value) -> Checked {
    let refuse = |why: String| Ok(Err(why));
    let is_mirror = json::at(pod, &["metadata", "annotations"]).is_some_and(|a| a.get(MIRROR).is_some());
    if !is_mirror {
        return refuse(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if json::text(pod, &["spec", "nodeName"]) != node {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owner = match json::items(pod, &["metadata", "ownerReferences"]) {
        [] => return refuse(format!("node {node:?} can only create pods with an owner reference set to itself")),
        [one] => one,
        _ => {
            return refuse(format!("node {node:?} can only create pods with a single owner reference set to itself"));
        }
    };
    if let Err(why) = check_owner(node, owner) {
        return refuse(why);
    }
    let found = view.find(&NODES, &Key::cluster(node)).await?;
    let found = found.ok_or_else(|| StatusError::not_found(&NODES, node))?;
    let uid = json::text(owner, &["uid"]);
    if uid != &*found.meta.uid {
        return refuse(format!("node {node} UID mismatch: expected {uid} got {}", found.meta.uid));
    }
    match referenced(pod) {
        Some(what) => refuse(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(Ok(())),
    }
}

fn check_owner(node: &str, owner: &Value) -> Result<(), String> {
    let text = |field: &str| json::text(owner, &[field]);
    let truth = |field: &str| owner.get(field).and_then(Value::as_bool).unwrap_or(false);
    if (text("apiVersion"), text("kind"), text("name")) != ("v1", "Node", node) {
        return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if !truth("controller") {
        return Err(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if truth("blockOwnerDeletion") {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    Ok(())
}

/// The first kind of object that the pod takes something from (`podutil.HasAPIObjectReference`).
fn referenced(pod: &Value) -> Option<&'static str> {
    let spec = json::at(pod, &["spec"])?;
    if !json::text(spec, &["serviceAccountName"]).is_empty() {
        return Some("serviceaccounts");
    }
    if !json::items(spec, &["imagePullSecrets"]).is_empty() {
        return Some("secrets");
    }
    if !json::items(spec, &["resourceClaims"]).is_empty() {
        return Some("resourceclaims");
    }
    const SOURCES: [(&str, &str); 5] = [
        ("secret", "secrets"),
        ("configMap", "configmaps"),
        ("persistentVolumeClaim", "persistentvolumeclaims"),
        ("ephemeral", "persistentvolumeclaims"),
        ("clusterTrustBundle", "clustertrustbundles"),
    ];
    let from = |source: &Value| SOURCES.iter().find(|(field, _)| source.get(*field).is_some()).map(|(_, what)| *what);
    let volumes = json::items(spec, &["volumes"]).iter();
    let sources = volumes.flat_map(|v| std::iter::once(v).chain(json::items(v, &["projected", "sources"])));
    let of_volumes = sources
        .filter_map(|source| from(source).or_else(|| source.get("serviceAccountToken").map(|_| "serviceaccounts")));
    of_volumes.chain(of_environment(spec)).next()
}

fn of_environment(spec: &Value) -> impl Iterator<Item = &'static str> + use<'_> {
    let containers = ["containers", "initContainers"].into_iter().flat_map(|list| json::items(spec, &[list]));
    containers.flat_map(|container| {
        let from = json::items(container, &["envFrom"]).iter().map(|f| (f, ["secretRef", "configMapRef"]));
        let single = json::items(container, &["env"]).iter().filter_map(|e| e.get("valueFrom"));
        let single = single.map(|f| (f, ["secretKeyRef", "configMapKeyRef"]));
        from.chain(single).filter_map(|(source, [secret, map])| {
            let what = source.get(secret).map(|_| "secrets");
            what.or_else(|| source.get(map).map(|_| "configmaps"))
        })
    })
}

fn check_status(review: &Review<'_>, node: &str, pod: &Value) -> Result<(), String> {
    let old = review.old.unwrap_or(&Value::Null);
    runs(old, node, format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"))?;
    let same = |path: &[&str]| json::at(old, path) == json::at(pod, path);
    if !same(&["metadata", "labels"]) {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    if !same(&["status", "resourceClaimStatuses"]) {
        return Err(format!("node {node:?} cannot update resource claim statues"));
    }
    if !same(&["status", "extendedResourceClaimStatus"]) {
        return Err(format!("node {node:?} cannot update extended resource claim status"));
    }
    Ok(())
}
