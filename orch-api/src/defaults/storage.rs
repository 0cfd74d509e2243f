//! Persistent volumes and claims, storage classes and CSI drivers.

use super::volume;
use crate::value::{Object, ensure, fill, fill_text};
use serde_json::{Value, json};

/// PersistentVolume.
pub(super) fn persistent_volume(object: &mut Object) {
    if let Some(status) = ensure(object, "status") {
        fill_text(status, "phase", "Pending");
    }
    let Some(spec) = ensure(object, "spec") else { return };
    fill_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
    volume::legacy(spec);
    if let Some(source) = crate::value::part(spec, "hostPath") {
        fill(source, "type", "");
    }
}

/// PersistentVolumeClaim.
pub(super) fn persistent_volume_claim(object: &mut Object) {
    claim_template(object);
}

/// A claim as a StatefulSet embeds it.
pub(super) fn claim_template(object: &mut Object) {
    if let Some(status) = ensure(object, "status") {
        fill_text(status, "phase", "Pending");
    }
    if let Some(spec) = ensure(object, "spec") {
        claim_spec(spec);
    }
}

/// The spec of a claim wherever it stands.
pub(super) fn claim_spec(spec: &mut Object) {
    fill(spec, "volumeMode", "Filesystem");
}

/// StorageClass.
pub(super) fn storage_class(object: &mut Object) {
    fill(object, "reclaimPolicy", "Delete");
    fill(object, "volumeBindingMode", "Immediate");
}

/// CSIDriver.
pub(super) fn csi_driver(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "attachRequired", true);
    fill(spec, "podInfoOnMount", false);
    fill(spec, "storageCapacity", false);
    fill(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    fill(spec, "requiresRepublish", false);
    fill(spec, "seLinuxMount", false);
    if spec.get("volumeLifecycleModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        spec.insert("volumeLifecycleModes".into(), json!(["Persistent"]));
    }
}
