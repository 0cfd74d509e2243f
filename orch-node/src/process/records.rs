//! What the process runtime knows, in memory and in its state directory.

use super::shim::{Exit, Launch, Running};
use crate::net::Subnet;
use jiff::Timestamp;
use orch_runtime::node::container::{
    Container, ContainerConfig, ContainerState, Image, RuntimeError, Sandbox, SandboxConfig,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

/// A sandbox as it stands on disk.
#[derive(Clone, Serialize, Deserialize)]
struct SandboxRecord {
    id: String,
    name: String,
    namespace: String,
    uid: String,
    attempt: u32,
    ready: bool,
    created_at: Timestamp,
    ips: Vec<IpAddr>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    log_directory: PathBuf,
}

struct ContainerRecord {
    sandbox: String,
    dir: PathBuf,
    launch: Launch,
    state: ContainerState,
}

pub(super) struct Records {
    root: PathBuf,
    sandboxes: BTreeMap<String, SandboxRecord>,
    containers: BTreeMap<String, ContainerRecord>,
    images: BTreeMap<String, Image>,
    network: Subnet,
    next_address: u32,
}

impl Records {
    pub(super) fn open(state: &Path, network: Subnet) -> io::Result<Self> {
        let root = state.join("sandboxes");
        fs::create_dir_all(&root)?;
        let mut records = Self {
            root: root.clone(),
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            images: BTreeMap::new(),
            network,
            next_address: 0,
        };
        for entry in fs::read_dir(&root)? {
            records.load(&entry?.path())?;
        }
        Ok(records)
    }

    fn load(&mut self, dir: &Path) -> io::Result<()> {
        // A directory without its file was being made or removed when the agent ended.
        let Some(sandbox) = read::<SandboxRecord>(&dir.join("sandbox.json"))? else { return fs::remove_dir_all(dir) };
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if !path.is_dir() {
                continue;
            }
            let Some(launch) = read::<Launch>(&path.join("launch.json"))? else {
                fs::remove_dir_all(&path)?;
                continue;
            };
            let state = state_of(&path, None)?;
            self.images.insert(launch.image.clone(), image(&launch.image));
            let record = ContainerRecord { sandbox: sandbox.id.clone(), dir: path, launch, state };
            self.containers.insert(record.launch.id.clone(), record);
        }
        self.sandboxes.insert(sandbox.id.clone(), sandbox);
        Ok(())
    }

    /// Containers that seem to run: the shim's socket will say whether they do.
    pub(super) fn unfinished(&self) -> Vec<(String, PathBuf)> {
        let running = self.containers.iter().filter(|(_, c)| matches!(c.state, ContainerState::Running { .. }));
        running.map(|(id, c)| (id.clone(), c.dir.clone())).collect()
    }

    pub(super) fn run_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> Result<String, RuntimeError> {
        let same = |s: &&SandboxRecord| s.uid == config.uid && s.attempt == config.attempt;
        if let Some(known) = self.sandboxes.values().find(same) {
            return Ok(known.id.clone());
        }
        let id = id_of(&format!("{}/{}/{now}", config.uid, config.attempt));
        let record = SandboxRecord {
            id: id.clone(),
            name: config.name,
            namespace: config.namespace,
            uid: config.uid,
            attempt: config.attempt,
            ready: true,
            created_at: now,
            ips: if config.host_network { Vec::new() } else { vec![self.address()?] },
            labels: config.labels,
            annotations: config.annotations,
            log_directory: config.log_directory,
        };
        let dir = self.root.join(&id);
        fs::create_dir_all(&dir).map_err(|e| failed(dir.display(), e))?;
        write(&dir.join("sandbox.json"), &record)?;
        self.sandboxes.insert(id.clone(), record);
        Ok(id)
    }

    /// The next address of the network that no sandbox has.
    fn address(&mut self) -> Result<IpAddr, RuntimeError> {
        let taken: BTreeSet<IpAddr> = self.sandboxes.values().filter(|s| s.ready).flat_map(|s| s.ips.clone()).collect();
        let hosts = self.network.hosts();
        for _ in hosts.clone() {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(hosts.start + self.next_address % (hosts.end - hosts.start)));
            self.next_address = self.next_address.wrapping_add(1);
            if !taken.contains(&ip) {
                return Ok(ip);
            }
        }
        Err(failed("pod addresses", format!("all of {} are in use", self.network)))
    }

    /// The pod's UID when the sandbox was ready until now.
    pub(super) fn stop_sandbox(&mut self, id: &str) -> Result<Option<String>, RuntimeError> {
        let dir = self.root.join(id);
        let Some(sandbox) = self.sandboxes.get_mut(id).filter(|s| s.ready) else { return Ok(None) };
        sandbox.ready = false;
        write(&dir.join("sandbox.json"), sandbox)?;
        Ok(Some(sandbox.uid.clone()))
    }

    pub(super) fn containers_of(&self, sandbox: &str) -> Vec<String> {
        self.containers.iter().filter(|(_, c)| c.sandbox == sandbox).map(|(id, _)| id.clone()).collect()
    }

    /// Removes a sandbox whose containers have been removed.
    pub(super) fn remove_sandbox(&mut self, id: &str) -> Result<Option<String>, RuntimeError> {
        let Some(sandbox) = self.sandboxes.remove(id) else { return Ok(None) };
        let dir = self.root.join(id);
        fs::remove_dir_all(&dir).map_err(|e| failed(dir.display(), e))?;
        Ok(Some(sandbox.uid))
    }

    pub(super) fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        program: &str,
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        let of = self.sandboxes.get(sandbox).ok_or_else(|| not_found("sandbox", sandbox))?;
        if !of.ready {
            return Err(RuntimeError::Create(format!("sandbox {sandbox} is not ready")));
        }
        let same = |c: &&ContainerRecord| {
            c.sandbox == sandbox && c.launch.name == config.name && c.launch.attempt == config.attempt
        };
        if let Some(known) = self.containers.values().find(same) {
            return Ok(known.launch.id.clone());
        }
        if self.image(&config.image).is_none() && !config.image.starts_with(super::TOOLBOX) {
            return Err(not_found("image", &config.image));
        }
        let id = id_of(&format!("{}/{}/{}/{now}", of.uid, config.name, config.attempt));
        let dir = self.root.join(sandbox).join(&id);
        fs::create_dir_all(dir.join("root")).map_err(|e| failed(dir.display(), e))?;
        link_mounts(&dir.join("root"), &config).map_err(|e| RuntimeError::Create(e.to_string()))?;
        let launch = super::command::launch(id.clone(), &dir, config, program, of.ips.first(), &of.log_directory, now)?;
        write(&dir.join("launch.json"), &launch)?;
        let record = ContainerRecord { sandbox: sandbox.to_owned(), dir, launch, state: ContainerState::Created };
        self.containers.insert(id.clone(), record);
        Ok(id)
    }

    /// Reads how far a container has come that is being started.
    pub(super) fn started(&mut self, id: &str) -> Result<(), RuntimeError> {
        let record = self.containers.get_mut(id).ok_or_else(|| not_found("container", id))?;
        record.state = state_of(&record.dir, None).map_err(|e| failed(record.dir.display(), e))?;
        Ok(())
    }

    pub(super) fn not_started(&mut self, id: &str, why: &str, now: Timestamp) -> Result<(), RuntimeError> {
        let record = self.containers.get_mut(id).ok_or_else(|| not_found("container", id))?;
        let exit = Exit {
            started_at: now,
            finished_at: now,
            exit_code: 128,
            signal: 0,
            reason: "ContainerCannotRun".into(),
            message: why.to_owned(),
        };
        write(&record.dir.join("exit.json"), &exit)?;
        record.state = exit.state();
        Ok(())
    }

    /// Takes note that a container's shim is gone; the pod's UID and sandbox when that is news.
    pub(super) fn ended(&mut self, id: &str, now: Timestamp) -> Option<(String, String)> {
        let record = self.containers.get_mut(id)?;
        if !matches!(record.state, ContainerState::Running { .. }) {
            return None;
        }
        record.state = state_of(&record.dir, Some(now)).ok()?;
        self.owner(id)
    }

    pub(super) fn owner(&self, id: &str) -> Option<(String, String)> {
        let sandbox = &self.containers.get(id)?.sandbox;
        Some((self.sandboxes.get(sandbox)?.uid.clone(), sandbox.clone()))
    }

    pub(super) fn stop_signal(&self, id: &str) -> i32 {
        self.containers.get(id).map_or(15, |c| c.launch.stop_signal)
    }

    pub(super) fn running(&self, sandbox: &str) -> Vec<String> {
        let running = self
            .containers
            .iter()
            .filter(|(_, c)| c.sandbox == sandbox && matches!(c.state, ContainerState::Running { .. }));
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Forgets a container; where its directory is now. A shim that is only starting finds it under the old name no more, and
    /// then gives up.
    pub(super) fn forget(&mut self, id: &str) -> Result<Option<PathBuf>, RuntimeError> {
        let Some(record) = self.containers.remove(id) else { return Ok(None) };
        for path in [record.launch.log.clone()].into_iter().chain((1..10).map(|n| numbered(&record.launch.log, n))) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path.display(), error)),
                _ => {}
            }
        }
        let gone = record.dir.with_extension("gone");
        fs::rename(&record.dir, &gone).map_err(|e| failed(record.dir.display(), e))?;
        Ok(Some(gone))
    }

    pub(super) fn container(&self, id: &str) -> Result<(Container, PathBuf), RuntimeError> {
        let record = self.containers.get(id).ok_or_else(|| not_found("container", id))?;
        Ok((record.container(), record.dir.clone()))
    }

    pub(super) fn list(&self) -> Vec<Sandbox> {
        self.sandboxes.keys().filter_map(|id| self.sandbox(id).ok()).collect()
    }

    pub(super) fn sandbox(&self, id: &str) -> Result<Sandbox, RuntimeError> {
        let record = self.sandboxes.get(id).ok_or_else(|| not_found("sandbox", id))?.clone();
        let of = self.containers.values().filter(|c| c.sandbox == id);
        let mut containers: Vec<_> = of.map(ContainerRecord::container).collect();
        containers.sort_by_key(|c| c.created_at);
        Ok(Sandbox {
            id: record.id,
            name: record.name,
            namespace: record.namespace,
            uid: record.uid,
            attempt: record.attempt,
            ready: record.ready,
            created_at: record.created_at,
            ips: record.ips,
            pid: 0,
            labels: record.labels,
            annotations: record.annotations,
            containers,
        })
    }

    pub(super) fn add_image(&mut self, reference: &str) -> Result<Image, RuntimeError> {
        Ok(self.images.entry(reference.to_owned()).or_insert_with(|| image(reference)).clone())
    }

    pub(super) fn image(&self, reference: &str) -> Option<Image> {
        self.images.values().find(|i| i.id == reference || i.tags.iter().any(|t| t == reference)).cloned()
    }

    pub(super) fn images(&self) -> Vec<Image> {
        self.images.values().cloned().collect()
    }

    pub(super) fn remove_image(&mut self, reference: &str) -> Result<(), RuntimeError> {
        self.images.retain(|name, image| name != reference && image.id != reference);
        Ok(())
    }
}

impl ContainerRecord {
    fn container(&self) -> Container {
        let launch = &self.launch;
        Container {
            id: launch.id.clone(),
            name: launch.name.clone(),
            attempt: launch.attempt,
            image: launch.image.clone(),
            image_id: image(&launch.image).id,
            state: self.state.clone(),
            created_at: launch.created_at,
            labels: launch.labels.clone(),
            annotations: launch.annotations.clone(),
            log_path: launch.log.clone(),
        }
    }
}

/// The state that the files of a container tell of. `gone_at`: its shim is known to be gone since then.
fn state_of(dir: &Path, gone_at: Option<Timestamp>) -> io::Result<ContainerState> {
    if let Some(exit) = read::<Exit>(&dir.join("exit.json"))? {
        return Ok(exit.state());
    }
    let Some(running) = read::<Running>(&dir.join("running.json"))? else { return Ok(ContainerState::Created) };
    let Some(finished_at) = gone_at else {
        return Ok(ContainerState::Running { started_at: running.started_at, pid: running.pid });
    };
    Ok(ContainerState::Exited {
        started_at: running.started_at,
        finished_at,
        exit_code: 137,
        signal: 9,
        reason: "Error".into(),
        message: "the shim was killed".into(),
    })
}

/// Links in `root` where the container's mounts would be.
fn link_mounts(root: &Path, config: &ContainerConfig) -> io::Result<()> {
    for mount in &config.mounts {
        let relative = mount.container_path.strip_prefix("/").unwrap_or(&mount.container_path);
        let plain = relative.components().all(|c| matches!(c, std::path::Component::Normal(_)));
        if relative.as_os_str().is_empty() || !plain {
            return Err(io::Error::other(format!("invalid mount path {}", mount.container_path.display())));
        }
        let link = root.join(relative);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        match std::os::unix::fs::symlink(&mount.host_path, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn image(reference: &str) -> Image {
    let id = format!("sha256:{}", id_of(&format!("image/{reference}")));
    Image { id, tags: vec![reference.to_owned()], ..Image::default() }
}

fn numbered(log: &Path, number: usize) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn id_of(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {e}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), RuntimeError> {
    super::shim::write_json(path, value).map_err(|e| failed(path.display(), e))
}

fn not_found(what: &str, id: &str) -> RuntimeError {
    RuntimeError::NotFound(format!("{what} {id:?}"))
}

pub(super) fn failed(what: impl Display, why: impl Display) -> RuntimeError {
    RuntimeError::Failed(format!("{what}: {why}"))
}
