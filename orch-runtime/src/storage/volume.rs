//! [`VolumeInfo`]: a PersistentVolume in a few fields.

use super::{AccessModes, Annotated, Strings, class_of, marks, storage};
use crate::{scheduler::NodeTerm, view::Facts};
use k8s_openapi::api::core::v1::PersistentVolume;
use orch_api::{Gvr, Key, Object, quantity::Quantity};
use orch_store::{
    Revision, Stored,
    stored::{Labels, Parts},
};
use serde::Deserialize;
use std::sync::Arc;

/// A PersistentVolume in a few fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeInfo {
    /// Name.
    pub name: Arc<str>,
    /// UID.
    pub uid: Arc<str>,
    /// The revision that was read.
    pub revision: Revision,
    /// Labels.
    pub labels: Labels,
    /// Its class, empty for none.
    pub class: Arc<str>,
    /// Its class of attributes, empty for none.
    pub attributes_class: Arc<str>,
    /// How much it holds.
    pub capacity: Quantity,
    /// How it may be accessed.
    pub modes: AccessModes,
    /// Whether it is a block device and has no file system.
    pub block: bool,
    /// The claim that it is for.
    pub claim: Option<ClaimRef>,
    /// `spec.nodeAffinity.required`: one term must match. `None` for every node.
    pub affinity: Option<Vec<NodeTerm>>,
    /// Where it is in its life.
    pub phase: VolumePhase,
    /// `spec.persistentVolumeReclaimPolicy`
    pub reclaim: Arc<str>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its claim was chosen by the binder.
    pub bound_by_controller: bool,
    /// Who made it, empty when a person did.
    pub provisioner: Arc<str>,
    /// Whether a CSI driver has taken it over.
    pub migrated: bool,
    /// What is behind it.
    pub source: Source,
}

/// The claim that a volume is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimRef {
    /// Namespace and name.
    pub key: Key,
    /// UID; empty while only the name is reserved.
    pub uid: Arc<str>,
}

/// What is behind a volume, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// A CSI driver's.
    Csi(CsiSource),
    /// A path of a node, which the kubelet of old could recycle.
    HostPath,
    /// Anything else.
    #[default]
    Other,
}

/// A CSI driver's volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiSource {
    /// The driver.
    pub driver: Arc<str>,
    /// The driver's name for it.
    pub volume_handle: Arc<str>,
}

/// Where a volume is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum VolumePhase {
    /// Nobody has looked at it yet.
    #[default]
    Pending,
    /// It waits for a claim.
    Available,
    /// It has a claim.
    Bound,
    /// Its claim is gone.
    Released,
    /// Taking it back failed.
    Failed,
}

impl VolumePhase {
    /// The word in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Available => "Available",
            Self::Bound => "Bound",
            Self::Released => "Released",
            Self::Failed => "Failed",
        }
    }
}

impl VolumeInfo {
    /// Reads the stored JSON.
    pub fn read(stored: &Stored) -> Self {
        let Parts { metadata, spec, status }: Parts<Spec, Status, Annotated> = Parts::of(stored);
        let annotations = &metadata.annotations;
        let claim = spec.claim_ref.map(|c| ClaimRef { key: Key::new(c.namespace, c.name), uid: c.uid });
        Self {
            name: stored.key.name.clone(),
            uid: stored.meta.uid.clone(),
            revision: stored.revision,
            labels: stored.meta.labels.clone(),
            class: class_of(annotations, spec.storage_class_name).unwrap_or_default(),
            attributes_class: spec.volume_attributes_class_name.unwrap_or_default(),
            capacity: storage(&spec.capacity),
            modes: spec.access_modes,
            block: &*spec.volume_mode == "Block",
            claim,
            affinity: spec.node_affinity.and_then(|a| a.required).map(|r| r.node_selector_terms),
            phase: status.phase,
            reclaim: spec.persistent_volume_reclaim_policy,
            deleting: stored.meta.is_deleting(),
            bound_by_controller: annotations.contains_key(marks::BOUND_BY_CONTROLLER),
            provisioner: annotations.get(marks::PROVISIONED_BY).cloned().unwrap_or_default(),
            migrated: annotations.get(marks::MIGRATED_TO).is_some_and(|to| !to.is_empty()),
            source: match (spec.csi, spec.host_path) {
                (Some(csi), _) => Source::Csi(csi),
                (None, Some(_)) => Source::HostPath,
                (None, None) => Source::Other,
            },
        }
    }
}

impl VolumeInfo {
    /// The one node that can reach it, by its host name; `None` where it is not bound to one.
    pub fn hostname(&self) -> Option<&str> {
        let [term] = self.affinity.as_ref()?.as_slice() else { return None };
        let named = term.match_expressions.iter().find(|r| &*r.key == "kubernetes.io/hostname" && &*r.operator == "In");
        match named?.values.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

impl Facts for VolumeInfo {
    fn gvr() -> Gvr {
        PersistentVolume::gvr()
    }

    fn of(stored: &Stored) -> Self {
        Self::read(stored)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    capacity: Strings,
    access_modes: AccessModes,
    volume_mode: Arc<str>,
    storage_class_name: Option<Arc<str>>,
    volume_attributes_class_name: Option<Arc<str>>,
    persistent_volume_reclaim_policy: Arc<str>,
    claim_ref: Option<Reference>,
    node_affinity: Option<Affinity>,
    csi: Option<CsiSource>,
    host_path: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Reference {
    namespace: Arc<str>,
    name: Arc<str>,
    uid: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Affinity {
    required: Option<Terms>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    node_selector_terms: Vec<NodeTerm>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: VolumePhase,
}
