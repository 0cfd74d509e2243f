//! Nothing is created in a namespace that does not exist or is going away, and the system's namespaces stay
//! (`apiserver/pkg/admission/plugin/namespace/lifecycle`).

use super::{NAMESPACES, Operation, Plugin, Review, View};
use async_trait::async_trait;
use orch_api::{
    Key, Scope, StatusError,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::{StatusCause, StatusDetails},
};
use serde_json::Value;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The plugin `NamespaceLifecycle`.
pub struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        match review.operation {
            Operation::Create => review.call.kind.scope == Scope::Namespaced && !is_access_review(review),
            Operation::Delete => review.is("", "namespaces"),
            Operation::Update | Operation::Connect => false,
        }
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        if review.operation == Operation::Delete {
            return refuse_deletion(review).map(|()| false);
        }
        let namespace = &review.key.namespace;
        let Some(found) = view.find(&NAMESPACES, &Key::cluster(namespace.clone())).await? else {
            return Err(StatusError::not_found(&NAMESPACES, namespace));
        };
        if found.meta.deletion_timestamp.is_none() {
            return Ok(false);
        }
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let error = review.forbidden(object, why);
        let cause = StatusCause {
            reason: Some("NamespaceTerminating".into()),
            message: Some(format!("namespace {namespace} is being terminated")),
            field: Some("metadata.namespace".into()),
        };
        let details = StatusDetails { causes: Some(vec![cause]), ..error.details().cloned().unwrap_or_default() };
        Err(error.with_details(details))
    }
}

fn refuse_deletion(review: &Review<'_>) -> Result<(), StatusError> {
    match IMMORTAL.contains(&&*review.key.name) {
        true => Err(review.forbidden(&Value::Null, "this namespace may not be deleted")),
        false => Ok(()),
    }
}

fn is_access_review(review: &Review<'_>) -> bool {
    review.is("authorization.k8s.io", "localsubjectaccessreviews")
}
