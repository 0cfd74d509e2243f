//! What a claim of a volume uses (`pkg/quota/v1/evaluator/core/persistent_volume_claims.go`).

use super::amounts::Amounts;
use crate::{
    access::{get, map, text},
    quantity::{Format, Quantity},
};
use serde_json::Value;
use std::collections::BTreeSet;

const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const BY_CLASS: &str = ".storageclass.storage.k8s.io/";
const NAMED: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
const ONE: Quantity = Quantity::new(1, Format::DecimalSi);

pub(super) fn usage(claim: &Value) -> Amounts {
    let mut usage: Amounts =
        [("persistentvolumeclaims", ONE), ("count/persistentvolumeclaims", ONE)].into_iter().collect();
    let class = class(claim);
    if !class.is_empty() {
        usage.set(format!("{class}{BY_CLASS}persistentvolumeclaims"), ONE);
    }
    if let Some(storage) = storage(claim) {
        usage.set("requests.storage", storage);
        if !class.is_empty() {
            usage.set(format!("{class}{BY_CLASS}requests.storage"), storage);
        }
    }
    usage
}

/// The class that a claim asks for; the annotation of old wins.
fn class(claim: &Value) -> &str {
    let annotation = map(claim, "metadata.annotations").and_then(|a| a.get(CLASS_ANNOTATION)).and_then(Value::as_str);
    annotation.unwrap_or_else(|| text(claim, "spec.storageClassName"))
}

/// What is asked for or, while an expansion fails, what was granted already if that is more. Rounded up to whole bytes.
fn storage(claim: &Value) -> Option<Quantity> {
    let whole = |quantity: Quantity| Quantity::new(quantity.value(), quantity.format());
    let asked = whole(Amounts::read(get(claim, "spec.resources.requests")).get("storage")?);
    let granted = Amounts::read(get(claim, "status.allocatedResources")).get("storage").map(whole);
    Some(granted.filter(|granted| *granted > asked).unwrap_or(asked))
}

pub(super) fn is_counted(name: &str) -> bool {
    name == "count/persistentvolumeclaims"
        || NAMED.contains(&name)
        || NAMED.iter().any(|own| name.strip_suffix(own).is_some_and(|rest| rest.ends_with(BY_CLASS)))
}

/// Whether a new status changes what the claim uses or which quotas it falls under.
pub(super) fn status_counts(new: &Value, old: &Value) -> bool {
    let granted = |claim| Amounts::read(get(claim, "status.allocatedResources")).get("storage");
    granted(new) != granted(old) || attribute_classes(new) != attribute_classes(old)
}

/// The VolumeAttributesClasses that a claim has, wants or is on its way to.
pub(super) fn attribute_classes(claim: &Value) -> BTreeSet<&str> {
    let places = [
        "spec.volumeAttributesClassName",
        "status.currentVolumeAttributesClassName",
        "status.modifyVolumeStatus.targetVolumeAttributesClassName",
    ];
    places.into_iter().map(|path| text(claim, path)).filter(|name| !name.is_empty()).collect()
}
