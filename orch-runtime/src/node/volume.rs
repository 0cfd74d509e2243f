//! [`VolumeProvisioner`]: who makes the volumes of a StorageClass on a node.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};
use orch_api::quantity::Quantity;

/// Makes, enlarges and deletes what is behind the volumes of a StorageClass on one node. When, and what the API is told,
/// is the business of the node's loops; they speak the protocol of external provisioners.
///
/// # Laws
///
/// - Everything may be asked for again, also by the next process: what is done already is no error.
/// - What was made stays until it is deleted, whatever ends meanwhile: the pod, the claim, the agent.
/// - `delete` leaves nothing behind, and never touches what it did not make.
#[async_trait]
pub trait VolumeProvisioner: Send + Sync + 'static {
    /// The name in `provisioner` of StorageClasses.
    fn name(&self) -> &str;

    /// Makes what is behind a volume of that name for a claim. The answer needs to state the source alone; capacity,
    /// modes, node and class are filled in.
    async fn provision(&self, volume: &str, claim: &PersistentVolumeClaim) -> Result<PersistentVolumeSpec, Unable>;

    /// Lets a volume hold so much. It may be in use.
    async fn expand(&self, volume: &PersistentVolume, size: Quantity) -> Result<(), String>;

    /// Deletes what is behind a volume.
    async fn delete(&self, volume: &PersistentVolume) -> Result<(), String>;
}

/// Why no volume was made, in words for the claim's events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// Another node may be able to: the pod is scheduled anew.
    #[error("{0}")]
    Here(String),
    /// No node is: the claim asks for what cannot be had. Nothing is tried again before it changes.
    #[error("{0}")]
    Anywhere(String),
    /// Not now: it is tried again.
    #[error("{0}")]
    Now(String),
}
