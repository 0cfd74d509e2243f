//! Subresources and the kinds that are answered instead of stored.

mod binding;
mod eviction;
mod finalize;
mod pod_parts;
mod review;
mod scale;
mod token;

use crate::core::{Answer, Call, Core, Request, missing_resource, not_supported, update::Part};
use orch_api::StatusError;
use orch_store::Stored;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) use review::{review, user_info};
pub(crate) use scale::{scale_of, set_replicas};
pub(crate) use token::MOST_SECONDS;

/// Performs a request on a subresource.
pub(crate) async fn perform(
    core: &Core,
    call: &Call,
    subresource: &str,
    request: Request,
) -> Result<Answer, StatusError> {
    match (&*call.kind.group, &*call.kind.plural, subresource, request) {
        (.., "scale", request) => scale::perform(core, call, request).await,
        (.., Request::Get) => core.get(call).await,
        ("", "pods", "binding", Request::Create { body, options }) => binding::bind(core, call, body, &options).await,
        ("", "pods", "eviction", Request::Create { body, options }) => {
            eviction::evict(core, call, body, &options).await
        }
        ("", "serviceaccounts", "token", Request::Create { body, options }) => {
            token::issue(core, call, body, &options).await
        }
        ("", "namespaces", "finalize", Request::Update { body, options }) => {
            finalize::finalize(core, call, body, &options).await
        }
        ("", "pods", part @ ("ephemeralcontainers" | "resize"), Request::Update { body, options }) => {
            pod_parts::update(core, call, part, body, &options).await
        }
        ("", "pods", part @ ("ephemeralcontainers" | "resize"), Request::Patch { patch, options }) => {
            pod_parts::patch(core, call, part, &patch, &options).await
        }
        (.., "status" | "approval", Request::Update { body, options }) => {
            core.update_status(call, body, &options).await
        }
        (.., "status" | "approval", Request::Patch { patch, options }) => {
            core.patch_part(call, &patch, &options, Part::Status).await
        }
        (.., name, request) if call.kind.subresource(name).is_some() => Err(not_supported(call, request.verb())),
        _ => Err(missing_resource()),
    }
}

/// An answer that is not stored anywhere.
pub(crate) fn unstored(value: &Value) -> Result<Arc<Stored>, StatusError> {
    let json = serde_json::to_vec(value).map_err(StatusError::internal)?;
    Stored::from_json(json.into()).map(Arc::new).map_err(StatusError::internal)
}

/// `Status: Success`, the answer of bindings and evictions.
pub(crate) fn success() -> Result<Answer, StatusError> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    unstored(&status).map(Answer::created)
}
