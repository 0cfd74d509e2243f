//! Who makes an object the dependent of another must be allowed to delete it, and who blocks the deletion of the owner must be
//! allowed to hold that up (`plugin/pkg/admission/gc`).

use super::{Operation, Plugin, Review, View};
use crate::{authz::Attributes, core::json};
use async_trait::async_trait;
use orch_api::{Gvk, Scope, StatusError};
use serde_json::Value;

/// The plugin `OwnerReferencesPermissionEnforcement`. Off by default, as in Kubernetes.
pub struct OwnerReferencesPermissionEnforcement;

#[async_trait]
impl Plugin for OwnerReferencesPermissionEnforcement {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        // The status of a pod is written by its kubelet, which may not delete what it does not run.
        matches!(review.operation, Operation::Create | Operation::Update)
            && !(review.is_of("", "pods") && review.subresource() == "status")
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let (new, old) = (owners(object), review.old.map_or(&[][..], owners));
        if new == old {
            return Ok(());
        }
        let kind = &review.call.kind;
        if review.operation != Operation::Create {
            let mut asked = Attributes::resource(review.user(), "delete", &kind.group, &kind.plural)
                .within(review.namespace())
                .named(&review.key.name);
            asked.version = &kind.version;
            asked.subresource = review.subresource();
            let decision = view.authorize(&asked);
            if !decision.is_allowed() {
                let why = format!("cannot set an ownerRef on a resource you can't delete: {}, <nil>", decision.reason);
                return Err(review.forbidden(object, why));
            }
        }
        let blocking: Vec<&Value> = new.iter().filter(|owner| blocks(owner) && !blocked_before(owner, old)).collect();
        if blocking.is_empty() || may_finalize(view, review, "*", "*", "*", "").is_ok() {
            return Ok(());
        }
        blocking.into_iter().try_for_each(|owner| check_owner(view, review, object, owner))
    }
}

fn owners(object: &Value) -> &[Value] {
    json::items(object, &["metadata", "ownerReferences"])
}

fn blocks(owner: &Value) -> bool {
    owner.get("blockOwnerDeletion").and_then(Value::as_bool).unwrap_or(false)
}

fn blocked_before(owner: &Value, old: &[Value]) -> bool {
    old.iter().any(|other| other.get("uid") == owner.get("uid") && blocks(other))
}

fn check_owner(view: &View<'_>, review: &Review<'_>, object: &Value, owner: &Value) -> Result<(), StatusError> {
    let (version, kind) = (json::text(owner, &["apiVersion"]), json::text(owner, &["kind"]));
    let Some(kind) = view.core.registry.by_kind(&Gvk::parse(version, kind)) else {
        let why = format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {version} Kind \
             {kind}: no matches for kind {kind:?} in version {version:?}"
        );
        return Err(review.forbidden(object, why));
    };
    let namespace = if kind.scope == Scope::Namespaced { review.namespace() } else { "" };
    let name = json::text(owner, &["name"]);
    may_finalize(view, review, &kind.group, &kind.plural, name, namespace).map_err(|reason| {
        let why = format!(
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: \
             {reason}, <nil>"
        );
        review.forbidden(object, why)
    })
}

fn may_finalize(
    view: &View<'_>,
    review: &Review<'_>,
    group: &str,
    resource: &str,
    name: &str,
    namespace: &str,
) -> Result<(), String> {
    let mut asked = Attributes::resource(review.user(), "update", group, resource).within(namespace).named(name);
    asked.version = "*";
    asked.subresource = "finalizers";
    let decision = view.authorize(&asked);
    if decision.is_allowed() { Ok(()) } else { Err(decision.reason.into_owned()) }
}
