//! [`DataDir`]: everything that a cluster keeps, in one directory.
//!
//! ```text
//! DIR/lock           held by the process that uses the directory
//!     kubeconfig     for kubectl
//!     networks.json  where pods and Services have their addresses
//!     pki/           certificates and keys
//!     store/         objects
//!     node/          images, sandboxes, pod directories, logs
//!     node-2/        the same of a further node of this machine, but for the images, which are shared
//! ```

use super::Failure;
use std::{
    fs::{File, TryLockError},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A locked data directory.
pub(super) struct DataDir {
    path: PathBuf,
    had_objects: bool,
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
            Ok(()) => Ok(Self { had_objects: path.join("store").exists(), path, _lock: lock }),
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

    /// Whether objects had been stored here before this process came.
    pub(super) fn had_objects(&self) -> bool {
        self.had_objects
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    /// What the first node keeps.
    pub(super) fn node(&self) -> PathBuf {
        self.node_of(1)
    }

    /// What the node of that number keeps; the first is 1.
    pub(super) fn node_of(&self, number: u32) -> PathBuf {
        self.path.join(numbered("node", number))
    }

    /// How many nodes have kept something here: at least one.
    pub(super) fn nodes(&self) -> u32 {
        (2..).find(|number| !self.node_of(*number).exists()).map_or(1, |free| free - 1)
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    pub(super) fn networks(&self) -> PathBuf {
        self.path.join("networks.json")
    }

    /// Replaces a file of the directory as a whole. Only its owner may read it.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let temporary = path.with_extension("new");
        let written = || {
            let _ = std::fs::remove_file(&temporary);
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)
        };
        written().map_err(|error: std::io::Error| format!("{}: {error}", path.display()).into())
    }

    /// A name for what this directory's cluster makes in the kernel (cgroups, devices, tables): short, and
    /// different for different directories.
    pub(super) fn tag(&self) -> String {
        self.tag_of(1)
    }

    /// The same for what belongs to the node of that number.
    pub(super) fn tag_of(&self, node: u32) -> String {
        let mut hash = 0x811c_9dc5_u32;
        for byte in self.path.as_os_str().as_encoded_bytes() {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
        numbered(&format!("orch{hash:08x}"), node)
    }
}

/// The name of the first of several, and of the others.
pub(super) fn numbered(name: &str, number: u32) -> String {
    if number == 1 { name.to_owned() } else { format!("{name}-{number}") }
}
