//! Persistent volumes and the claims to them.

use super::{
    cells::{UNSET, is_deleting, scalar_or},
    core::CORE,
    row::{Row, named, text, wide},
};
use crate::{
    access::{get, map, text as field, texts},
    kind::Kind,
};
use serde_json::Value;

const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

pub(super) fn kind() -> Kind {
    let mut columns = named([
        text("Capacity", "How much can be stored.", |o, _| scalar_or(o, "spec.capacity.storage", "0")),
        text("Access Modes", "How the volume can be mounted.", |o, _| modes(o, "spec.accessModes").into()),
        text("Reclaim Policy", "What happens to the volume when its claim goes.", |o, _| {
            field(o, "spec.persistentVolumeReclaimPolicy").into()
        }),
        text("Status", "The phase of the volume.", |o, _| phase(o).into()),
        text("Claim", "The claim that the volume is bound to.", |o, _| claim_name(o).into()),
        text("StorageClass", "StorageClass of the pv", |o, _| class(o).into()),
        text("VolumeAttributesClass", "VolumeAttributesClass of the pv", |o, _| attributes_class(o)),
        text("Reason", "Why the volume failed.", |o, _| field(o, "status.reason").into()),
    ]);
    columns
        .push(wide(text("VolumeMode", "File system or block device.", |o, _| scalar_or(o, "spec.volumeMode", UNSET))));
    CORE.cluster("PersistentVolume", "persistentvolumes").short(&["pv"]).status().columns(columns)
}

pub(super) fn claim() -> Kind {
    let mut columns = named([
        text("Status", "The phase of the claim.", |o, _| phase(o).into()),
        text("Volume", "The volume that the claim is bound to.", |o, _| field(o, "spec.volumeName").into()),
        text("Capacity", "How much can be stored.", |o, _| match field(o, "spec.volumeName") {
            "" => "".into(),
            _ => scalar_or(o, "status.capacity.storage", "0"),
        }),
        text("Access Modes", "How the volume can be mounted.", |o, _| match field(o, "spec.volumeName") {
            "" => "".into(),
            _ => modes(o, "status.accessModes").into(),
        }),
        text("StorageClass", "StorageClass of the pvc", |o, _| class(o).into()),
        text("VolumeAttributesClass", "VolumeAttributesClass of the pvc", |o, _| attributes_class(o)),
    ]);
    columns
        .push(wide(text("VolumeMode", "File system or block device.", |o, _| scalar_or(o, "spec.volumeMode", UNSET))));
    CORE.namespaced("PersistentVolumeClaim", "persistentvolumeclaims").short(&["pvc"]).status().columns(columns)
}

fn phase(object: &Value) -> &str {
    if is_deleting(object) { "Terminating" } else { field(object, "status.phase") }
}

fn claim_name(volume: &Value) -> String {
    let claim = get(volume, "spec.claimRef");
    claim.map(|c| format!("{}/{}", field(c, "namespace"), field(c, "name"))).unwrap_or_default()
}

fn class(object: &Value) -> &str {
    let beta = map(object, "metadata.annotations").and_then(|all| all.get(BETA_CLASS)).and_then(Value::as_str);
    beta.unwrap_or_else(|| field(object, "spec.storageClassName"))
}

fn attributes_class(object: &Value) -> Value {
    scalar_or(object, "spec.volumeAttributesClassName", UNSET)
}

/// The access modes by their initials, each once and in upstream's order.
fn modes(object: &Value, path: &str) -> String {
    let known =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| texts(object, path).any(|m| m == mode);
    known.iter().filter(|(mode, _)| has(mode)).map(|(_, initials)| *initials).collect::<Vec<_>>().join(",")
}
