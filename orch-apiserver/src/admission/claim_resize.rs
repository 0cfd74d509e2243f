//! A claim grows only where its class allows it (`plugin/pkg/admission/storage/persistentvolume/resize`).

use super::{Operation, Plugin, Review, STORAGE_CLASSES, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::{Key, StatusError, quota::Amounts};
use serde_json::Value;

const CLASS_OF_OLD: &str = "volume.beta.kubernetes.io/storage-class";

/// The plugin `PersistentVolumeClaimResize`.
pub struct PersistentVolumeClaimResize;

#[async_trait]
impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("", "persistentvolumeclaims") && review.operation == Operation::Update
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, claim: &Value) -> Result<(), StatusError> {
        let Some(old) = review.old.filter(|old| size(claim) > size(old)) else { return Ok(()) };
        if json::text(old, &["status", "phase"]) != "Bound" {
            return Err(review.forbidden(claim, "Only bound persistent volume claims can be expanded"));
        }
        if !may_grow(view, claim, old).await? {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                       support resize";
            return Err(review.forbidden(claim, why));
        }
        Ok(())
    }
}

fn size(claim: &Value) -> orch_api::quantity::Quantity {
    let requests = Amounts::read(json::at(claim, &["spec", "resources", "requests"]));
    requests.get("storage").unwrap_or(orch_api::quantity::Quantity::ZERO)
}

async fn may_grow(view: &View<'_>, claim: &Value, old: &Value) -> Result<bool, StatusError> {
    let name = class(claim);
    if name.is_empty() || name != class(old) {
        return Ok(false);
    }
    let Some(found) = view.find(&STORAGE_CLASSES, &Key::cluster(name)).await? else { return Ok(false) };
    let found: Value = found.parse()?;
    Ok(found.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false))
}

fn class(claim: &Value) -> &str {
    match json::at(claim, &["metadata", "annotations", CLASS_OF_OLD]) {
        Some(annotation) => annotation.as_str().unwrap_or_default(),
        None => json::text(claim, &["spec", "storageClassName"]),
    }
}
