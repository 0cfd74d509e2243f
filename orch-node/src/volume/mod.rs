//! Volumes of pods: one [`VolumePlugin`] per kind of source; [`prepare`] makes and updates all of a pod's.
//!
//! What is written into a volume of files (configMap, secret, downwardAPI, projected) is computed by pure
//! functions in [`content`] and swapped in as a whole by [`atomic`].

pub mod atomic;
pub mod content;
mod directories;
mod files;
mod mounts;

use crate::{agent::context::Node, env::Lookups};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use std::{
    io,
    path::{Path, PathBuf},
};

pub use mounts::mounts;

/// Why a volume is not there: the message of `FailedMount`.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {why}")]
pub struct MountError {
    /// The volume's name in the pod.
    pub volume: String,
    /// Why.
    pub why: String,
}

/// What a plugin works with.
pub struct Context<'a> {
    /// The node.
    pub node: &'a Node,
    /// The pod.
    pub pod: &'a Pod,
    /// The objects that the pod names.
    pub objects: &'a (dyn Lookups + Sync),
}

/// What a volume is on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The directory or file to mount.
    pub path: PathBuf,
    /// When it must be looked at again although nothing changed.
    pub refresh_at: Option<Timestamp>,
}

/// One kind of volume source.
///
/// # Laws
///
/// - `prepare` is idempotent, and the way to update: readers never see a half-written volume.
/// - A volume below the pod's directory vanishes with it; anything else is undone by `tear_down`.
#[async_trait]
pub trait VolumePlugin: Send + Sync {
    /// Whether this plugin makes such a volume.
    fn supports(&self, volume: &Volume) -> bool;
    /// Makes or updates the volume.
    async fn prepare(&self, context: &Context<'_>, volume: &Volume, dir: &Path) -> Result<Prepared, String>;
    /// Undoes what removing the pod's directory does not.
    async fn tear_down(&self, dir: &Path) -> io::Result<()>;
}

/// Every plugin, in the order in which they are asked.
pub fn plugins() -> [&'static dyn VolumePlugin; 3] {
    [&directories::EmptyDir, &directories::HostPath, &files::Files]
}

/// Makes or updates all volumes of a pod; the time at which to do it again.
pub async fn prepare(node: &Node, pod: &Pod, objects: &(dyn Lookups + Sync)) -> Result<Option<Timestamp>, MountError> {
    let context = Context { node, pod, objects };
    let mut refresh: Option<Timestamp> = None;
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let prepared = one(&context, volume).await.map_err(|why| MountError { volume: volume.name.clone(), why })?;
        refresh = [refresh, prepared.refresh_at].into_iter().flatten().min();
    }
    Ok(refresh)
}

pub(crate) async fn one(context: &Context<'_>, volume: &Volume) -> Result<Prepared, String> {
    let dir = directory(context.node, context.pod, &volume.name);
    match plugins().into_iter().find(|p| p.supports(volume)) {
        Some(plugin) => plugin.prepare(context, volume, &dir).await,
        None => Err("no volume plugin matched".into()),
    }
}

/// Removes the volumes and directories of a pod.
pub async fn tear_down(node: &Node, uid: &str) {
    if uid.is_empty() || !node.materialize {
        return;
    }
    let pod_dir = node.pod_dir(uid);
    let mut volumes = match tokio::fs::read_dir(pod_dir.join("volumes")).await {
        Ok(entries) => entries,
        Err(_) => return remove(&pod_dir).await,
    };
    while let Ok(Some(entry)) = volumes.next_entry().await {
        for plugin in plugins() {
            if let Err(error) = plugin.tear_down(&entry.path()).await {
                tracing::warn!(%error, path = %entry.path().display(), "a volume was not unmounted");
                return;
            }
        }
    }
    remove(&pod_dir).await;
}

async fn remove(dir: &Path) {
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %dir.display(), "a pod's directory was not removed");
        }
        _ => {}
    }
}

fn directory(node: &Node, pod: &Pod, volume: &str) -> PathBuf {
    node.pod_dir(pod.metadata.uid.as_deref().unwrap_or_default()).join("volumes").join(volume)
}
