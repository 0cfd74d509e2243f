//! From a Service to its IPAddresses (`syncService`).

use super::{ALLOCATOR, FAMILY, MANAGED_BY, cluster_ips, family, has, is_managed, label, parent};
use crate::service_cidr::networks;
use k8s_openapi::{
    api::{
        core::v1::Service,
        networking::v1::{IPAddress, IPAddressSpec, ParentReference, ServiceCIDR},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Error, Plan, View, plan::Notice};
use orch_store::{Client, ClientExt};
use std::{net::IpAddr, sync::Arc};

/// A Service and its addresses.
pub struct ServiceWorld {
    service: Arc<Service>,
    /// In the order of its cluster IPs; `None` is one that is no address.
    addresses: Vec<Option<Address>>,
}

/// A cluster IP.
struct Address {
    ip: IpAddr,
    state: State,
}

/// What is known of it.
enum State {
    /// No network has it.
    OutOfRange,
    /// No IPAddress says whose it is.
    Missing,
    /// The IPAddress names this Service.
    Own(Arc<IPAddress>),
    /// It names something else that is not a Service, or is gone.
    Wrong(Arc<IPAddress>),
    /// It names another Service, which has the address too.
    Shared,
    /// It names another Service, which does not have it: the address's own turn says so and deletes it.
    Misplaced(Arc<IPAddress>),
    /// The caches do not tell yet what is there: they will.
    Later,
}

impl ServiceWorld {
    pub(super) fn observe(key: &Key, view: &View<'_>) -> Option<Self> {
        // One that is being deleted as well: what waits for finalizers has its addresses until it goes.
        let service: Arc<Service> = view.get(key)?;
        let all = view.list::<ServiceCIDR>("");
        let networks: Vec<_> = all.iter().flat_map(|cidr| networks(cidr)).collect();
        let address = |ip: &String| {
            let ip: IpAddr = ip.parse().ok()?;
            let state = match view.get::<IPAddress>(&Key::cluster(ip.to_string())) {
                _ if !networks.iter().any(|network| network.gives(ip)) => State::OutOfRange,
                None => State::Missing,
                Some(address) => State::of(address, key, |other| view.get::<Service>(other)),
            };
            Some(Address { ip, state })
        };
        let addresses: Vec<Option<Address>> = cluster_ips(&service).iter().map(address).collect();
        (!addresses.is_empty()).then_some(Self { service, addresses })
    }

    /// Asks for what is not there: the caches tell of a Service and of its addresses one after the other.
    pub(super) async fn gather(mut self, client: &dyn Client) -> Result<Self, Error> {
        let is_missing = |address: &Option<Address>| matches!(address, Some(Address { state: State::Missing, .. }));
        if !self.addresses.iter().any(is_missing) {
            return Ok(self);
        }
        let key = self.service.key();
        let live = client.find::<Service>(&key).await?;
        let Some(live) = live.filter(|live| live.uid() == self.service.uid()) else {
            self.addresses.clear();
            return Ok(self);
        };
        for place in self.addresses.iter_mut().filter(|address| is_missing(address)) {
            let Some(address) = place else { continue };
            let name = Key::cluster(address.ip.to_string());
            match client.find::<IPAddress>(&name).await? {
                None if has(&live, &name) => {}
                Some(found) if parent(&found).as_ref() == Some(&key) => address.state = State::Own(found),
                _ => address.state = State::Later,
            }
        }
        self.service = live;
        Ok(self)
    }

    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let service = &*self.service;
        for address in &self.addresses {
            match address {
                None => {
                    let words = "Cluster IP <nil> is not a valid IP; please recreate Service";
                    plan.event(Notice::warning(service, "ClusterIPNotValid", words));
                }
                Some(address) => address.plan(service, &mut plan),
            }
        }
        plan
    }
}

impl State {
    fn of(address: Arc<IPAddress>, own: &Key, service: impl Fn(&Key) -> Option<Arc<Service>>) -> Self {
        match parent(&address) {
            Some(parent) if parent == *own => Self::Own(address),
            Some(parent) => match service(&parent) {
                Some(other) if has(&other, &address.key()) => Self::Shared,
                Some(_) => Self::Misplaced(address),
                None => Self::Wrong(address),
            },
            None => Self::Wrong(address),
        }
    }
}

impl Address {
    fn plan(&self, service: &Service, plan: &mut Plan) {
        let (ip, family) = (self.ip, family(self.ip));
        let mut warn = |reason: &str, words: String| plan.event(Notice::warning(service, reason, words));
        match &self.state {
            State::OutOfRange => warn(
                "ClusterIPOutOfRange",
                format!(
                    "Cluster IP [{family}]: {ip} is not within any configured Service CIDR; please recreate service"
                ),
            ),
            State::Missing => {
                warn("ClusterIPNotAllocated", format!("Cluster IP [{family}]: {ip} is not allocated; repairing"));
                plan.ensure(&new(service, ip));
            }
            State::Wrong(address) => {
                let Key { namespace, name } = service.key();
                let words = format!(
                    "the ClusterIP [{family}]: {ip} for Service {namespace}/{name} has a wrong reference; repairing"
                );
                warn("ClusterIPNotAllocated", words);
                renew(service, ip, address, plan);
            }
            // Upstream goes on to the labels, and would give it to this Service for one that is missing.
            State::Shared => warn(
                "ClusterIPAlreadyAllocated",
                format!("Cluster IP [{family}]:{ip} was assigned to multiple services; please recreate service"),
            ),
            State::Own(address) | State::Misplaced(address) if !is_labelled(address, ip) => {
                renew(service, ip, address, plan);
            }
            State::Own(_) | State::Misplaced(_) | State::Later => {}
        }
    }
}

fn is_labelled(address: &IPAddress, ip: IpAddr) -> bool {
    label(address, FAMILY) == Some(family(ip)) && is_managed(address)
}

fn renew(service: &Service, ip: IpAddr, old: &IPAddress, plan: &mut Plan) {
    plan.delete(old);
    plan.ensure(&new(service, ip));
}

pub(super) fn new(service: &Service, ip: IpAddr) -> IPAddress {
    let Key { namespace, name } = service.key();
    let parent_ref = ParentReference {
        group: Some(String::new()),
        resource: "services".into(),
        namespace: Some(namespace.to_string()),
        name: name.to_string(),
    };
    let labels = [(FAMILY, family(ip)), (MANAGED_BY, ALLOCATOR)];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let metadata = ObjectMeta { name: Some(ip.to_string()), labels: Some(labels), ..ObjectMeta::default() };
    IPAddress { metadata, spec: IPAddressSpec { parent_ref } }
}
