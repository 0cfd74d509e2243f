//! [`ClaimInfo`]: a PersistentVolumeClaim in a few fields.

use super::{AccessModes, Annotated, Strings, class_of, marks, storage};
use crate::view::Facts;
use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim, apimachinery::pkg::apis::meta::v1::LabelSelector as TypedSelector,
};
use orch_api::{Gvr, Key, Object, label_selector::Selector, quantity::Quantity};
use orch_store::{Revision, Stored, stored::Parts};
use serde::Deserialize;
use std::sync::Arc;

/// A PersistentVolumeClaim in a few fields.
#[derive(Clone, Debug, Default)]
pub struct ClaimInfo {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Arc<str>,
    /// The revision that was read.
    pub revision: Revision,
    /// UID of its managing controller, empty without one.
    pub owner: Arc<str>,
    /// The class that it names; `None` when it names none, empty when it asks for volumes without one.
    pub class: Option<Arc<str>>,
    /// The class of attributes that it asks for, empty for none.
    pub attributes_class: Arc<str>,
    /// How much it asks for.
    pub request: Quantity,
    /// How its volume is to be accessed.
    pub modes: AccessModes,
    /// Whether it asks for a block device without a file system.
    pub block: bool,
    /// Which volumes it takes; `None` for all.
    pub selector: Option<Selector>,
    /// The volume that it is bound to or asks for, empty for none.
    pub volume: Arc<str>,
    /// Whether it was bound once.
    pub bind_completed: bool,
    /// The node that the scheduler has chosen for its volume.
    pub selected_node: Option<Arc<str>>,
    /// Who is to make its volume, empty for nobody.
    pub provisioner: Arc<str>,
    /// Where it is in its life.
    pub phase: ClaimPhase,
    /// How much it has, by its status.
    pub capacity: Quantity,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// Where a claim is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ClaimPhase {
    /// It waits for a volume.
    #[default]
    Pending,
    /// It has a volume.
    Bound,
    /// It had a volume.
    Lost,
}

impl ClaimInfo {
    /// Reads the stored JSON.
    pub fn read(stored: &Stored) -> Self {
        let Parts { metadata, spec, status }: Parts<Spec, Status, Annotated> = Parts::of(stored);
        let annotations = &metadata.annotations;
        let provisioner = annotations.get(marks::PROVISIONER).or_else(|| annotations.get(marks::PROVISIONER_OF_OLD));
        // The API server lets only selectors through that can be read.
        let selector = spec.selector.map(|s| Selector::from_typed(Some(&s)).unwrap_or_else(|_| Selector::nothing()));
        Self {
            key: stored.key.clone(),
            uid: stored.meta.uid.clone(),
            revision: stored.revision,
            owner: stored.controller().map(|owner| owner.uid.clone()).unwrap_or_default(),
            class: class_of(annotations, spec.storage_class_name),
            attributes_class: spec.volume_attributes_class_name.unwrap_or_default(),
            request: storage(&spec.resources.requests),
            modes: spec.access_modes,
            block: &*spec.volume_mode == "Block",
            selector,
            volume: spec.volume_name,
            bind_completed: annotations.contains_key(marks::BIND_COMPLETED),
            selected_node: annotations.get(marks::SELECTED_NODE).cloned(),
            provisioner: provisioner.cloned().unwrap_or_default(),
            phase: status.phase,
            capacity: storage(&status.capacity),
            deleting: stored.meta.is_deleting(),
        }
    }

    /// The name of its class, empty for none.
    pub fn class_name(&self) -> &str {
        self.class.as_deref().unwrap_or_default()
    }

    /// Whether the binder is through with it: both sides name each other.
    pub fn is_bound(&self) -> bool {
        !self.volume.is_empty() && self.bind_completed
    }
}

impl Facts for ClaimInfo {
    fn gvr() -> Gvr {
        PersistentVolumeClaim::gvr()
    }

    fn of(stored: &Stored) -> Self {
        Self::read(stored)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    access_modes: AccessModes,
    resources: Resources,
    volume_mode: Arc<str>,
    storage_class_name: Option<Arc<str>>,
    volume_attributes_class_name: Option<Arc<str>>,
    selector: Option<TypedSelector>,
    volume_name: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resources {
    requests: Strings,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: ClaimPhase,
    capacity: Strings,
}
