//! Owner references: making them, adopting and releasing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use orch_api::Object;
use orch_store::{Stored, client::Patch, stored::Owner};
use serde_json::{Value, json};

/// The owner reference of a managing controller.
pub fn controller_ref<K: Object>(owner: &K) -> OwnerReference {
    let gvk = K::gvk();
    OwnerReference {
        api_version: gvk.api_version(),
        kind: gvk.kind.into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether an object names this UID as its managing controller.
pub fn is_controlled_by(stored: &Stored, uid: &str) -> bool {
    stored.controller().is_some_and(|owner| *owner.uid == *uid)
}

/// Makes `owner` the managing controller of an object that has none, if it is as it was seen.
pub fn adopt<K: Object>(stored: &Stored, owner: &K) -> Patch {
    let mut references: Vec<Value> = stored.meta.owner_references.iter().map(reference).collect();
    references.push(json!(controller_ref(owner)));
    replace(stored, references)
}

/// Removes an owner from an object, if it is as it was seen.
pub fn release(stored: &Stored, uid: &str) -> Patch {
    let kept = stored.meta.owner_references.iter().filter(|o| *o.uid != *uid).map(reference).collect();
    replace(stored, kept)
}

/// As [`adopt`], for a decoded object.
pub fn adopt_typed<K: Object, O: Object>(object: &K, owner: &O) -> Patch {
    let mut references: Vec<Value> = object.meta().owner_references.iter().flatten().map(|o| json!(o)).collect();
    references.push(json!(controller_ref(owner)));
    owners(object.uid(), object.meta().resource_version.as_deref().unwrap_or_default(), references)
}

/// As [`release`], for a decoded object.
pub fn release_typed<K: Object>(object: &K, uid: &str) -> Patch {
    let owners_of = object.meta().owner_references.iter().flatten();
    let kept = owners_of.filter(|o| o.uid != uid).map(|o| json!(o)).collect();
    owners(object.uid(), object.meta().resource_version.as_deref().unwrap_or_default(), kept)
}

/// Replaces all owners of an object, if it is as it was seen.
pub fn replace(stored: &Stored, references: Vec<Value>) -> Patch {
    owners(&stored.meta.uid, &stored.revision.to_string(), references)
}

fn owners(uid: &str, revision: &str, references: Vec<Value>) -> Patch {
    Patch::Merge(json!({ "metadata": { "uid": uid, "resourceVersion": revision, "ownerReferences": references } }))
}

/// An owner reference as JSON.
pub fn reference(owner: &Owner) -> Value {
    let mut out = json!({
        "apiVersion": &*owner.api_version, "kind": &*owner.kind, "name": &*owner.name, "uid": &*owner.uid,
    });
    if owner.controller {
        out["controller"] = true.into();
    }
    if owner.block_owner_deletion {
        out["blockOwnerDeletion"] = true.into();
    }
    out
}
