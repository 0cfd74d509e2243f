//! What the simulated runtime remembers.

use super::rules::{ContainerRules, Rules, Trouble};
use jiff::Timestamp;
use orch_runtime::node::container::{
    Container, ContainerConfig, ContainerState, Image, RuntimeError, RuntimeEvent, Sandbox, SandboxConfig,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::sync::mpsc;

pub(super) struct State {
    pub(super) sandboxes: BTreeMap<String, Sandbox>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) trouble: Trouble,
    /// Container id to its sandbox and rules.
    index: BTreeMap<String, (String, ContainerRules)>,
    addresses: BTreeMap<IpAddr, String>,
    logs: BTreeMap<String, std::path::PathBuf>,
    listeners: Vec<mpsc::UnboundedSender<RuntimeEvent>>,
    network: Ipv4Addr,
    next_address: u32,
    next_id: u64,
}

/// An end that will come.
pub(super) struct Timed {
    pub(super) after: Duration,
    pub(super) exit_code: i32,
    pub(super) reason: String,
}

impl State {
    pub(super) fn new(network: Ipv4Addr) -> Self {
        Self {
            sandboxes: BTreeMap::new(),
            images: BTreeMap::new(),
            trouble: Trouble::default(),
            index: BTreeMap::new(),
            addresses: BTreeMap::new(),
            logs: BTreeMap::new(),
            listeners: Vec::new(),
            network,
            next_address: 1,
            next_id: 0,
        }
    }

    pub(super) fn subscribe(&mut self) -> mpsc::UnboundedReceiver<RuntimeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.push(sender);
        receiver
    }

    pub(super) fn run_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> String {
        let same = |s: &&Sandbox| s.uid == config.uid && s.attempt == config.attempt;
        if let Some(known) = self.sandboxes.values().find(same) {
            return known.id.clone();
        }
        let id = self.id(&config.uid);
        let mut ips = Vec::new();
        if !config.host_network {
            self.next_address += 1;
            let ip = IpAddr::V4(Ipv4Addr::from_bits(self.network.to_bits().wrapping_add(self.next_address)));
            self.addresses.insert(ip, id.clone());
            ips.push(ip);
        }
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
            pid: 0,
            labels: config.labels,
            annotations: config.annotations,
            containers: Vec::new(),
        };
        self.sandboxes.insert(id.clone(), sandbox);
        id
    }

    pub(super) fn stop_sandbox(&mut self, id: &str, now: Timestamp) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        for container in &mut sandbox.containers {
            if let ContainerState::Running { started_at, .. } = container.state {
                container.state = exited(started_at, now, 137, "");
            }
        }
        let was_ready = std::mem::replace(&mut sandbox.ready, false);
        sandbox.ips.iter().for_each(|ip| drop(self.addresses.remove(ip)));
        if was_ready {
            self.tell(id);
        }
    }

    pub(super) fn remove_sandbox(&mut self, id: &str, now: Timestamp) {
        self.stop_sandbox(id, now);
        self.tell(id);
        self.logs.remove(id);
        if let Some(sandbox) = self.sandboxes.remove(id) {
            sandbox.containers.iter().for_each(|c| drop(self.index.remove(&c.id)));
        }
    }

    pub(super) fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        let missing = || RuntimeError::NotFound(format!("sandbox {sandbox:?}"));
        let found = self.sandboxes.get(sandbox).ok_or_else(missing)?;
        if !found.ready {
            return Err(RuntimeError::Create(format!("sandbox {sandbox} is not ready")));
        }
        let same = |c: &&Container| c.name == config.name && c.attempt == config.attempt;
        if let Some(known) = found.containers.iter().find(same) {
            return Ok(known.id.clone());
        }
        let rules = rules.of(&found.annotations, &config.name);
        let id = self.id(&format!("{}/{}", found.uid, config.name));
        let image_id = self.images.get(&config.image).and_then(|i| i.digests.first().cloned()).unwrap_or_default();
        let container = Container {
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
        };
        self.index.insert(id.clone(), (sandbox.to_owned(), rules));
        if let Some(sandbox) = self.sandboxes.get_mut(sandbox) {
            sandbox.containers.push(container);
        }
        Ok(id)
    }

    pub(super) fn start(&mut self, id: &str, now: Timestamp) -> Result<(), RuntimeError> {
        let rules = self.rules(id)?;
        let why = self.trouble.starts.clone();
        let container = self.container_mut(id)?;
        if container.state != ContainerState::Created {
            return Ok(());
        }
        let result = match rules.start_error.or(why) {
            Some(why) => {
                container.state = exited(now, now, 128, "ContainerCannotRun");
                Err(RuntimeError::Start(why))
            }
            None => {
                container.state = ContainerState::Running { started_at: now, pid: 0 };
                Ok(())
            }
        };
        self.tell_of(id);
        result
    }

    pub(super) fn exit(&mut self, id: &str, exit_code: i32, now: Timestamp) -> bool {
        self.exit_as(id, exit_code, "", now)
    }

    pub(super) fn exit_as(&mut self, id: &str, exit_code: i32, reason: &str, now: Timestamp) -> bool {
        let Ok(container) = self.container_mut(id) else { return false };
        let ContainerState::Running { started_at, .. } = container.state else { return false };
        container.state = exited(started_at, now, exit_code, reason);
        self.tell_of(id);
        true
    }

    pub(super) fn remove_container(&mut self, id: &str) {
        let Some((sandbox, _)) = self.index.remove(id) else { return };
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.containers.retain(|c| c.id != id);
        }
    }

    /// The containers that run, in the order of their ids.
    pub(super) fn running(&self) -> Vec<String> {
        let all = self.sandboxes.values().flat_map(|s| &s.containers);
        let running = all.filter(|c| matches!(c.state, ContainerState::Running { .. }));
        let mut ids: Vec<String> = running.map(|c| c.id.clone()).collect();
        ids.sort();
        ids
    }

    pub(super) fn rules(&self, id: &str) -> Result<ContainerRules, RuntimeError> {
        self.index.get(id).map(|(_, rules)| rules.clone()).ok_or_else(|| not_found(id))
    }

    pub(super) fn container(&self, id: &str) -> Result<&Container, RuntimeError> {
        let sandbox = self.index.get(id).and_then(|(sandbox, _)| self.sandboxes.get(sandbox));
        sandbox.and_then(|s| s.containers.iter().find(|c| c.id == id)).ok_or_else(|| not_found(id))
    }

    pub(super) fn healthy(&self, id: &str, now: Timestamp) -> Result<(), String> {
        let container = self.container(id).map_err(|e| e.to_string())?;
        let rules = self.rules(id).map_err(|e| e.to_string())?;
        let ContainerState::Running { started_at, .. } = container.state else {
            return Err("connect: connection refused".into());
        };
        let age = Duration::try_from(now.duration_since(started_at)).unwrap_or_default();
        let flipped = rules
            .flip_every
            .filter(|period| !period.is_zero())
            .is_some_and(|period| (age.as_millis() / period.as_millis().max(1)) % 2 == 1);
        let ended = rules.unhealthy_after.is_some_and(|end| age >= end);
        if age < rules.ready_after || ended || flipped || self.trouble.probes {
            return Err("connect: connection refused".into());
        }
        Ok(())
    }

    /// Whether every running container at that address is healthy.
    pub(super) fn healthy_at(&self, ip: IpAddr, now: Timestamp) -> Result<(), String> {
        let sandbox = self.addresses.get(&ip).and_then(|id| self.sandboxes.get(id));
        let sandbox = sandbox.ok_or_else(|| format!("dial tcp {ip}: connect: no route to host"))?;
        let mut running = sandbox.containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. }));
        running.try_for_each(|c| self.healthy(&c.id, now))
    }

    fn container_mut(&mut self, id: &str) -> Result<&mut Container, RuntimeError> {
        let sandbox = self.index.get(id).and_then(|(sandbox, _)| self.sandboxes.get_mut(sandbox));
        sandbox.and_then(|s| s.containers.iter_mut().find(|c| c.id == id)).ok_or_else(|| not_found(id))
    }

    fn tell_of(&mut self, container: &str) {
        if let Some((sandbox, _)) = self.index.get(container).cloned() {
            self.tell(&sandbox);
        }
    }

    fn tell(&mut self, sandbox: &str) {
        let Some(found) = self.sandboxes.get(sandbox) else { return };
        let event = RuntimeEvent { pod_uid: found.uid.clone(), sandbox: sandbox.to_owned() };
        self.listeners.retain(|l| l.send(event.clone()).is_ok());
    }

    /// Ids follow from the order of the calls.
    fn id(&mut self, of: &str) -> String {
        use sha2::{Digest, Sha256};
        self.next_id += 1;
        let digest = Sha256::digest(format!("{}/{of}/{}", self.network, self.next_id).as_bytes());
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn exited(started_at: Timestamp, finished_at: Timestamp, exit_code: i32, reason: &str) -> ContainerState {
    let signal = if exit_code == 137 { 9 } else { 0 };
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
