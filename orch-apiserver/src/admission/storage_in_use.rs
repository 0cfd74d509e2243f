//! Volumes and claims in use do not vanish under those who use them
//! (`plugin/pkg/admission/storage/storageobjectinuseprotection`).

use super::{Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::StatusError;
use serde_json::Value;

const FINALIZERS: [(&str, &str, &str); 3] = [
    ("", "persistentvolumes", "kubernetes.io/pv-protection"),
    ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
    ("storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"),
];

/// The plugin `StorageObjectInUseProtection`: the finalizer that a controller takes away when nobody uses the object.
pub struct StorageObjectInUseProtection;

fn finalizer(review: &Review<'_>) -> Option<&'static str> {
    FINALIZERS.iter().find(|(group, resource, _)| review.is(group, resource)).map(|(.., name)| *name)
}

#[async_trait]
impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.operation == Operation::Create && finalizer(review).is_some()
    }

    async fn mutate(&self, _: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let Some(name) = finalizer(review) else { return Ok(false) };
        let finalizers = json::list_mut(object, &["metadata"], "finalizers");
        let missing = !finalizers.iter().any(|finalizer| finalizer == name);
        if missing {
            finalizers.push(name.into());
        }
        Ok(missing)
    }
}
