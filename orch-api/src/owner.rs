//! Owner references: who owns an object, and who of the owners controls it.

use crate::Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// A reference by which `owner` controls another object and holds up its own foreground deletion.
pub fn controller_reference<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference { controller: Some(true), block_owner_deletion: Some(true), ..reference(owner) }
}

/// A reference by which `owner` owns another object without controlling it.
pub fn reference<K: Object>(owner: &K) -> OwnerReference {
    let kind = K::gvk();
    OwnerReference {
        api_version: kind.api_version(),
        kind: kind.kind.into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.uid().to_owned(),
        ..OwnerReference::default()
    }
}

/// The owner that controls the object. There is at most one.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    owners(meta).iter().find(|owner| owner.controller == Some(true))
}

/// Whether the owner of that UID controls the object.
pub fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller_of(meta).is_some_and(|owner| owner.uid == uid)
}

/// Whether the owner of that UID owns the object.
pub fn is_owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    owners(meta).iter().any(|owner| owner.uid == uid)
}

/// All owners.
pub fn owners(meta: &ObjectMeta) -> &[OwnerReference] {
    meta.owner_references.as_deref().unwrap_or_default()
}
