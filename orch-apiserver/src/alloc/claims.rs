//! [`Claims`]: what a Service takes and lets go of, as writes for the commit of its own write.
//!
//! Each address is an IPAddress and each node port an entry of its own, and both are made on condition that they are not there.
//! So the store decides who has one, however many servers ask; and since they stand or fall with the Service, none is ever
//! without the other.

use super::{
    network::{Band, Family, draw},
    networks::Networks,
};
use crate::core::{delete, encode, json, meta, storage};
use jiff::Timestamp;
use orch_api::{Key, Kind, StatusError};
use orch_store::{
    Chance, Stored,
    backend::{Condition, Durability, Write},
    cache::Snapshot,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

/// The range of node ports.
pub const NODE_PORTS: std::ops::RangeInclusive<u32> = 30000..=32767;
/// Where the store keeps who has which node port. Upstream keeps a bitmap of all under one key there; one key for each port
/// lets servers that take different ports go on without each other.
pub(super) const PORTS: &str = "/registry/ranges/servicenodeports/";

/// What is taken, as of a moment.
pub(super) struct View {
    pub(super) networks: Arc<Networks>,
    pub(super) kind: Arc<Kind>,
    pub(super) addresses: Snapshot,
    pub(super) ports: Snapshot,
}

/// What one Service takes and lets go of.
pub(super) struct Claims<'a> {
    view: &'a View,
    service: &'a Key,
    chance: &'a Chance,
    now: Timestamp,
    /// Taken by this very write.
    ips: BTreeSet<IpAddr>,
    ports: BTreeSet<u32>,
    /// Let go of by it.
    dropped_ports: BTreeSet<u32>,
    writes: Vec<Write>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(view: &'a View, service: &'a Key, chance: &'a Chance, now: Timestamp) -> Self {
        let (ips, ports) = Default::default();
        Self { view, service, chance, now, ips, ports, dropped_ports: BTreeSet::new(), writes: Vec::new() }
    }

    /// The writes that belong into the commit of the Service.
    pub(super) fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// Takes this address, or says why not.
    pub(super) fn take_ip(&mut self, ip: IpAddr) -> Result<Result<(), &'static str>, StatusError> {
        if !self.view.networks.give(ip) {
            return Ok(Err("the provided network does not match the current range"));
        }
        if !self.is_free_ip(ip) {
            return Ok(Err("provided IP is already allocated"));
        }
        self.claim_ip(ip).map(Ok)
    }

    /// Takes any address of a family; `None` when none is left.
    pub(super) fn draw_ip(&mut self, family: Family) -> Result<Option<IpAddr>, StatusError> {
        let drawn = self.view.networks.draw(family, self.chance, |ip| self.is_free_ip(ip));
        if let Some(ip) = drawn {
            self.claim_ip(ip)?;
        }
        Ok(drawn)
    }

    /// Takes an address that the Service has, if nobody says that it is his.
    pub(super) fn keep_ip(&mut self, ip: IpAddr) -> Result<(), StatusError> {
        if self.is_free_ip(ip) { self.claim_ip(ip) } else { Ok(()) }
    }

    /// Lets go of an address, if it is the Service's.
    pub(super) fn drop_ip(&mut self, ip: IpAddr) -> Result<(), StatusError> {
        let key = Key::cluster(ip.to_string());
        let Some(stored) = self.view.addresses.get(&key) else { return Ok(()) };
        let mut address: Value = stored.parse()?;
        if parent(&address).as_ref() != Some(self.service) {
            return Ok(());
        }
        let value = match json::items(&address, &["metadata", "finalizers"]).is_empty() {
            true => None,
            false => {
                delete::mark(&mut address, self.now);
                Some(encode::encode(&address)?)
            }
        };
        self.write(storage::path(&self.view.kind, &key), Condition::At(stored.revision), value);
        Ok(())
    }

    /// Takes this node port, or says why not.
    pub(super) fn take_port(&mut self, port: u32) -> Result<Result<(), String>, StatusError> {
        if !NODE_PORTS.contains(&port) {
            let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
            return Ok(Err(format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            )));
        }
        if !self.is_free_port(port) {
            return Ok(Err("provided port is already allocated".into()));
        }
        self.claim_port(port).map(Ok)
    }

    /// Takes any node port; `None` when none is left.
    pub(super) fn draw_port(&mut self) -> Result<Option<u32>, StatusError> {
        let (first, last) = (u128::from(*NODE_PORTS.start()), u128::from(*NODE_PORTS.end()));
        let band = Band { most: 128, step: 32, size: last - first + 1 };
        let port = |number| u32::try_from(number).unwrap_or_default();
        let drawn = draw(first..=last, band, self.chance, |number| self.is_free_port(port(number))).map(port);
        if let Some(port) = drawn {
            self.claim_port(port)?;
        }
        Ok(drawn)
    }

    /// Takes a node port that the Service has, if nobody says that it is his.
    pub(super) fn keep_port(&mut self, port: u32) -> Result<(), StatusError> {
        if self.is_free_port(port) { self.claim_port(port) } else { Ok(()) }
    }

    /// Lets go of a node port, if it is the Service's.
    pub(super) fn drop_port(&mut self, port: u32) {
        let Some(stored) = self.view.ports.get(&Key::cluster(port.to_string())) else { return };
        if holder(stored).as_ref() == Some(self.service) && self.dropped_ports.insert(port) {
            self.write(format!("{PORTS}{port}"), Condition::At(stored.revision), None);
        }
    }

    fn is_free_ip(&self, ip: IpAddr) -> bool {
        !self.ips.contains(&ip) && self.view.addresses.get(&Key::cluster(ip.to_string())).is_none()
    }

    fn is_free_port(&self, port: u32) -> bool {
        !self.ports.contains(&port) && self.view.ports.get(&Key::cluster(port.to_string())).is_none()
    }

    fn claim_ip(&mut self, ip: IpAddr) -> Result<(), StatusError> {
        self.ips.insert(ip);
        let Key { namespace, name } = self.service;
        let mut address = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": ip.to_string(), "labels": {
                "ipaddress.kubernetes.io/ip-family": Family::of(ip).as_str(),
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            }},
            "spec": {"parentRef": {"group": "", "resource": "services", "namespace": namespace, "name": name}},
        });
        meta::fill(&mut address, self.now, self.chance);
        let path = storage::path(&self.view.kind, &Key::cluster(ip.to_string()));
        self.write(path, Condition::Absent, Some(encode::encode(&address)?));
        Ok(())
    }

    fn claim_port(&mut self, port: u32) -> Result<(), StatusError> {
        self.ports.insert(port);
        let Key { namespace, name } = self.service;
        let mut entry = json!({
            "apiVersion": "v1",
            "kind": "RangeAllocation",
            "metadata": {"name": port.to_string()},
            "range": format!("{port}-{port}"),
            "service": {"namespace": namespace, "name": name},
        });
        meta::fill(&mut entry, self.now, self.chance);
        self.write(format!("{PORTS}{port}"), Condition::Absent, Some(encode::encode(&entry)?));
        Ok(())
    }

    fn write(&mut self, key: String, condition: Condition, value: Option<orch_store::backend::Value>) {
        self.writes.push(Write { key: key.into(), condition, value, durability: Durability::Synced });
    }
}

/// The Service that an IPAddress is of.
fn parent(address: &Value) -> Option<Key> {
    let text = |field| json::text(address, &["spec", "parentRef", field]);
    (text("group").is_empty() && text("resource") == "services").then(|| Key::new(text("namespace"), text("name")))
}

/// The Service that has a node port.
pub(super) fn holder(entry: &Stored) -> Option<Key> {
    let value: Value = entry.parse().ok()?;
    let text = |field| json::text(&value, &["service", field]);
    Some(Key::new(text("namespace"), text("name")))
}
