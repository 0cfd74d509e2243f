//! emptyDir and hostPath volumes.

use super::{Context, Prepared, VolumePlugin, files::fs_group};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Volume;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::{
    io,
    os::unix::fs::{FileTypeExt, chown},
    path::{Path, PathBuf},
};

/// A directory that lives as long as its pod; with medium Memory a tmpfs where the agent may mount one.
pub(super) struct EmptyDir;

#[async_trait]
impl VolumePlugin for EmptyDir {
    fn supports(&self, volume: &Volume) -> bool {
        volume.empty_dir.is_some()
    }

    async fn prepare(&self, context: &Context<'_>, volume: &Volume, dir: &Path) -> Result<Prepared, String> {
        let failed = |e: io::Error| format!("{}: {e}", dir.display());
        tokio::fs::create_dir_all(dir).await.map_err(failed)?;
        let source = volume.empty_dir.clone().unwrap_or_default();
        let memory = source.medium.as_deref() == Some("Memory");
        if memory && nix::unistd::geteuid().is_root() && !is_mounted(dir).map_err(failed)? {
            let size = source.size_limit.map(|q| format!("size={}", crate::quantity::units(&q.0)));
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            mount(Some("tmpfs"), dir, Some("tmpfs"), flags, size.as_deref())
                .map_err(|e| format!("mounting a tmpfs on {}: {e}", dir.display()))?;
        }
        let mut mode = 0o777;
        if let Some(group) = fs_group(context.pod) {
            mode = 0o2777;
            // Only root may give a directory to a group that is not its own.
            drop(chown(dir, None, Some(group)));
        }
        crate::files::set_mode(dir, mode).await.map_err(failed)?;
        Ok(Prepared { path: dir.to_owned(), refresh_at: None })
    }

    async fn tear_down(&self, dir: &Path) -> io::Result<()> {
        if is_mounted(dir)? { umount2(dir, MntFlags::MNT_DETACH).map_err(io::Error::from) } else { Ok(()) }
    }
}

/// A path of the node.
pub(super) struct HostPath;

#[async_trait]
impl VolumePlugin for HostPath {
    fn supports(&self, volume: &Volume) -> bool {
        volume.host_path.is_some()
    }

    async fn prepare(&self, _: &Context<'_>, volume: &Volume, _: &Path) -> Result<Prepared, String> {
        let source = volume.host_path.clone().unwrap_or_default();
        let (path, kind) = (PathBuf::from(&source.path), source.type_.unwrap_or_default());
        let failed = |e: io::Error| format!("{}: {e}", source.path);
        match kind.as_str() {
            "DirectoryOrCreate" => tokio::fs::create_dir_all(&path).await.map_err(failed)?,
            "FileOrCreate" if !path.exists() => tokio::fs::write(&path, b"").await.map_err(failed)?,
            _ => {}
        }
        check_type(&path, &kind)?;
        Ok(Prepared { path, refresh_at: None })
    }

    async fn tear_down(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// `hostPath type check failed: …` (`pkg/volume/hostpath/host_path.go`)
fn check_type(path: &Path, kind: &str) -> Result<(), String> {
    let meta = std::fs::metadata(path);
    let is = |test: fn(&std::fs::FileType) -> bool| meta.as_ref().is_ok_and(|m| test(&m.file_type()));
    let (fits, noun) = match kind {
        "" => return Ok(()),
        "Directory" | "DirectoryOrCreate" => (is(std::fs::FileType::is_dir), "directory"),
        "File" | "FileOrCreate" => (is(std::fs::FileType::is_file), "file"),
        "Socket" => (is(FileTypeExt::is_socket), "socket file"),
        "CharDevice" => (is(FileTypeExt::is_char_device), "character device"),
        "BlockDevice" => (is(FileTypeExt::is_block_device), "block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if fits { Ok(()) } else { Err(format!("hostPath type check failed: {} is not a {noun}", path.display())) }
}

/// Whether something is mounted there: it lies on another device than its parent.
fn is_mounted(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta.dev())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let parent = dir.parent().unwrap_or(dir);
    Ok(device(dir)?.is_some_and(|d| device(parent).ok().flatten() != Some(d)))
}
