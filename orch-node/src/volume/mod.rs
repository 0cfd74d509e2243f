//! Volumes of pods: one [`VolumePlugin`] per kind of source; [`prepare`] makes and updates all of a pod's.
//!
//! What is written into a volume of files (configMap, secret, downwardAPI, projected) is computed by pure
//! functions in [`content`] and swapped in as a whole by [`atomic`].

pub mod atomic;
pub mod content;
mod directories;
mod files;
mod mounts;
mod ownership;
mod source;

use crate::{agent::context::Node, env::Lookups};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};
use std::{
    io,
    path::{Path, PathBuf},
};

pub use mounts::mounts;
pub use source::{Source, claim_of};

/// Why a volume is not there: the message of `FailedMount`.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// It could not be made.
    #[error("MountVolume.SetUp failed for volume {volume:?} : {why}")]
    SetUp {
        /// The volume.
        volume: String,
        /// Why.
        why: String,
    },
    /// It is another node's.
    #[error("MountVolume.NodeAffinity check failed for volume {volume:?} : {why}")]
    Affinity {
        /// The volume.
        volume: String,
        /// Why.
        why: String,
    },
    /// Its claim is not to be used, or not yet.
    #[error(
        "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], failed to process \
         volumes=[{volume}]: {why}"
    )]
    Claim {
        /// The volume's name in the pod.
        volume: String,
        /// Why.
        why: String,
    },
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
    fn supports(&self, source: &Source<'_>) -> bool;
    /// Makes or updates the volume. What is answered is mounted; if that is not `dir`, and the source is persistent, `dir`
    /// becomes a link to it.
    async fn prepare(&self, context: &Context<'_>, source: &Source<'_>, dir: &Path) -> Result<Prepared, String>;
    /// Undoes what removing the pod's directory does not.
    async fn tear_down(&self, dir: &Path) -> io::Result<()>;
}

/// Every plugin, in the order in which they are asked.
pub fn plugins() -> [&'static dyn VolumePlugin; 4] {
    [&directories::EmptyDir, &directories::HostPath, &directories::Local, &files::Files]
}

/// Makes or updates all volumes of a pod; the time at which to do it again.
pub async fn prepare(node: &Node, pod: &Pod, objects: &(dyn Lookups + Sync)) -> Result<Option<Timestamp>, MountError> {
    let context = Context { node, pod, objects };
    let mut refresh: Option<Timestamp> = None;
    for volume in pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()) {
        let prepared = one(&context, volume).await?;
        refresh = [refresh, prepared.refresh_at].into_iter().flatten().min();
    }
    Ok(refresh)
}

async fn one(context: &Context<'_>, volume: &Volume) -> Result<Prepared, MountError> {
    let dir = directory(context.node, context.pod, &volume.name);
    if claim_of(context.pod, volume).is_some()
        && let Ok(path) = tokio::fs::read_link(&dir).await
    {
        // It was made before, and its claim cannot go while the pod is here.
        return Ok(Prepared { path, refresh_at: None });
    }
    let source = source::resolve(context, volume).await?;
    let failed = |why: String| MountError::SetUp { volume: source.name().to_owned(), why };
    let Some(plugin) = plugins().into_iter().find(|p| p.supports(&source)) else {
        return Err(failed("no volume plugin matched".into()));
    };
    let prepared = plugin.prepare(context, &source, &dir).await.map_err(failed)?;
    if source.persistent.is_some() && prepared.path != dir {
        link(&prepared.path, &dir).await.map_err(|error| failed(format!("{}: {error}", dir.display())))?;
    }
    Ok(prepared)
}

/// Makes `dir` a link to a path. It is the last step: where it is, the volume was prepared.
async fn link(path: &Path, dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::symlink(path, dir).await
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
