//! Volumes of the nodes themselves: the loops that make, enlarge and delete them, and [`Directories`], the provisioner of
//! the default StorageClass.
//!
//! ```text
//! claim: selected-node = n ─► VolumeProvisioner of n: provision ─► PersistentVolume ─► the binder binds it
//! volume: Released, policy Delete ─► VolumeProvisioner of n: delete ─► the object goes
//! ```
//!
//! The protocol is that of external provisioners (`sig-storage-lib-external-provisioner`), so the loops are of use to
//! [`VolumeProvisioner`]s of others as well. One pair of loops serves all nodes of a process. A volume bears a finalizer until
//! what is behind it is gone; so whoever dies in between leaves nothing behind that nobody knows of.

mod claims;
mod directories;
#[cfg(test)]
mod tests;
mod volumes;

pub use directories::{Directories, Imagined};

use k8s_openapi::api::storage::v1::StorageClass;
use orch_runtime::{Options, node::volume::VolumeProvisioner, reconciler, storage::marks, view::Caches};
use orch_store::Ambient;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// The provisioner of the default StorageClass: [`Directories`], or [`Imagined`] ones of simulated nodes.
pub const PROVISIONER: &str = "orch.local/directory";
/// The label by which a volume names its node.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// The provisioners by the names of their nodes.
pub type Provisioners = Arc<BTreeMap<Arc<str>, Arc<dyn VolumeProvisioner>>>;

/// The default StorageClass: a directory of the node that the first pod of a claim gets.
pub fn default_class() -> StorageClass {
    let class = json!({
        "metadata": { "name": "local", "annotations": { marks::DEFAULT_CLASS: "true" } },
        "provisioner": PROVISIONER, "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
        "allowVolumeExpansion": true,
    });
    serde_json::from_value(class).unwrap_or_default()
}

/// Makes, enlarges and deletes volumes of these nodes until the ambience's tasks are cancelled.
pub async fn run(nodes: Provisioners, caches: Caches, ambient: Ambient) {
    let options = Options::default();
    let claims = reconciler::run(
        "volume-provisioner",
        claims::Claims { nodes: nodes.clone() },
        claims::watches(),
        caches.clone(),
        ambient.clone(),
        options.clone(),
    );
    let volumes =
        reconciler::run("volume-deleter", volumes::Volumes { nodes }, volumes::watches(), caches, ambient, options);
    futures::join!(claims, volumes);
}
