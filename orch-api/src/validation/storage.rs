//! Persistent volumes, claims, storage classes (`pkg/apis/core/validation`, `pkg/apis/storage/validation`).

use super::{
    at::At,
    names::{dns_label, dns_subdomain, qualified},
    pod,
    selector::label_selector,
};
use crate::quantity::Quantity;
use serde_json::Value;

/// The name of a CSI driver.
pub(super) fn csi_driver_name(name: At<'_>) {
    if !name.require("") {
        return;
    }
    if name.str().len() > 63 {
        name.too_long(63);
    }
    name.text(|text| dns_subdomain(&text.to_lowercase()));
}

/// `PersistentVolumeClaimTemplate`
pub(super) fn claim_template(template: At<'_>) {
    super::selector::labels(template.at("metadata").at("labels"));
    super::meta::annotations(template.at("metadata").at("annotations"));
    claim_spec(template.at("spec"));
}

/// PersistentVolumeClaim.
pub(super) fn claim_created(claim: At<'_>) {
    claim_spec(claim.at("spec"));
}

const CLAIM_IMMUTABLE: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// `PersistentVolumeClaimSpec`
pub(super) fn claim_spec(spec: At<'_>) {
    spec.at("accessModes").require("at least 1 access mode is required");
    label_selector(spec.at("selector"));
    access_modes(spec.at("accessModes"));
    // The path leaves out, as upstream has it, the list of requests.
    let storage = spec.at("resources").key("storage");
    let storage = storage.with(spec.at("resources").at("requests").at("storage").value());
    if !storage.is_set() {
        storage.required("");
    } else if storage.value().and_then(Quantity::of).is_some_and(|amount| !amount.is_positive()) {
        storage.invalid("must be greater than zero");
    } else {
        pod::quantity("storage", storage);
    }
    let class = spec.at("storageClassName");
    if !class.is_empty() {
        class.text(dns_subdomain);
    }
    spec.at("volumeMode").one_of(&["Block", "Filesystem"]);
    data_source(spec.at("dataSource"));
    data_source(spec.at("dataSourceRef"));
}

fn access_modes(modes: At<'_>) {
    let mut all = Vec::new();
    for mode in modes.items() {
        all.push(mode.str());
        if !ACCESS_MODES.contains(&mode.str()) {
            // The fault stands, as upstream has it, on the list.
            modes.with(mode.value()).not_supported(&ACCESS_MODES);
        }
    }
    if all.contains(&"ReadWriteOncePod") && all.len() > 1 {
        modes.forbidden("may not use ReadWriteOncePod with other access modes");
    }
}

fn data_source(source: At<'_>) {
    if !source.is_set() {
        return;
    }
    source.at("name").require("");
    source.at("kind").require("");
    let (group, kind) = (source.at("apiGroup"), source.at("kind").str());
    if !group.is_empty() {
        group.text(dns_subdomain);
    } else if kind != "PersistentVolumeClaim" {
        source.invalid_as(kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
    if !source.at("namespace").is_empty() {
        source.at("namespace").text(dns_label);
    }
}

/// An update of a claim: a bound claim may grow, and shrink back to what it has not got yet.
pub(super) fn claim_updated<'a>(new: At<'a>, old: At<'a>) {
    claim_spec(new.at("spec"));
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let is_bound = new.at("status").at("phase").str() == "Bound";
    if let (Some(Value::Object(after)), Some(Value::Object(before))) = (spec.value(), before.value()) {
        let (mut after, mut before) = (after.clone(), before.clone());
        if before.get("volumeName").is_none_or(|name| name == "") {
            before.remove("volumeName");
            after.remove("volumeName");
        }
        if is_bound {
            for side in [&mut after, &mut before] {
                side.remove("volumeAttributesClassName");
                let requests = side.get_mut("resources").and_then(|r| r.get_mut("requests"));
                if let Some(requests) = requests.and_then(Value::as_object_mut) {
                    requests.remove("storage");
                }
            }
        }
        let difference = pod::difference(&before, &after);
        if !difference.is_empty() {
            spec.forbidden(format!("{CLAIM_IMMUTABLE}\n{difference}"));
        }
    }
    let amount = |at: At<'_>| at.value().and_then(Quantity::of);
    let storage = spec.at("resources").at("requests").at("storage");
    let granted = amount(old.at("status").at("capacity").at("storage")).unwrap_or_default();
    let (size, size_before) = (amount(storage), amount(before.at("resources").at("requests").at("storage")));
    if size < size_before && size.is_some_and(|size| size <= granted) {
        storage.forbidden("field can not be less than status.capacity");
    }
    new.at("volumeMode").with(spec.at("volumeMode").value()).immutable(before.at("volumeMode"));
    let class = spec.at("volumeAttributesClassName");
    if old.at("status").at("currentVolumeAttributesClassName").is_set() && class.is_empty() {
        let what = if class.is_set() { "empty string" } else { "nil" };
        let words = "is forbidden when status.currentVolumeAttributesClassName is not nil";
        class.forbidden(format!("update to {what} {words}"));
    }
}

/// PersistentVolume.
pub(super) fn volume_created(volume: At<'_>) {
    let spec = volume.at("spec");
    if spec.at("accessModes").require("") {
        access_modes(spec.at("accessModes"));
    }
    let capacity = spec.at("capacity");
    capacity.require("");
    if !capacity.at("storage").is_set() || capacity.len() > 1 {
        capacity.not_supported(&["storage"]);
    }
    for (name, amount) in capacity.entries() {
        pod::quantity(name, amount);
        if amount.value().and_then(Quantity::of).is_some_and(|a| !a.is_positive()) {
            amount.invalid("must be greater than zero");
        }
    }
    spec.at("persistentVolumeReclaimPolicy").one_of(&["Delete", "Recycle", "Retain"]);
    if spec.at("nodeAffinity").at("required").is_set() {
        pod::node_selector(spec.at("nodeAffinity").at("required"));
    }
    volume_source(spec);
    let class = spec.at("storageClassName");
    if !class.is_empty() {
        class.text(dns_subdomain);
    }
    spec.at("volumeMode").one_of(&["Block", "Filesystem"]);
}

fn volume_source(spec: At<'_>) {
    const SOURCES: [&str; 22] = [
        "hostPath",
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "flocker",
        "nfs",
        "rbd",
        "quobyte",
        "cephfs",
        "iscsi",
        "cinder",
        "fc",
        "flexVolume",
        "azureFile",
        "vsphereVolume",
        "photonPersistentDisk",
        "portworxVolume",
        "azureDisk",
        "scaleIO",
        "local",
        "storageos",
        "csi",
    ];
    let mut found = false;
    for source in SOURCES.map(|field| spec.at(field)).into_iter().filter(|s| s.is_set()) {
        if found {
            source.forbidden("may not specify more than 1 volume type");
        }
        found = true;
    }
    if !found {
        spec.required("must specify a volume type");
    }
    let host = spec.at("hostPath");
    if host.is_set() {
        host.at("path").require("");
        pod::path_no_backsteps(host.at("path"));
        if host.at("path").str() == "/" && spec.at("persistentVolumeReclaimPolicy").str() == "Recycle" {
            spec.at("persistentVolumeReclaimPolicy").forbidden("may not be 'recycle' for a hostPath mount of '/'");
        }
    }
    let local = spec.at("local");
    if local.is_set() {
        local.at("path").require("");
        pod::path_no_backsteps(local.at("path"));
        if !spec.at("nodeAffinity").at("required").is_set() {
            spec.at("nodeAffinity").required("Local volume requires node affinity");
        }
    }
    let csi = spec.at("csi");
    if csi.is_set() {
        csi_driver_name(csi.at("driver"));
        csi.at("volumeHandle").require("");
    }
    let nfs = spec.at("nfs");
    if nfs.is_set() {
        nfs.at("server").require("");
        nfs.at("path").require("");
        if !nfs.at("path").str().starts_with('/') {
            nfs.at("path").invalid("must be an absolute path");
        }
    }
}

/// An update of a volume: its source stays.
pub(super) fn volume_updated<'a>(new: At<'a>, old: At<'a>) {
    volume_created(new);
    let source = |field: &str| {
        !matches!(
            field,
            "accessModes"
                | "capacity"
                | "claimRef"
                | "persistentVolumeReclaimPolicy"
                | "storageClassName"
                | "mountOptions"
                | "volumeMode"
                | "nodeAffinity"
                | "volumeAttributesClassName"
        )
    };
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let fields = spec.entries().chain(before.entries()).map(|(field, _)| field);
    if fields.filter(|field| source(field)).any(|field| !spec.at(field).same(before.at(field))) {
        spec.at("persistentvolumesource").forbidden("spec.persistentvolumesource is immutable after creation");
    }
    // These paths leave out, as upstream has them, the spec.
    new.at("volumeMode").with(spec.at("volumeMode").value()).immutable(before.at("volumeMode"));
    if before.at("nodeAffinity").is_set() {
        new.at("nodeAffinity").with(spec.at("nodeAffinity").value()).immutable(before.at("nodeAffinity"));
    }
}

/// StorageClass.
pub(super) fn class_created(class: At<'_>) {
    class.at("provisioner").require("");
    class.at("provisioner").text(|name| if name.is_empty() { Vec::new() } else { qualified(&name.to_lowercase()) });
    let parameters = class.at("parameters");
    if parameters.len() > 512 {
        parameters.too_long_as("may not be more than 512 bytes");
    }
    for (key, _) in parameters.entries().filter(|(key, _)| key.is_empty()) {
        parameters.invalid_as(key, "field can not be empty.");
    }
    class.at("reclaimPolicy").one_of(&["Delete", "Retain"]);
    class.at("volumeBindingMode").required_one_of(&["Immediate", "WaitForFirstConsumer"]);
}

/// An update of a class: what it makes stays.
pub(super) fn class_updated<'a>(new: At<'a>, old: At<'a>) {
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        new.at(field).immutable(old.at(field));
    }
}

/// VolumeAttributesClass.
pub(super) fn attributes_created(class: At<'_>) {
    let driver = class.at("driverName");
    driver.require("");
    driver.text(|name| if name.is_empty() { Vec::new() } else { qualified(&name.to_lowercase()) });
    let parameters = class.at("parameters");
    if parameters.len() > 512 {
        return parameters.too_long_as("may not be more than 512 bytes");
    }
    for (key, _) in parameters.entries().filter(|(key, _)| key.is_empty()) {
        parameters.invalid_as(key, "field can not be empty.");
    }
    if parameters.is_empty() {
        parameters.required("must contain at least one key/value pair");
    }
}

/// An update of a VolumeAttributesClass: what it says stays.
pub(super) fn attributes_updated<'a>(new: At<'a>, old: At<'a>) {
    for field in ["driverName", "parameters"] {
        if !new.at(field).same(old.at(field)) {
            new.at(field).forbidden(format!("updates to {field} are forbidden."));
        }
    }
    attributes_created(new);
}

/// CSIStorageCapacity.
pub(super) fn capacity_created(capacity: At<'_>) {
    label_selector(capacity.at("nodeTopology"));
    capacity.at("storageClassName").text(dns_subdomain);
    let amount = capacity.at("capacity");
    if amount.is_set() {
        pod::quantity("storage", amount);
    }
}

/// An update of a CSIStorageCapacity: whom it is about stays.
pub(super) fn capacity_updated<'a>(new: At<'a>, old: At<'a>) {
    for field in ["nodeTopology", "storageClassName"] {
        if !new.at(field).same(old.at(field)) {
            new.at(field).invalid("field is immutable");
        }
    }
}

/// CSINode.
pub(super) fn csi_node(node: At<'_>) {
    let mut seen = Vec::new();
    for driver in node.at("spec").at("drivers").items() {
        let (name, id) = (driver.at("name"), driver.at("nodeID"));
        csi_driver_name(name);
        id.require("");
        if id.str().len() > 192 {
            id.invalid("must be 192 characters or less");
        }
        driver.at("allocatable").at("count").non_negative();
        if seen.contains(&name.str()) {
            name.duplicate();
        }
        seen.push(name.str());
        let mut keys = Vec::new();
        for key in driver.at("topologyKeys").items() {
            if key.is_empty() {
                driver.required("");
            }
            if keys.contains(&key.str()) {
                driver.with(key.value()).duplicate();
            }
            keys.push(key.str());
            driver.with(key.value()).text(qualified);
        }
    }
}

/// An update of a CSINode: a driver that is there changes in how many volumes it takes alone.
pub(super) fn csi_node_updated<'a>(new: At<'a>, old: At<'a>) {
    csi_node(new);
    let fixed = |driver: At<'a>| {
        let mut driver = driver.value().cloned().unwrap_or_default();
        driver.as_object_mut().map(|driver| driver.remove("allocatable"));
        driver
    };
    for before in old.at("spec").at("drivers").items() {
        let same_name = |driver: &At<'a>| driver.at("name").str() == before.at("name").str();
        for driver in new.at("spec").at("drivers").items().filter(same_name) {
            if fixed(driver) != fixed(before) {
                new.at("spec").at("drivers").with(driver.value()).invalid("field is immutable");
            }
        }
    }
}
