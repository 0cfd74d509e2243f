//! emptyDir, hostPath and local volumes.

use super::{Context, Prepared, Source, VolumePlugin, files::fs_group, ownership};
use async_trait::async_trait;
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
    fn supports(&self, source: &Source<'_>) -> bool {
        source.volume.empty_dir.is_some()
    }

    async fn prepare(&self, context: &Context<'_>, source: &Source<'_>, dir: &Path) -> Result<Prepared, String> {
        let failed = |e: io::Error| format!("{}: {e}", dir.display());
        tokio::fs::create_dir_all(dir).await.map_err(failed)?;
        let source = source.volume.empty_dir.clone().unwrap_or_default();
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
    fn supports(&self, source: &Source<'_>) -> bool {
        source.host_path().is_some()
    }

    async fn prepare(&self, _: &Context<'_>, source: &Source<'_>, _: &Path) -> Result<Prepared, String> {
        let source = source.host_path().cloned().unwrap_or_default();
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

/// A directory or file of the node that is a persistent volume: of the node's own making, or of its administrator's.
pub(super) struct Local;

#[async_trait]
impl VolumePlugin for Local {
    fn supports(&self, source: &Source<'_>) -> bool {
        source.local().is_some()
    }

    async fn prepare(&self, context: &Context<'_>, source: &Source<'_>, _: &Path) -> Result<Prepared, String> {
        let path = PathBuf::from(source.local().unwrap_or_default());
        if !tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Err(format!("path {:?} does not exist", path.display().to_string()));
        }
        let read_only = source.volume.persistent_volume_claim.as_ref().is_some_and(|c| c.read_only == Some(true));
        let (pod, root) = (context.pod.clone(), path.clone());
        let given = tokio::task::spawn_blocking(move || ownership::apply(&pod, &root, read_only)).await;
        given
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| format!("applyFSGroup failed for vol {}: {error}", source.name()))?;
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
