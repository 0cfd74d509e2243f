//! [`DataDir`]: everything that a cluster keeps, in one directory.
//!
//! ```text
//! DIR/lock         held by the process that uses the directory
//!     kubeconfig   for kubectl
//!     pki/         certificates and keys
//!     store/       objects
//!     node/        images, sandboxes, pod directories, logs
//! ```

use super::Failure;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

/// A locked data directory.
pub(super) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Where a user's cluster is by default.
    pub(super) fn default_path() -> PathBuf {
        let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/share"));
        match std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home) {
            _ if nix::unistd::geteuid().is_root() => PathBuf::from("/var/lib/orch"),
            Some(base) => base.join("orch"),
            None => PathBuf::from("orch-data"),
        }
    }

    /// Makes the directory if it is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let in_words = |e: std::io::Error| format!("the data directory {}: {e}", path.display());
        std::fs::create_dir_all(path).map_err(in_words)?;
        let path = path.canonicalize().map_err(in_words)?;
        let lock = File::create(path.join("lock")).map_err(in_words)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "the data directory {} is in use by another orch; choose one with --data-dir",
                path.display()
            )
            .into()),
            Err(TryLockError::Error(e)) => Err(in_words(e).into()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    pub(super) fn node(&self) -> PathBuf {
        self.path.join("node")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    /// A name for what this directory's cluster makes in the kernel (cgroups, devices, tables): short, and
    /// different for different directories.
    pub(super) fn tag(&self) -> String {
        let mut hash = 0x811c_9dc5_u32;
        for byte in self.path.as_os_str().as_encoded_bytes() {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
        format!("orch{hash:08x}")
    }
}
