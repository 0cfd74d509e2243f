//! A kubelet changes its own node and what its own pods need, and nothing else (`plugin/pkg/admission/noderestriction`).
//! The node authorizer decides what it may reach at all; this looks at what it writes there.

mod node;
mod pod;
mod token;

use super::{Operation, Plugin, Review, View, certificates};
use crate::core::json;
use async_trait::async_trait;
use orch_api::StatusError;
use serde_json::Value;

const LEASES: &str = "kube-node-lease";
const CERTIFICATES: &str = "certificates.k8s.io";
const KUBELET_SIGNERS: [&str; 2] = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// The plugin `NodeRestriction`. On wherever the node authorizer is.
pub struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.operation != Operation::Connect && review.user().node_name().is_some()
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let Some(name) = review.user().node_name() else { return Ok(false) };
        let why = match (&*review.call.kind.group, &*review.call.kind.plural, review.subresource()) {
            ("", "pods", subresource) => pod::check(view, review, name, subresource, object).await?,
            ("", "nodes", _) => node::check(review, name, object),
            ("", "persistentvolumeclaims", "status") => check_claim(review, name, object),
            ("", "persistentvolumeclaims", _) => Err("may only update PVC status".into()),
            ("", "serviceaccounts", "token") => token::check(view, review, name, object).await?,
            ("coordination.k8s.io", "leases", _) => check_lease(review, name, object),
            ("storage.k8s.io", "csinodes", _) => {
                own(review, name, object, "can only access CSINode with the same name as the requesting node")
            }
            ("resource.k8s.io", "resourceslices", _) => check_slice(review, name, object),
            (CERTIFICATES, "certificatesigningrequests", "") => check_certificate(review, name, object),
            _ => Ok(()),
        };
        why.map(|()| false).map_err(|why| review.forbidden(object, why))
    }
}

/// Whether the object has the name of the node.
fn own(review: &Review<'_>, node: &str, object: &Value, otherwise: &str) -> Result<(), String> {
    let name = if review.operation == Operation::Create { json::meta(object, "name") } else { &review.key.name };
    if name == node { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn check_lease(review: &Review<'_>, node: &str, object: &Value) -> Result<(), String> {
    if &*review.key.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    own(review, node, object, "can only access node lease with the same name as the requesting node")
}

fn check_slice(review: &Review<'_>, node: &str, object: &Value) -> Result<(), String> {
    let (slice, verb) = match review.operation {
        Operation::Create => (object, "create"),
        Operation::Delete => (review.old.unwrap_or(&Value::Null), "delete"),
        _ => return Ok(()),
    };
    match json::text(slice, &["spec", "nodeName"]) == node {
        true => Ok(()),
        false => Err(format!("can only {verb} ResourceSlice with the same NodeName as the requesting node")),
    }
}

fn check_certificate(review: &Review<'_>, node: &str, object: &Value) -> Result<(), String> {
    let signer = json::text(object, &["spec", "signerName"]);
    if review.operation != Operation::Create || !KUBELET_SIGNERS.contains(&signer) {
        return Ok(());
    }
    let subject = certificates::subject_of(json::text(object, &["spec", "request"]));
    let subject = subject.map_err(|why| format!("unable to parse csr: {why}"))?;
    match subject.common_name == format!("system:node:{node}") {
        true => Ok(()),
        false => Err(format!("can only create a node CSR with CN=system:node:{node}")),
    }
}

/// A kubelet that resizes a volume says so in the status of its claim.
fn check_claim(review: &Review<'_>, node: &str, object: &Value) -> Result<(), String> {
    let stripped = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            json::remove(&mut claim, &["status", field]);
        }
        for field in ["resourceVersion", "managedFields"] {
            json::remove(&mut claim, &["metadata", field]);
        }
        claim
    };
    match review.old.is_some_and(|old| stripped(old) == stripped(object)) {
        true => Ok(()),
        false => {
            let fields = "status.quantity and status.conditions";
            Err(format!("node {node:?} is not allowed to update fields other than {fields}"))
        }
    }
}
