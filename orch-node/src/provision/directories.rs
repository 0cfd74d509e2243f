//! [`Directories`]: volumes that are directories of a node.

use super::PROVISIONER;
use crate::files::set_mode;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{LocalVolumeSource, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec};
use orch_api::quantity::Quantity;
use orch_runtime::{
    node::volume::{Unable, VolumeProvisioner},
    storage::AccessModes,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Volumes that are directories below one of the node's. They have the node's disk in common: capacity is what claims are
/// matched by and what they can grow to, and nothing limits what is written.
pub struct Directories {
    root: PathBuf,
}

impl Directories {
    /// Volumes below that directory, which is made with the first of them.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn directory(&self, volume: &str) -> PathBuf {
        self.root.join(volume)
    }
}

#[async_trait]
impl VolumeProvisioner for Directories {
    fn name(&self) -> &str {
        PROVISIONER
    }

    async fn provision(&self, volume: &str, claim: &PersistentVolumeClaim) -> Result<PersistentVolumeSpec, Unable> {
        possible(claim)?;
        let directory = self.directory(volume);
        let made = async {
            tokio::fs::create_dir_all(&directory).await?;
            // Containers run as any user; who may write is for fsGroup and for the pod's own images to say.
            set_mode(&directory, 0o777).await
        };
        made.await.map_err(|error| Unable::Now(format!("{}: {error}", directory.display())))?;
        Ok(source(&directory))
    }

    /// Nothing limits a directory.
    async fn expand(&self, _: &PersistentVolume, _: Quantity) -> Result<(), String> {
        Ok(())
    }

    async fn delete(&self, volume: &PersistentVolume) -> Result<(), String> {
        let spec = volume.spec.as_ref();
        let path =
            spec.and_then(|spec| spec.local.as_ref()).map(|local| PathBuf::from(&local.path)).unwrap_or_default();
        // The path is the object's, which its name binds: what is elsewhere was not made here.
        if path != self.directory(volume.metadata.name.as_deref().unwrap_or_default()) {
            return Err(format!("{} is not a directory of this node's volumes", path.display()));
        }
        match tokio::fs::remove_dir_all(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", path.display())),
            _ => Ok(()),
        }
    }
}

/// The volumes of simulated nodes, with nothing behind them.
pub struct Imagined;

#[async_trait]
impl VolumeProvisioner for Imagined {
    fn name(&self) -> &str {
        PROVISIONER
    }

    async fn provision(&self, volume: &str, claim: &PersistentVolumeClaim) -> Result<PersistentVolumeSpec, Unable> {
        possible(claim)?;
        Ok(source(&Path::new("/simulated/volumes").join(volume)))
    }

    async fn expand(&self, _: &PersistentVolume, _: Quantity) -> Result<(), String> {
        Ok(())
    }

    async fn delete(&self, _: &PersistentVolume) -> Result<(), String> {
        Ok(())
    }
}

fn source(path: &Path) -> PersistentVolumeSpec {
    let local = LocalVolumeSource { path: path.display().to_string(), fs_type: None };
    PersistentVolumeSpec { local: Some(local), ..PersistentVolumeSpec::default() }
}

/// A directory is on one node, has a file system, and begins empty.
fn possible(claim: &PersistentVolumeClaim) -> Result<(), Unable> {
    let Some(spec) = &claim.spec else { return Ok(()) };
    let no = |words: &str| Err(Unable::Anywhere(words.to_owned()));
    let modes = AccessModes::of(spec.access_modes.iter().flatten().map(String::as_str));
    if !AccessModes::of(["ReadWriteOnce", "ReadWriteOncePod"]).contains(modes) {
        return no("a directory of a node can be had as ReadWriteOnce or ReadWriteOncePod only");
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return no("a directory of a node cannot be had as a block device");
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return no("a directory of a node begins empty: it cannot be made from a data source");
    }
    if spec.selector.is_some() {
        return no("claim.Spec.Selector is not supported");
    }
    Ok(())
}
