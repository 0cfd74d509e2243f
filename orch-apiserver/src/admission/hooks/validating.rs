//! `ValidatingAdmissionWebhook`: all webhooks that match are asked at once; one that refuses is enough
//! (`plugin/webhook/validating/dispatcher.go`).

use super::{error::HookError, hook::Hook};
use crate::admission::{Plugin, Review, View, matching, shown};
use async_trait::async_trait;
use futures::future::join_all;
use orch_api::{Kind, StatusError};
use serde_json::Value;
use std::sync::Arc;

const FAILED_OPEN: &str = "failed-open.validating.webhook.admission.k8s.io/";

/// The plugin `ValidatingAdmissionWebhook`.
pub struct ValidatingAdmissionWebhook;

#[async_trait]
impl Plugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        !matching::is_exempt(review)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let compiled = view.core.hooks.validating(view.core);
        let mut asked: Vec<(&Hook, Arc<Kind>)> = Vec::new();
        for hook in compiled.hooks() {
            if let Some(kind) = hook.invocation(view, review, object).await? {
                asked.push((hook, kind));
            }
        }
        let questions = asked.iter().map(|(hook, kind)| question(hook, view, review, kind, object));
        let mut refusals = Vec::new();
        for (index, ((hook, _), answer)) in asked.iter().zip(join_all(questions).await).enumerate() {
            match answer {
                Ok(()) => {}
                Err(HookError::Failed(why)) if hook.ignores_failure => {
                    tracing::warn!(webhook = %hook.name, %why, "failed calling webhook, failing open");
                    let key = format!("{FAILED_OPEN}round_0_index_{index}");
                    review.call.annotations.add(key, hook.name.clone());
                }
                Err(error) => refusals.push(error.refuse(&hook.name)),
            }
        }
        match refusals.into_iter().next() {
            Some(first) => Err(first),
            None => Ok(()),
        }
    }
}

async fn question(
    hook: &Hook,
    view: &View<'_>,
    review: &Review<'_>,
    kind: &Kind,
    object: &Value,
) -> Result<(), HookError> {
    let new = shown::as_kind(view, review, kind, object).await.map_err(HookError::Fatal)?;
    let old = shown::old_as_kind(view, review, kind).await.map_err(HookError::Fatal)?;
    hook.ask(view, review, kind, new, old).await.map(drop)
}
