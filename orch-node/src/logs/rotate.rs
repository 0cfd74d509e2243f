//! Log rotation as kubelet's container log manager does it (`logs/container_log_manager.go`).

use orch_runtime::node::container::ContainerRuntime;
use std::{
    io,
    path::{Path, PathBuf},
};

/// When a log is rotated and how many files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes at which a file is put aside.
    pub max_bytes: u64,
    /// Files per container, the current one included.
    pub max_files: usize,
}

impl Default for Rotation {
    /// 10Mi × 5
    fn default() -> Self {
        Self { max_bytes: 10 << 20, max_files: 5 }
    }
}

/// Puts a log that is too large aside as `PATH.1` (older ones move on to `.2` and so on) and has the
/// container write to a new file.
pub async fn rotate(runtime: &dyn ContainerRuntime, container: &str, log: &Path, rule: Rotation) -> io::Result<bool> {
    match tokio::fs::metadata(log).await {
        Ok(meta) if meta.len() >= rule.max_bytes => {}
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    }
    let oldest = rule.max_files.saturating_sub(1).max(1);
    remove(&numbered(log, oldest)).await?;
    for number in (1..oldest).rev() {
        rename(&numbered(log, number), &numbered(log, number + 1)).await?;
    }
    rename(log, &numbered(log, 1)).await?;
    runtime.reopen_log(container).await.map_err(|e| io::Error::other(e.to_string()))?;
    Ok(true)
}

/// The file that holds the `number`th older part of a log.
pub(super) fn numbered(log: &Path, number: usize) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match tokio::fs::rename(from, to).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
