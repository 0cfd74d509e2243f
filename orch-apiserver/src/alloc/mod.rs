//! Cluster IPs and node ports: what a Service gets when it is created or changes its type, and gives back
//! (`pkg/registry/core/service/storage/alloc.go`).

pub(crate) mod networks;
mod pool;
mod service;

use crate::core::{Call, json};
use orch_api::StatusError;
use orch_store::Chance;
use parking_lot::Mutex;
use pool::Pool;
use serde_json::Value;
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

/// The range of node ports.
pub const NODE_PORTS: std::ops::RangeInclusive<u32> = 30000..=32767;

/// An IPv4 network that cluster IPs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCidr {
    base: Ipv4Addr,
    prefix: u8,
}

impl Default for ServiceCidr {
    /// `10.96.0.0/16`
    fn default() -> Self {
        Self { base: Ipv4Addr::new(10, 96, 0, 0), prefix: 16 }
    }
}

impl ServiceCidr {
    /// Reads `10.96.0.0/16`; `None` unless it is an IPv4 network of /8 to /30.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
        (8..=30).contains(&prefix).then(|| {
            let mask = u32::MAX << (32 - u32::from(prefix));
            Self { base: Ipv4Addr::from(u32::from(base) & mask), prefix }
        })
    }

    /// The first usable address: that of the `kubernetes` Service.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + 1)
    }

    fn usable(self) -> std::ops::RangeInclusive<u32> {
        let base = u32::from(self.base);
        let size = 1_u32 << (32 - u32::from(self.prefix));
        base + 1..=base + size - 2
    }
}

impl std::fmt::Display for ServiceCidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// What Services hold. Cheap to clone: clones share.
#[derive(Clone)]
pub struct ServiceAllocators(Arc<Shared>);

struct Shared {
    cidr: ServiceCidr,
    chance: Chance,
    pools: Mutex<Pools>,
}

struct Pools {
    /// Those of ServiceCIDRs that are ready, by name.
    networks: BTreeMap<Arc<str>, Vec<ServiceCidr>>,
    ips: Pool,
    ports: Pool,
}

/// Something that a Service holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Ip(Ipv4Addr),
    Port(u32),
}

/// What a write took and will let go of. Unless it is kept, what was taken goes back.
pub(crate) struct Held {
    owner: ServiceAllocators,
    taken: Vec<Claim>,
    dropped: Vec<Claim>,
}

impl Held {
    /// The write has happened: what it took stays taken, what it let go of is free.
    pub(crate) fn keep(&mut self) {
        self.taken.clear();
        let dropped = std::mem::take(&mut self.dropped);
        self.owner.give_back(&dropped);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.owner.give_back(&self.taken);
    }
}

impl ServiceAllocators {
    /// Nothing taken yet.
    pub fn new(cidr: ServiceCidr, chance: Chance) -> Self {
        let pools = Pools { networks: BTreeMap::new(), ips: Pool::new(cidr.usable()), ports: Pool::new(NODE_PORTS) };
        Self(Arc::new(Shared { cidr, chance, pools: Mutex::new(pools) }))
    }

    /// The network of the cluster IPs.
    pub fn cidr(&self) -> ServiceCidr {
        self.0.cidr
    }

    /// Takes what an existing Service holds: once for each at the start.
    pub fn restore(&self, service: &Value) {
        let mut pools = self.0.pools.lock();
        for claim in service::claims(service) {
            match claim {
                Claim::Ip(ip) => pools.ips.restore(ip.into()),
                Claim::Port(port) => pools.ports.restore(port),
            };
        }
    }

    /// Completes a new Service; anything else is left alone.
    pub(crate) fn begin_create(&self, call: &Call, object: &mut Value) -> Result<Held, StatusError> {
        let mut held = self.hold();
        if is_service(call) {
            self.complete(&mut held, object, &[])?;
        }
        Ok(held)
    }

    /// Completes a changed Service and notes what it no longer needs.
    pub(crate) fn begin_update(&self, call: &Call, old: &Value, new: &mut Value) -> Result<Held, StatusError> {
        let mut held = self.hold();
        if is_service(call) && call.subresource.is_none() {
            let before = service::claims(old);
            self.complete(&mut held, new, &before)?;
            let after = service::claims(new);
            held.dropped = before.into_iter().filter(|claim| !after.contains(claim)).collect();
        }
        Ok(held)
    }

    /// A Service is gone: what it held is free.
    pub(crate) fn released(&self, call: &Call, old: &Value) {
        if is_service(call) {
            self.give_back(&service::claims(old));
        }
    }

    fn hold(&self) -> Held {
        Held { owner: self.clone(), taken: Vec::new(), dropped: Vec::new() }
    }

    fn give_back(&self, claims: &[Claim]) {
        if claims.is_empty() {
            return;
        }
        let mut pools = self.0.pools.lock();
        for claim in claims {
            match *claim {
                Claim::Ip(ip) => pools.ips.give_back(ip.into()),
                Claim::Port(port) => pools.ports.give_back(port),
            }
        }
    }
}

fn is_service(call: &Call) -> bool {
    call.kind.group.is_empty() && call.kind.plural == "services"
}

fn needs_ip(service: &Value) -> bool {
    json::text(service, &["spec", "type"]) != "ExternalName" && json::text(service, &["spec", "clusterIP"]) != "None"
}
