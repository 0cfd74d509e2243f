//! `service-ip-repair`: finds Services and IPAddresses that do not belong together, says so, and repairs what can be (KEP-1880,
//! `pkg/registry/core/service/ipallocator/controller/repairip.go`).
//!
//! The API server writes a Service and its IPAddresses in one commit, so in a cluster of its own this loop has nothing to do. It
//! is for what people do: an IPAddress that is deleted or made by hand, a network that goes, a Service of a restored backup.
//! A key is that of a Service, or, without a namespace, that of an IPAddress.

mod address;
mod service;
#[cfg(test)]
mod tests;

use crate::service_cidr::{ALLOCATOR, MANAGED_BY};
use address::AddressWorld;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::Service,
    networking::v1::{IPAddress, ServiceCIDR},
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Error, Plan, View, Watches};
use orch_store::{Client, Stored, informer::Delta};
use service::ServiceWorld;
use std::{net::IpAddr, sync::Arc};

/// Repairs what Services and IPAddresses say of each other.
pub struct ServiceIps;

/// A Service with its addresses, or an address with its Service.
pub enum World {
    /// A Service that has cluster IPs.
    Service(ServiceWorld),
    /// An IPAddress of the allocator's.
    Address(AddressWorld),
}

const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
/// The index of Services by their cluster IPs.
const HELD: &str = "cluster-ip";

impl Controller for ServiceIps {
    const NAME: &'static str = "service-ip-repair";
    const ABOUT: &'static str = "Repairs Services and IPAddresses that do not belong together.";
    const COMPONENT: &'static str = "ipallocator-repair-controller";
    const DELETES: Deletes = Deletes::Others("IPAddresses that no Service has");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>()
            .index(HELD, |stored| stored.decode::<Service>().map(|service| names(&service)).unwrap_or_default())
            .maps::<IPAddress>(concerned)
            .maps::<ServiceCIDR>(|_, view| {
                view.list_stored(&Service::gvr(), "").iter().map(|s| s.key.clone()).collect()
            })
            .only(networks_changed)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        match key.namespace.is_empty() {
            true => AddressWorld::observe(key, view).map(World::Address),
            false => ServiceWorld::observe(key, view).map(World::Service),
        }
    }

    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            Ok(match world {
                World::Service(world) => World::Service(world.gather(client).await?),
                World::Address(world) => World::Address(world.gather(client).await?),
            })
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        match world {
            World::Service(world) => world.plan(),
            World::Address(world) => world.plan(now),
        }
    }
}

/// The cluster IPs of a Service as it writes them; none if it needs none.
fn cluster_ips(service: &Service) -> &[String] {
    let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"));
    let ips = spec.and_then(|spec| spec.cluster_ips.as_deref()).unwrap_or_default();
    if ips.first().is_none_or(|ip| ip.is_empty() || ip == "None") { &[] } else { ips }
}

/// The names of the IPAddresses that a Service should have.
fn names(service: &Service) -> Vec<Arc<str>> {
    cluster_ips(service).iter().filter_map(|ip| Some(ip.parse::<IpAddr>().ok()?.to_string().into())).collect()
}

fn has(service: &Service, address: &Key) -> bool {
    names(service).contains(&address.name)
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { "IPv6" } else { "IPv4" }
}

/// The Service that an address names.
fn parent(address: &IPAddress) -> Option<Key> {
    let parent = &address.spec.parent_ref;
    let is_service = parent.group.as_deref().unwrap_or_default().is_empty() && parent.resource == "services";
    is_service.then(|| Key::new(parent.namespace.as_deref().unwrap_or_default(), parent.name.as_str()))
}

/// The address itself, the Services that have it, and those that it names or named.
fn concerned(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let states: Vec<&Arc<Stored>> = delta.old.iter().chain(&delta.new).collect();
    let addresses = states.iter().filter_map(|stored| stored.decode::<IPAddress>().ok());
    let mut keys: Vec<Key> = addresses.filter_map(|address| parent(&address)).collect();
    for stored in states {
        let holders = view.by_index::<Service>(HELD, &stored.key.name);
        keys.extend(holders.iter().map(|service| service.key()));
        keys.push(stored.key.clone());
    }
    keys.sort();
    keys.dedup();
    keys
}

/// Whether a ServiceCIDR is new, or gone, or has other networks.
fn networks_changed(delta: &Delta) -> bool {
    let networks = |stored: &Option<Arc<Stored>>| {
        let cidr = stored.as_ref().and_then(|stored| stored.decode::<ServiceCIDR>().ok())?;
        cidr.spec.as_ref()?.cidrs.clone()
    };
    networks(&delta.old) != networks(&delta.new)
}

/// Whether the allocator keeps an address.
fn is_managed(address: &IPAddress) -> bool {
    label(address, MANAGED_BY) == Some(ALLOCATOR)
}

fn label<'a>(address: &'a IPAddress, name: &str) -> Option<&'a str> {
    address.metadata.labels.as_ref()?.get(name).map(String::as_str)
}
