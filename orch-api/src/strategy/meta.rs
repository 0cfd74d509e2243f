//! The parts of the metadata that only the server writes (`apiserver/pkg/registry/rest/create.go`, `update.go`,
//! `apimachinery/pkg/apis/meta/v1/helpers.go`).

use super::{generation, take_part};
use crate::{
    kind::Kind,
    value::{self, Object},
};
use serde_json::Value;

/// A new object is not being deleted and has no revision.
pub(super) fn created(object: &mut Object) {
    if let Some(meta) = value::ensure(object, "metadata") {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            meta.remove(field);
        }
    }
}

/// An update does not change the generation by itself, cannot move the creation, and cannot undo a deletion.
pub(super) fn updated(new: &mut Object, old: &Object) {
    let generation = generation::of(old);
    let Some(meta) = value::ensure(new, "metadata") else { return };
    match generation.as_i64() {
        Some(0) | None => meta.remove("generation"),
        _ => meta.insert("generation".into(), generation),
    };
    meta.remove("selfLink");
    let old = |field: &str| old.get("metadata").and_then(|m| m.get(field)).filter(|v| !v.is_null()).cloned();
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if let Some(value) = old(field) {
            meta.insert(field.into(), value);
        }
    }
    for field in ["deletionGracePeriodSeconds", "uid"] {
        if meta.get(field).is_none_or(|v| v.is_null() || v == "")
            && let Some(value) = old(field)
        {
            meta.insert(field.into(), value);
        }
    }
}

/// What a writer of the status may not change in the metadata. Most kinds let controllers write labels,
/// annotations and finalizers with the status; managed fields always are the writer's own.
pub(super) fn status_updated(kind: &Kind, new: &mut Object, old: &Object) {
    for field in fixed(kind) {
        take_part(new, old, "metadata", field);
    }
}

const ALL: &[&str] = &["deletionTimestamp", "generation", "labels", "annotations", "finalizers", "ownerReferences"];

fn fixed(kind: &Kind) -> &'static [&'static str] {
    match (&*kind.group, &*kind.kind) {
        ("", "Pod") => &["deletionTimestamp", "ownerReferences"],
        ("apps", "Deployment") => &["labels"],
        ("certificates.k8s.io", "PodCertificateRequest")
        | ("scheduling.k8s.io", "PodGroup")
        | ("networking.k8s.io", "ServiceCIDR")
        | ("storagemigration.k8s.io", _)
        | ("resource.k8s.io", _)
        | ("internal.apiserver.k8s.io", _)
        | ("storage.k8s.io", "VolumeAttachment")
        | ("admissionregistration.k8s.io", _) => ALL,
        _ if super::is_built_in(kind) => &[],
        _ => &[
            "name",
            "generateName",
            "namespace",
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "labels",
            "annotations",
            "finalizers",
            "ownerReferences",
        ],
    }
}

/// The metadata of an object.
pub(super) fn of(object: &Value) -> Option<&Object> {
    object.get("metadata").and_then(Value::as_object)
}
