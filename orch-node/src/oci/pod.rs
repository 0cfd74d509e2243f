//! A sandbox, as the agent knows it.

use super::{
    cgroup::{Cgroup, Hierarchies},
    client::Connection,
    protocol::Request,
    state::{ContainerRecord, SandboxDir, SandboxRecord, failed, read_json, write_json},
};
use jiff::Timestamp;
use nix::mount::{MntFlags, umount2};
use orch_runtime::node::container::{Container, ContainerState, RuntimeError, RuntimeEvent, Sandbox};
use parking_lot::RwLock;
use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::Arc};
use tokio::sync::{broadcast, watch};

/// A sandbox and its containers. What containers do is read from the files that the shim writes.
pub(super) struct Pod {
    pub(super) dir: SandboxDir,
    record: RwLock<SandboxRecord>,
    containers: RwLock<BTreeMap<String, Arc<ContainerRecord>>>,
    /// Whether the shim serves.
    alive: watch::Sender<bool>,
    /// Counts changes that the shim told of.
    changes: watch::Sender<u64>,
    /// Changes to the sandbox come one after the other.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Pod {
    /// A sandbox whose record is on disk.
    pub(super) fn new(dir: SandboxDir, record: SandboxRecord) -> Self {
        Self {
            dir,
            record: RwLock::new(record),
            containers: RwLock::default(),
            alive: watch::Sender::new(false),
            changes: watch::Sender::new(0),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Reads a sandbox that an earlier agent made. Directories of containers that were never finished
    /// are removed.
    pub(super) fn load(dir: SandboxDir) -> io::Result<Self> {
        let record = read_json(&dir.record())?;
        let pod = Self::new(dir, record);
        let entries = match fs::read_dir(pod.dir.containers()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pod),
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            let container = pod.dir.container(&entry.file_name().to_string_lossy());
            match read_json::<ContainerRecord>(&container.record()) {
                Ok(record) => pod.add(record),
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_dir_all(entry.path())?,
                Err(error) => return Err(error),
            }
        }
        Ok(pod)
    }

    /// As recorded.
    pub(super) fn record(&self) -> SandboxRecord {
        self.record.read().clone()
    }

    /// Changes the record on disk, then here.
    pub(super) fn update(&self, change: impl FnOnce(&mut SandboxRecord)) -> Result<(), RuntimeError> {
        let mut record = self.record();
        change(&mut record);
        write_json(&self.dir.record(), &record).map_err(failed)?;
        *self.record.write() = record;
        Ok(())
    }

    pub(super) fn add(&self, record: ContainerRecord) {
        self.containers.write().insert(record.id.clone(), Arc::new(record));
    }

    pub(super) fn forget(&self, container: &str) {
        self.containers.write().remove(container);
    }

    pub(super) fn container(&self, id: &str) -> Result<Arc<ContainerRecord>, RuntimeError> {
        let found = self.containers.read().get(id).cloned();
        found.ok_or_else(|| RuntimeError::NotFound(format!("container {id:?}")))
    }

    /// The container that an attempt made already.
    pub(super) fn attempt(&self, name: &str, attempt: u32) -> Option<String> {
        let containers = self.containers.read();
        let is_same = |c: &&Arc<ContainerRecord>| c.config.name == name && c.config.attempt == attempt;
        containers.values().find(is_same).map(|c| c.id.clone())
    }

    pub(super) fn container_ids(&self) -> Vec<String> {
        self.containers.read().keys().cloned().collect()
    }

    pub(super) fn image_ids(&self) -> Vec<String> {
        self.containers.read().values().map(|container| container.image_id.clone()).collect()
    }

    pub(super) fn state(&self, container: &str) -> Result<ContainerState, RuntimeError> {
        self.dir.container(container).read_state().map_err(failed)
    }

    /// The sandbox as it is now.
    pub(super) fn view(&self) -> Result<Sandbox, RuntimeError> {
        let record = self.record();
        let records: Vec<_> = self.containers.read().values().cloned().collect();
        let mut containers = records.iter().map(|record| self.container_view(record)).collect::<Result<Vec<_>, _>>()?;
        containers.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        let ready = !record.stopped && *self.alive.borrow();
        Ok(Sandbox {
            id: record.id,
            name: record.config.name,
            namespace: record.config.namespace,
            uid: record.config.uid,
            attempt: record.config.attempt,
            ready,
            created_at: record.created_at,
            ips: record.ips,
            pid: if ready { record.pid } else { 0 },
            labels: record.config.labels,
            annotations: record.config.annotations,
            containers,
        })
    }

    fn container_view(&self, record: &ContainerRecord) -> Result<Container, RuntimeError> {
        Ok(Container {
            id: record.id.clone(),
            name: record.config.name.clone(),
            attempt: record.config.attempt,
            image: record.config.image.clone(),
            image_id: record.image_id.clone(),
            state: self.state(&record.id)?,
            created_at: record.created_at,
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
            log_path: record.log_path.clone(),
        })
    }

    /// The network namespace, through the process that lives in it.
    pub(super) fn netns(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.record.read().pid))
    }

    /// Asks the shim for something that is done or fails.
    pub(super) async fn ask(&self, request: &Request, fds: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
        Connection::ask(&self.dir, request, fds)?.done().await
    }

    /// Connects to the shim and hears of changes from then on; `None` when there is no shim.
    pub(super) fn listen(&self) -> Option<Connection> {
        let connection = Connection::ask(&self.dir, &Request::Watch, &[]).ok()?;
        self.alive.send_replace(true);
        Some(connection)
    }

    /// Passes changes on until the shim is gone.
    pub(super) async fn follow(&self, mut shim: Connection, events: broadcast::Sender<RuntimeEvent>) {
        while shim.reply().await.is_ok() {
            self.changed(&events);
        }
    }

    /// Tells whoever waits.
    pub(super) fn changed(&self, events: &broadcast::Sender<RuntimeEvent>) {
        self.changes.send_modify(|count| *count += 1);
        let record = self.record.read();
        let _ = events.send(RuntimeEvent { pod_uid: record.config.uid.clone(), sandbox: record.id.clone() });
    }

    /// Waits until a container no longer runs.
    pub(super) async fn ended(&self, container: &str) -> Result<(), RuntimeError> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if !matches!(self.state(container)?, ContainerState::Running { .. }) {
                return Ok(());
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Writes down the end of everything that a dead shim ran, after killing it.
    pub(super) fn lost(&self, hierarchies: &Hierarchies, now: Timestamp) -> io::Result<()> {
        self.alive.send_replace(false);
        let record = self.record();
        Cgroup::new(hierarchies, &record.shim_cgroup()).kill();
        for id in self.container_ids() {
            let dir = self.dir.container(&id);
            if let ContainerState::Running { started_at, .. } = dir.read_state()? {
                Cgroup::new(hierarchies, &record.container_cgroup(&id)).kill();
                dir.write_state(&ContainerState::Exited {
                    started_at,
                    finished_at: now,
                    exit_code: 137,
                    signal: 9,
                    reason: "Error".into(),
                    message: "the process that watched over the container is gone".into(),
                })?;
            }
        }
        Ok(())
    }

    /// Takes away what a stopped sandbox has outside of its directory.
    pub(super) fn clean_up(&self, hierarchies: &Hierarchies) -> io::Result<()> {
        let record = self.record();
        unmount(&self.dir)?;
        for id in self.container_ids() {
            Cgroup::new(hierarchies, &record.container_cgroup(&id)).remove()?;
        }
        Cgroup::new(hierarchies, &record.shim_cgroup()).remove()?;
        // Another sandbox of the pod may be there already; then this is not ours to remove.
        let parent = Cgroup::new(hierarchies, &record.cgroup());
        if !parent.has_children() {
            parent.remove()?;
        }
        Ok(())
    }
}

/// Unmounts what the agent mounted in a sandbox's directory.
pub(super) fn unmount(dir: &SandboxDir) -> io::Result<()> {
    use nix::errno::Errno;
    match umount2(&dir.shm(), MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
