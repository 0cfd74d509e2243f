//! The groups `storage.k8s.io` and `storagemigration.k8s.io`.

use super::{
    cells::{NONE, UNSET, boolean_or, is_true, marked_default, name, name_or_default, scalar_or, text_or},
    row::{Group, Row, boolean, integer, named, text},
};
use crate::{
    access::{get, list, text as field, texts},
    kind::Kind,
};
use serde_json::Value;

const STORAGE: Group = Group { group: "storage.k8s.io", version: "v1", package: "io.k8s.api.storage.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![csi_driver(), csi_node(), capacity(), class(), attachment(), attributes_class()]
}

pub(super) fn migration() -> Vec<Kind> {
    let group = Group { group: "storagemigration.k8s.io", version: "v1", package: "io.k8s.api.storagemigration.v1" };
    vec![group.cluster("StorageVersionMigration", "storageversionmigrations").status().columns(vec![
        name(),
        text("Resource", "GroupResource to migrate", |o, _| {
            let of = |part| field(o, part).to_owned();
            let (resource, group) = (of("spec.resource.resource"), of("spec.resource.group"));
            Value::from(if group.is_empty() { resource } else { format!("{resource}.{group}") })
        }),
        text("Status", "Status of the migration", |o, _| {
            let states = ["Succeeded", "Failed", "Running"].into_iter().find(|state| is_true(o, state));
            Value::from(states.unwrap_or("Unknown"))
        }),
    ])]
}

fn csi_driver() -> Kind {
    STORAGE.cluster("CSIDriver", "csidrivers").columns(named([
        boolean("AttachRequired", "Whether volumes are attached before they are mounted.", |o, _| {
            boolean_or(o, "spec.attachRequired", true)
        }),
        boolean("PodInfoOnMount", "Whether the driver is told about the pod.", |o, _| {
            boolean_or(o, "spec.podInfoOnMount", false)
        }),
        boolean("StorageCapacity", "Whether the scheduler considers capacity.", |o, _| {
            boolean_or(o, "spec.storageCapacity", false)
        }),
        text("TokenRequests", "Audiences of the tokens that the driver gets.", |o, _| token_requests(o).into()),
        boolean("RequiresRepublish", "Whether the driver is called again and again.", |o, _| {
            boolean_or(o, "spec.requiresRepublish", false)
        }),
        text("Modes", "Persistent, ephemeral or both.", |o, _| {
            let modes = texts(o, "spec.volumeLifecycleModes").collect::<Vec<_>>().join(",");
            Value::from(if modes.is_empty() { NONE.to_owned() } else { modes })
        }),
    ]))
}

fn token_requests(driver: &Value) -> String {
    if get(driver, "spec.tokenRequests").is_none() {
        return UNSET.into();
    }
    list(driver, "spec.tokenRequests").iter().map(|t| field(t, "audience")).collect::<Vec<_>>().join(",")
}

fn csi_node() -> Kind {
    let drivers = "Drivers indicates the number of CSI drivers registered on the node";
    let drivers = integer("Drivers", drivers, |o, _| list(o, "spec.drivers").len().into());
    STORAGE.cluster("CSINode", "csinodes").columns(named([drivers]))
}

fn capacity() -> Kind {
    STORAGE.namespaced("CSIStorageCapacity", "csistoragecapacities")
}

fn class() -> Kind {
    let mut columns = named([
        text("Provisioner", "Who makes the volumes.", |o, _| field(o, "provisioner").into()),
        text("ReclaimPolicy", "What happens to a volume when its claim goes.", |o, _| {
            text_or(o, "reclaimPolicy", "Delete")
        }),
        text("VolumeBindingMode", "When volumes are made and bound.", |o, _| {
            text_or(o, "volumeBindingMode", "Immediate")
        }),
        text("AllowVolumeExpansion", "Whether volumes can grow.", |o, _| boolean_or(o, "allowVolumeExpansion", false)),
    ]);
    if let Some(first) = columns.first_mut() {
        *first = name_or_default(|o, _| {
            let current = marked_default(o, "storageclass.kubernetes.io/is-default-class");
            match current.as_str().is_some_and(|text| text.ends_with(')')) {
                true => current,
                false => marked_default(o, "storageclass.beta.kubernetes.io/is-default-class"),
            }
        });
    }
    STORAGE.cluster("StorageClass", "storageclasses").short(&["sc"]).columns(columns)
}

fn attachment() -> Kind {
    STORAGE.cluster("VolumeAttachment", "volumeattachments").status().columns(named([
        text("Attacher", "The driver that attaches the volume.", |o, _| field(o, "spec.attacher").into()),
        text("PV", "The volume.", |o, _| field(o, "spec.source.persistentVolumeName").into()),
        text("Node", "The node to attach it to.", |o, _| field(o, "spec.nodeName").into()),
        boolean("Attached", "Whether the volume is attached.", |o, _| boolean_or(o, "status.attached", false)),
    ]))
}

fn attributes_class() -> Kind {
    let driver = text("DriverName", "The driver that knows the attributes.", |o, _| scalar_or(o, "driverName", ""));
    STORAGE.cluster("VolumeAttributesClass", "volumeattributesclasses").short(&["vac"]).columns(named([driver]))
}
