//! What is on disk: the truth that outlives both the agent and the shims.

use crate::image::ImageError;
use jiff::Timestamp;
use orch_runtime::node::container::{ContainerConfig, ContainerState, RuntimeError, SandboxConfig};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

/// A sandbox; written by the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SandboxRecord {
    pub(super) id: String,
    pub(super) config: SandboxConfig,
    pub(super) created_at: Timestamp,
    /// The shim, which lives in the sandbox's namespaces; 0 while it is being made.
    pub(super) pid: u32,
    pub(super) ips: Vec<IpAddr>,
    pub(super) stopped: bool,
    /// The runtime's root in each cgroup hierarchy.
    pub(super) cgroup_root: String,
}

impl SandboxRecord {
    /// The pod's cgroup.
    pub(super) fn cgroup(&self) -> String {
        let parent = self.config.cgroup_parent.trim_matches('/');
        let root = self.cgroup_root.trim_matches('/');
        // Without a parent two sandboxes must not share a group.
        let parent = if parent.is_empty() { format!("pod{}", self.id) } else { parent.to_owned() };
        if root.is_empty() { parent } else { format!("{root}/{parent}") }
    }

    /// The shim's cgroup.
    pub(super) fn shim_cgroup(&self) -> String {
        format!("{}/{}", self.cgroup(), self.id)
    }

    /// A container's cgroup.
    pub(super) fn container_cgroup(&self, container: &str) -> String {
        format!("{}/{container}", self.cgroup())
    }
}

/// A container; written by the agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerRecord {
    pub(super) id: String,
    pub(super) sandbox: String,
    pub(super) config: ContainerConfig,
    pub(super) image_id: String,
    pub(super) created_at: Timestamp,
    /// Absolute; empty for no log.
    pub(super) log_path: PathBuf,
    /// As a number.
    pub(super) stop_signal: i32,
    pub(super) root: RootSource,
}

/// Where a container's root file system comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum RootSource {
    /// overlayfs over directories, the topmost first, all of one parent directory.
    Overlay { layers: PathBuf, lower: Vec<PathBuf> },
    /// A copy is in place already.
    Copied,
}

/// Paths below the state directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    pub(super) fn sandboxes(&self) -> PathBuf {
        self.dir.join("sandboxes")
    }

    pub(super) fn sandbox(&self, id: &str) -> SandboxDir {
        SandboxDir(self.sandboxes().join(id))
    }
}

/// A sandbox's directory.
#[derive(Clone, Debug)]
pub(super) struct SandboxDir(pub(super) PathBuf);

impl SandboxDir {
    pub(super) fn record(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    pub(super) fn socket_name() -> &'static str {
        "shim.sock"
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("shim.log")
    }

    pub(super) fn shm(&self) -> PathBuf {
        self.0.join("shm")
    }

    pub(super) fn resolv_conf(&self) -> PathBuf {
        self.0.join("resolv.conf")
    }

    pub(super) fn hostname(&self) -> PathBuf {
        self.0.join("hostname")
    }

    /// The process that holds a shared PID namespace.
    pub(super) fn pause_pid(&self) -> PathBuf {
        self.0.join("pause.pid")
    }

    /// The state of the container engine.
    pub(super) fn engine(&self) -> PathBuf {
        self.0.join("engine")
    }

    pub(super) fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    pub(super) fn container(&self, id: &str) -> ContainerDir {
        ContainerDir(self.containers().join(id))
    }
}

/// A container's directory.
#[derive(Clone, Debug)]
pub(super) struct ContainerDir(pub(super) PathBuf);

impl ContainerDir {
    pub(super) fn record(&self) -> PathBuf {
        self.0.join("container.json")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    pub(super) fn bundle(&self) -> PathBuf {
        self.0.join("bundle")
    }

    pub(super) fn root(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// Where the n-th volume is mounted that passes mounts on in both directions.
    pub(super) fn shared(&self, n: usize) -> PathBuf {
        self.0.join(format!("shared-{n}"))
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub(super) fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    /// What the container does; written by its shim, `Created` until then.
    pub(super) fn read_state(&self) -> io::Result<ContainerState> {
        match read_json(&self.state()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ContainerState::Created),
            other => other,
        }
    }

    pub(super) fn write_state(&self, state: &ContainerState) -> io::Result<()> {
        write_json(&self.state(), state)
    }
}

/// Reads a JSON file; errors name it.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read(path).map_err(|error| named(path, error))?;
    serde_json::from_slice(&text).map_err(|error| named(path, error.into()))
}

/// Writes beside, syncs and renames: a crash leaves the old file or the new one.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| named(path, error))
}

/// The same error, saying which file it is about.
pub(super) fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// For `map_err`.
pub(super) fn failed(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Failed(error.to_string())
}

/// What an error of the image store means to callers of the runtime.
pub(super) fn image_error(reference: &str, error: ImageError) -> RuntimeError {
    let reference = reference.to_owned();
    match error {
        ImageError::Reference { why, .. } => RuntimeError::InvalidImageName { reference, why },
        ImageError::Registry(why) | ImageError::Malformed(why) => RuntimeError::Pull { reference, why },
        other => failed(other),
    }
}
