//! Containers that say nothing of their resources get what the namespace's LimitRanges say, and nothing may be smaller, larger
//! or more elastic than they say (`plugin/pkg/admission/limitranger`).

mod constraint;
mod defaults;

use super::{LIMIT_RANGES, Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::StatusError;
use serde_json::Value;

/// The plugin `LimitRanger`.
pub struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        // The containers of a pod change only by a resize, so no other update is of interest.
        match (review.subresource(), review.operation) {
            ("", Operation::Create) => review.is_of("", "pods") || review.is_of("", "persistentvolumeclaims"),
            ("", Operation::Update) => review.is_of("", "persistentvolumeclaims"),
            ("resize", Operation::Update) => review.is_of("", "pods"),
            _ => false,
        }
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        if !review.is_of("", "pods") || is_going(review) {
            return Ok(false);
        }
        let mut changed = false;
        for range in ranges(view, review).await? {
            changed |= defaults::apply(&range, object);
        }
        Ok(changed)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        if is_going(review) {
            return Ok(());
        }
        for range in ranges(view, review).await? {
            let faults = if review.is_of("", "pods") {
                constraint::of_pod(&range, object)
            } else {
                constraint::of_claim(&range, object)
            };
            if !faults.is_empty() {
                return Err(review.forbidden(object, joined(&faults)));
            }
        }
        Ok(())
    }
}

/// What is being deleted may still be changed by those who clean up.
fn is_going(review: &Review<'_>) -> bool {
    review.old.is_some_and(|old| !json::meta(old, "deletionTimestamp").is_empty())
}

async fn ranges(view: &View<'_>, review: &Review<'_>) -> Result<Vec<Value>, StatusError> {
    let stored = view.known(&LIMIT_RANGES, &review.key.namespace).await?;
    stored.iter().map(|range| range.parse()).collect()
}

/// Several faults as one (`utilerrors.NewAggregate`).
fn joined(faults: &[String]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for fault in faults {
        if !seen.contains(&&**fault) {
            seen.push(fault);
        }
    }
    match seen.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(", ")),
    }
}
