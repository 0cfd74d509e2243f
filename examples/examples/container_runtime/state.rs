//! What the runtime remembers: sandboxes, containers and what runs in them.

use k8s_openapi::jiff::Timestamp;
use orch::runtime::node::container::{
    Container, ContainerConfig, ContainerState, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, Mutex},
};
use tokio::{
    io::DuplexStream,
    sync::{broadcast, mpsc},
    task::AbortHandle,
};

#[derive(Default)]
pub(crate) struct State {
    pub(crate) sandboxes: BTreeMap<String, Sandbox>,
    pub(crate) pulled: bool,
    logs: BTreeMap<String, PathBuf>,
    /// Container id to its sandbox and what it is made of.
    pub(crate) containers: BTreeMap<String, (String, ContainerConfig)>,
    pub(crate) running: BTreeMap<String, Running>,
    listeners: Vec<mpsc::UnboundedSender<RuntimeEvent>>,
    made: u32,
}

/// A function that runs.
pub(crate) struct Running {
    pub(crate) task: AbortHandle,
    /// The end of its standard input, until somebody takes it for good.
    pub(crate) input: Option<Arc<Mutex<DuplexStream>>>,
    pub(crate) output: broadcast::Sender<Vec<u8>>,
}

impl State {
    pub(crate) fn listen(&mut self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.push(sender);
        receiver
    }

    pub(crate) fn run_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> String {
        let same = |known: &&Sandbox| known.uid == config.uid && known.attempt == config.attempt;
        if let Some(known) = self.sandboxes.values().find(same) {
            return known.id.clone();
        }
        self.made += 1;
        let id = format!("sandbox-{}", self.made);
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a63_0000 + self.made));
        self.logs.insert(id.clone(), config.log_directory);
        let sandbox = Sandbox {
            id: id.clone(),
            name: config.name,
            namespace: config.namespace,
            uid: config.uid,
            attempt: config.attempt,
            ready: true,
            created_at: now,
            ips: if config.host_network { Vec::new() } else { vec![address] },
            labels: config.labels,
            annotations: config.annotations,
            ..Sandbox::default()
        };
        self.sandboxes.insert(id.clone(), sandbox);
        id
    }

    pub(crate) fn stop_sandbox(&mut self, id: &str, now: Timestamp) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        sandbox.ready = false;
        let containers: Vec<String> = sandbox.containers.iter().map(|c| c.id.clone()).collect();
        containers.iter().for_each(|container| self.end(container, 137, now));
        self.tell(id);
    }

    pub(crate) fn remove_sandbox(&mut self, id: &str, now: Timestamp) {
        self.stop_sandbox(id, now);
        self.containers.retain(|_, (sandbox, _)| sandbox != id);
        self.sandboxes.remove(id);
        self.logs.remove(id);
    }

    pub(crate) fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        let missing = || RuntimeError::NotFound(format!("sandbox {sandbox:?}"));
        let found = self.sandboxes.get_mut(sandbox).ok_or_else(missing)?;
        let same = |known: &&Container| known.name == config.name && known.attempt == config.attempt;
        if let Some(known) = found.containers.iter().find(same) {
            return Ok(known.id.clone());
        }
        self.made += 1;
        let id = format!("function-{}", self.made);
        found.containers.push(Container {
            id: id.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            image: config.image.clone(),
            image_id: super::runtime::IMAGE_ID.into(),
            created_at: now,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            log_path: self.logs.get(sandbox).cloned().unwrap_or_default().join(&config.log_path),
            ..Container::default()
        });
        self.containers.insert(id.clone(), (sandbox.to_owned(), config));
        Ok(id)
    }

    /// The container ends with this code, unless it has ended already.
    pub(crate) fn end(&mut self, container: &str, exit_code: i32, now: Timestamp) {
        if let Some(running) = self.running.remove(container) {
            running.task.abort();
        }
        let Some(found) = self.find_mut(container) else { return };
        let ContainerState::Running { started_at, .. } = found.state else { return };
        let reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
        let signal = if exit_code > 128 { exit_code - 128 } else { 0 };
        found.state =
            ContainerState::Exited { started_at, finished_at: now, exit_code, signal, reason, message: String::new() };
        let sandbox = self.containers.get(container).map(|(sandbox, _)| sandbox.clone()).unwrap_or_default();
        self.tell(&sandbox);
    }

    pub(crate) fn remove_container(&mut self, container: &str, now: Timestamp) {
        self.end(container, 137, now);
        let Some((sandbox, _)) = self.containers.remove(container) else { return };
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.containers.retain(|known| known.id != container);
        }
    }

    pub(crate) fn find(&self, container: &str) -> Result<&Container, RuntimeError> {
        let sandbox = self.containers.get(container).and_then(|(sandbox, _)| self.sandboxes.get(sandbox));
        let found = sandbox.and_then(|sandbox| sandbox.containers.iter().find(|known| known.id == container));
        found.ok_or_else(|| RuntimeError::NotFound(format!("container {container:?}")))
    }

    pub(crate) fn find_mut(&mut self, container: &str) -> Option<&mut Container> {
        let sandbox = self.sandboxes.get_mut(&self.containers.get(container)?.0)?;
        sandbox.containers.iter_mut().find(|known| known.id == container)
    }

    pub(crate) fn tell(&mut self, sandbox: &str) {
        let Some(found) = self.sandboxes.get(sandbox) else { return };
        let event = RuntimeEvent { pod_uid: found.uid.clone(), sandbox: sandbox.to_owned() };
        self.listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}
