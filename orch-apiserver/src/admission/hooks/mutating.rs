//! `MutatingAdmissionWebhook`: webhooks are asked one after the other, and each sees what those before it made of the object
//! (`plugin/webhook/mutating/dispatcher.go`).

use super::{error::HookError, hook::Hook};
use crate::{
    admission::{Plugin, Review, View, matching, shown},
    patch::apply_json_patch,
};
use async_trait::async_trait;
use orch_api::{Kind, StatusError, review::AdmissionResponse};
use serde_json::{Value, json};

const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
const PATCH: &str = "patch.webhook.admission.k8s.io/";
const FAILED_OPEN: &str = "failed-open.mutation.webhook.admission.k8s.io/";

/// The plugin `MutatingAdmissionWebhook`.
pub struct MutatingAdmissionWebhook;

#[async_trait]
impl Plugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        !matching::is_exempt(review)
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let compiled = view.core.hooks.mutating(view.core);
        let hooks = compiled.hooks();
        if hooks.is_empty() {
            return Ok(false);
        }
        let second = view.round.is_second();
        if second {
            view.round.hooks(|tracker| tracker.enter(object));
        }
        let mut changed = false;
        for (index, hook) in hooks.iter().enumerate() {
            let Some(kind) = hook.invocation(view, review, object).await? else { continue };
            // Who was not asked in the first round is not asked for the first time in the second.
            if second && !view.round.hooks(|tracker| tracker.runs_again(&hook.id)) {
                continue;
            }
            let place = format!("round_{}_index_{index}", u8::from(second));
            let did = match question(hook, view, review, &kind, object, &place).await {
                Ok(did) => did,
                Err(HookError::Failed(why)) if hook.ignores_failure => {
                    tracing::warn!(webhook = %hook.name, %why, "failed calling webhook, failing open");
                    review.call.annotations.add(format!("{FAILED_OPEN}{place}"), hook.name.clone());
                    false
                }
                Err(error) => return Err(error.refuse(&hook.name)),
            };
            note(hook, review, &place, did);
            if did {
                view.round.hooks(super::super::round::Tracker::changed);
                view.round.want();
            }
            if hook.reinvocable {
                view.round.hooks(|tracker| tracker.ran(&hook.id));
            }
            changed |= did;
        }
        view.round.hooks(|tracker| tracker.leave(object));
        Ok(changed)
    }
}

/// Asks the webhook and applies its patch; says whether that changed the object.
async fn question(
    hook: &Hook,
    view: &View<'_>,
    review: &Review<'_>,
    kind: &Kind,
    object: &mut Value,
    place: &str,
) -> Result<bool, HookError> {
    let new = shown::as_kind(view, review, kind, object).await.map_err(HookError::Fatal)?;
    let old = shown::old_as_kind(view, review, kind).await.map_err(HookError::Fatal)?;
    let response = hook.ask(view, review, kind, new.clone(), old).await?;
    let Some(patch) = operations(&response)? else { return Ok(false) };
    if new.is_null() {
        let why = format_args!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name
        );
        return Err(HookError::Fatal(StatusError::internal(why)));
    }
    if let Some(other) = response.patch_type.as_deref().filter(|kind| *kind != AdmissionResponse::JSON_PATCH) {
        return Err(HookError::Failed(format!("unsupported patch type {other:?}")));
    }
    let patched = apply_json_patch(&new, &patch).map_err(|why| HookError::Fatal(StatusError::internal(why)))?;
    let settled = shown::settle(review, kind, patched).map_err(HookError::Fatal)?;
    let noted = json!({"configuration": hook.configuration, "webhook": hook.name, "patch": patch,
        "patchType": AdmissionResponse::JSON_PATCH});
    review.call.annotations.add(format!("{PATCH}{place}"), noted.to_string());
    let changed = settled != new;
    if changed {
        *object = shown::from_kind(view, review, kind, settled).await.map_err(HookError::Fatal)?;
    }
    Ok(changed)
}

/// The operations of a patch; `None` when there is nothing to do.
fn operations(response: &AdmissionResponse) -> Result<Option<Value>, HookError> {
    let Some(patch) = response.patch.as_ref().filter(|patch| !patch.0.is_empty()) else { return Ok(None) };
    let undecodable = |why: &dyn std::fmt::Display| {
        HookError::Failed(format!("received undecodable patch in webhook response: {why}"))
    };
    let patch: Value = serde_json::from_slice(&patch.0).map_err(|why| undecodable(&why))?;
    match patch.as_array() {
        None => Err(undecodable(&"a list of operations is expected")),
        Some(list) if list.is_empty() => Ok(None),
        Some(_) => Ok(Some(patch)),
    }
}

fn note(hook: &Hook, review: &Review<'_>, place: &str, mutated: bool) {
    let noted = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": mutated});
    review.call.annotations.add(format!("{MUTATION}{place}"), noted.to_string());
}
