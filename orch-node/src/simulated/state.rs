//! What the simulated runtime remembers.

use super::rules::{ContainerRules, Rules, Trouble};
use crate::book::{Book, exited};
use jiff::Timestamp;
use orch_runtime::node::container::{ContainerConfig, ContainerState, Image, RuntimeError, SandboxConfig};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

pub(super) struct State {
    /// The containers with their rules.
    pub(super) book: Book<ContainerRules>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) trouble: Trouble,
    addresses: BTreeMap<IpAddr, String>,
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
            book: Book::default(),
            images: BTreeMap::new(),
            trouble: Trouble::default(),
            addresses: BTreeMap::new(),
            network,
            next_address: 1,
            next_id: 0,
        }
    }

    pub(super) fn run_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> String {
        let Self { book, addresses, network, next_address, next_id, .. } = self;
        book.run_sandbox(config, now, |config| {
            let id = id(*network, next_id, &config.uid);
            if config.host_network {
                return (id, Vec::new());
            }
            *next_address += 1;
            let ip = IpAddr::V4(Ipv4Addr::from_bits(network.to_bits().wrapping_add(*next_address)));
            addresses.insert(ip, id.clone());
            (id, vec![ip])
        })
    }

    pub(super) fn stop_sandbox(&mut self, id: &str, now: Timestamp) {
        self.forget_addresses(id);
        self.book.stop_sandbox(id, now);
    }

    pub(super) fn remove_sandbox(&mut self, id: &str, now: Timestamp) {
        self.forget_addresses(id);
        self.book.remove_sandbox(id, now);
    }

    fn forget_addresses(&mut self, sandbox: &str) {
        let ips = self.book.sandbox(sandbox).map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        ips.iter().for_each(|ip| drop(self.addresses.remove(ip)));
    }

    pub(super) fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        let Self { book, images, network, next_id, .. } = self;
        book.create(sandbox, config, now, |sandbox, config| {
            let id = id(*network, next_id, &format!("{}/{}", sandbox.uid, config.name));
            let image_id = images.get(&config.image).and_then(|i| i.digests.first().cloned()).unwrap_or_default();
            (id, image_id, rules.of(&sandbox.annotations, &config.name))
        })
    }

    pub(super) fn start(&mut self, id: &str, now: Timestamp) -> Result<(), RuntimeError> {
        let (container, rules) = self.book.container(id)?;
        if container.state != ContainerState::Created {
            return Ok(());
        }
        match rules.start_error.clone().or_else(|| self.trouble.starts.clone()) {
            Some(why) => {
                self.book.set(id, exited(now, now, 128, "ContainerCannotRun"))?;
                Err(RuntimeError::Start(why))
            }
            None => self.book.set(id, ContainerState::Running { started_at: now, pid: 0 }),
        }
    }

    /// The containers that run, in the order of their ids.
    pub(super) fn running(&self) -> Vec<String> {
        let all = self.book.sandboxes().flat_map(|s| &s.containers);
        let running = all.filter(|c| matches!(c.state, ContainerState::Running { .. }));
        let mut ids: Vec<String> = running.map(|c| c.id.clone()).collect();
        ids.sort();
        ids
    }

    pub(super) fn rules(&self, id: &str) -> Result<ContainerRules, RuntimeError> {
        self.book.container(id).map(|(_, rules)| rules.clone())
    }

    pub(super) fn healthy(&self, id: &str, now: Timestamp) -> Result<(), String> {
        let (container, rules) = self.book.container(id).map_err(|e| e.to_string())?;
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
        let sandbox = self.addresses.get(&ip).and_then(|id| self.book.sandbox(id).ok());
        let sandbox = sandbox.ok_or_else(|| format!("dial tcp {ip}: connect: no route to host"))?;
        let mut running = sandbox.containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. }));
        running.try_for_each(|c| self.healthy(&c.id, now))
    }
}

/// Ids follow from the order of the calls.
fn id(network: Ipv4Addr, count: &mut u64, of: &str) -> String {
    use sha2::{Digest, Sha256};
    *count += 1;
    let digest = Sha256::digest(format!("{network}/{of}/{count}").as_bytes());
    digest.iter().map(|b| format!("{b:02x}")).collect()
}
