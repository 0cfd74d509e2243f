//! [`Book`]: the sandboxes and containers of a runtime that keeps them in memory.

use jiff::Timestamp;
use orch_runtime::node::container::{
    Container, ContainerConfig, ContainerState, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig,
};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};
use tokio::sync::mpsc;

/// What a runtime remembers whose containers end with its process: which sandboxes and containers there are, in which state, and
/// who wants to hear of changes. `C` is what the runtime keeps beside each container.
///
/// What the laws of [`ContainerRuntime`](orch_runtime::node::container::ContainerRuntime) ask of calls that are repeated holds here
/// already: what is there is not made again, and what is gone may be ended again.
pub struct Book<C> {
    sandboxes: BTreeMap<String, Sandbox>,
    /// Container id to its sandbox and what is kept beside it.
    containers: BTreeMap<String, (String, C)>,
    logs: BTreeMap<String, PathBuf>,
    listeners: Vec<mpsc::UnboundedSender<RuntimeEvent>>,
}

impl<C> Default for Book<C> {
    fn default() -> Self {
        Self { sandboxes: BTreeMap::new(), containers: BTreeMap::new(), logs: BTreeMap::new(), listeners: Vec::new() }
    }
}

impl<C> Book<C> {
    /// Every change from now on.
    pub fn listen(&mut self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.push(sender);
        receiver
    }

    /// Every sandbox with its containers, in the order of their ids.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.values()
    }

    /// A sandbox.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]
    pub fn sandbox(&self, id: &str) -> Result<&Sandbox, RuntimeError> {
        self.sandboxes.get(id).ok_or_else(|| RuntimeError::NotFound(format!("sandbox {id:?}")))
    }

    /// The sandbox of this pod and attempt, which `make` names and gives addresses if there is none yet.
    pub fn run_sandbox(
        &mut self,
        config: SandboxConfig,
        now: Timestamp,
        make: impl FnOnce(&SandboxConfig) -> (String, Vec<IpAddr>),
    ) -> String {
        let same = |known: &&Sandbox| known.uid == config.uid && known.attempt == config.attempt;
        if let Some(known) = self.sandboxes.values().find(same) {
            return known.id.clone();
        }
        let (id, ips) = make(&config);
        self.logs.insert(id.clone(), config.log_directory);
        let sandbox = Sandbox {
            id: id.clone(),
            name: config.name,
            namespace: config.namespace,
            uid: config.uid,
            attempt: config.attempt,
            ready: true,
            created_at: now,
            ips,
            labels: config.labels,
            annotations: config.annotations,
            ..Sandbox::default()
        };
        self.sandboxes.insert(id.clone(), sandbox);
        id
    }

    /// Ends a sandbox and, as if killed, what runs in it.
    pub fn stop_sandbox(&mut self, id: &str, now: Timestamp) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        for container in &mut sandbox.containers {
            if let ContainerState::Running { started_at, .. } = container.state {
                container.state = exited(started_at, now, 137, "");
            }
        }
        if std::mem::replace(&mut sandbox.ready, false) {
            self.tell(id);
        }
    }

    /// Forgets a sandbox and its containers.
    pub fn remove_sandbox(&mut self, id: &str, now: Timestamp) {
        self.stop_sandbox(id, now);
        self.tell(id);
        self.logs.remove(id);
        if let Some(sandbox) = self.sandboxes.remove(id) {
            sandbox.containers.iter().for_each(|container| drop(self.containers.remove(&container.id)));
        }
    }

    /// The container of this name and attempt in a sandbox, for which `make` gives an id, the id of its image and what is kept beside
    /// it if there is none yet.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] without the sandbox, [`RuntimeError::Create`] in one that has ended.
    pub fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        now: Timestamp,
        make: impl FnOnce(&Sandbox, &ContainerConfig) -> (String, String, C),
    ) -> Result<String, RuntimeError> {
        let missing = || RuntimeError::NotFound(format!("sandbox {sandbox:?}"));
        let found = self.sandboxes.get_mut(sandbox).ok_or_else(missing)?;
        if !found.ready {
            return Err(RuntimeError::Create(format!("sandbox {sandbox} is not ready")));
        }
        let same = |known: &&Container| known.name == config.name && known.attempt == config.attempt;
        if let Some(known) = found.containers.iter().find(same) {
            return Ok(known.id.clone());
        }
        let (id, image_id, beside) = make(found, &config);
        self.containers.insert(id.clone(), (sandbox.to_owned(), beside));
        found.containers.push(Container {
            id: id.clone(),
            name: config.name,
            attempt: config.attempt,
            image: config.image,
            image_id,
            state: ContainerState::Created,
            created_at: now,
            labels: config.labels,
            annotations: config.annotations,
            log_path: self.logs.get(sandbox).cloned().unwrap_or_default().join(config.log_path),
        });
        Ok(id)
    }

    /// A container, and what is kept beside it.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]
    pub fn container(&self, id: &str) -> Result<(&Container, &C), RuntimeError> {
        let found = self.containers.get(id).and_then(|(sandbox, beside)| {
            let mut all = self.sandboxes.get(sandbox)?.containers.iter();
            Some((all.find(|container| container.id == id)?, beside))
        });
        found.ok_or_else(|| not_found(id))
    }

    /// Puts a container into another state, and tells of it.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]
    pub fn set(&mut self, id: &str, state: ContainerState) -> Result<(), RuntimeError> {
        let (sandbox, _) = self.containers.get(id).ok_or_else(|| not_found(id))?;
        let containers = self.sandboxes.get_mut(sandbox).map(|sandbox| &mut sandbox.containers);
        let mut containers = containers.into_iter().flatten();
        containers.find(|container| container.id == id).ok_or_else(|| not_found(id))?.state = state;
        let sandbox = sandbox.clone();
        self.tell(&sandbox);
        Ok(())
    }

    /// Ends a container that runs; the reason is that of the code where none is given. Answers whether it ran.
    pub fn exit(&mut self, id: &str, exit_code: i32, reason: &str, now: Timestamp) -> bool {
        let Ok((Container { state: ContainerState::Running { started_at, .. }, .. }, _)) = self.container(id) else {
            return false;
        };
        let state = exited(*started_at, now, exit_code, reason);
        self.set(id, state).is_ok()
    }

    /// Forgets a container.
    pub fn remove_container(&mut self, id: &str) {
        let Some((sandbox, _)) = self.containers.remove(id) else { return };
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.containers.retain(|container| container.id != id);
        }
    }

    fn tell(&mut self, sandbox: &str) {
        let Some(found) = self.sandboxes.get(sandbox) else { return };
        let event = RuntimeEvent { pod_uid: found.uid.clone(), sandbox: sandbox.to_owned() };
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}

/// The state of a container that has ended. A code above 128 tells the signal.
pub fn exited(started_at: Timestamp, finished_at: Timestamp, exit_code: i32, reason: &str) -> ContainerState {
    let signal = if exit_code > 128 { exit_code - 128 } else { 0 };
    let reason = match (reason, exit_code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (reason, _) => reason,
    };
    ContainerState::Exited { started_at, finished_at, exit_code, signal, reason: reason.into(), message: String::new() }
}

fn not_found(id: &str) -> RuntimeError {
    RuntimeError::NotFound(format!("container {id:?}"))
}
