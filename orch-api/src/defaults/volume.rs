//! Volumes of a pod (`SetDefaults_Volume` and the defaults of each source).

use super::{
    container::{field_ref, pull_policy},
    storage,
};
use crate::value::{Object, each, fill, fill_text, part, text};
use serde_json::Map;

/// Mode of projected files: read and write for the owner, read for everybody else (octal 644).
const DEFAULT_MODE: i64 = 420;

/// One volume; a volume without a source is an `emptyDir`.
pub(super) fn volume(volume: &mut Object) {
    if volume.iter().all(|(field, value)| field == "name" || value.is_null()) {
        fill(volume, "emptyDir", Map::new());
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = part(volume, name) {
            fill(source, "defaultMode", DEFAULT_MODE);
        }
    }
    if let Some(source) = part(volume, "downwardAPI") {
        each(source, "items").for_each(field_ref);
    }
    if let Some(source) = part(volume, "projected") {
        each(source, "sources").for_each(projection);
    }
    if let Some(source) = part(volume, "hostPath") {
        fill(source, "type", "");
    }
    if let Some(source) = part(volume, "image") {
        let pull = pull_policy(text(source, "reference"));
        fill_text(source, "pullPolicy", pull);
    }
    if let Some(spec) =
        part(volume, "ephemeral").and_then(|e| part(e, "volumeClaimTemplate")).and_then(|t| part(t, "spec"))
    {
        storage::claim_spec(spec);
    }
    legacy(volume);
}

fn projection(source: &mut Object) {
    if let Some(downward) = part(source, "downwardAPI") {
        each(downward, "items").for_each(field_ref);
    }
    if let Some(token) = part(source, "serviceAccountToken") {
        fill(token, "expirationSeconds", 3600);
    }
}

/// Sources that name a storage system of their own, in pods and in persistent volumes.
pub(super) fn legacy(volume: &mut Object) {
    if let Some(source) = part(volume, "iscsi") {
        fill_text(source, "iscsiInterface", "default");
    }
    if let Some(source) = part(volume, "rbd") {
        fill_text(source, "pool", "rbd");
        fill_text(source, "user", "admin");
        fill_text(source, "keyring", "/etc/ceph/keyring");
    }
    if let Some(source) = part(volume, "azureDisk") {
        fill(source, "cachingMode", "ReadWrite");
        fill(source, "fsType", "ext4");
        fill(source, "readOnly", false);
        fill(source, "kind", "Shared");
    }
    if let Some(source) = part(volume, "scaleIO") {
        fill_text(source, "storageMode", "ThinProvisioned");
        fill_text(source, "fsType", "xfs");
    }
}
