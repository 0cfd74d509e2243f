//! [`Zone`]: the names of a cluster. Synchronous; a look-up costs what its answer costs.

use crate::proxy::{Endpoint, Service, Slice};
use orch_api::Key;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The names of a cluster.
#[derive(Debug, Default)]
pub struct Zone {
    /// The cluster's domain, lower case, without a final dot.
    domain: String,
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, Slice>,
    slices_of: BTreeMap<Key, BTreeSet<Key>>,
    /// Cluster addresses, for reverse look-ups.
    addresses: BTreeMap<IpAddr, Key>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name is not in the cluster's domain.
    Elsewhere,
    /// There is no such name.
    NoSuchName,
    /// The name exists; these are its records, perhaps none of the type that was asked for.
    Found(Vec<Data>),
}

/// A record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// An address.
    Address(IpAddr),
    /// Another name for it.
    Alias(String),
    /// A port, and the name of the host that has it, with that name's address.
    Port(u16, String, IpAddr),
    /// The name of an address.
    Pointer(String),
}

impl Zone {
    /// An empty zone.
    pub fn new(domain: &str) -> Self {
        Self { domain: domain.trim_end_matches('.').to_ascii_lowercase(), ..Self::default() }
    }

    /// The cluster's domain, in lower case and without a final dot.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Adds or replaces a Service.
    pub fn set_service(&mut self, service: Service) {
        self.remove_service(&service.key);
        for address in service.cluster_ips.iter().filter_map(|ip| ip.parse().ok()) {
            self.addresses.insert(address, service.key.clone());
        }
        self.services.insert(service.key.clone(), service);
    }

    /// Forgets a Service.
    pub fn remove_service(&mut self, key: &Key) {
        if let Some(service) = self.services.remove(key) {
            for address in service.cluster_ips.iter().filter_map(|ip| ip.parse::<IpAddr>().ok()) {
                self.addresses.remove(&address);
            }
        }
    }

    /// Adds or replaces a slice.
    pub fn set_slice(&mut self, key: Key, slice: Slice) {
        self.remove_slice(&key);
        self.slices_of.entry(slice.service.clone()).or_default().insert(key.clone());
        self.slices.insert(key, slice);
    }

    /// Forgets a slice.
    pub fn remove_slice(&mut self, key: &Key) {
        if let Some(slice) = self.slices.remove(key)
            && let Some(keys) = self.slices_of.get_mut(&slice.service)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.slices_of.remove(&slice.service);
            }
        }
    }

    /// What a name stands for. Names are compared without regard to case; a final dot is optional.
    pub fn look_up(&self, name: &str) -> Answer {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = reverse(&name) {
            return match self.pointer(address) {
                Some(pointer) => Answer::Found(vec![Data::Pointer(pointer)]),
                None => Answer::Elsewhere,
            };
        }
        let Some(rest) = name.strip_suffix(&self.domain) else { return Answer::Elsewhere };
        if !rest.is_empty() && !rest.ends_with('.') {
            return Answer::Elsewhere;
        }
        let labels: Vec<&str> = rest.trim_end_matches('.').rsplit('.').collect();
        let found = match labels[..] {
            [""] | ["svc" | "pod"] => Some(Vec::new()),
            ["svc", namespace] => self.services.keys().any(|k| *k.namespace == *namespace).then(Vec::new),
            ["svc", namespace, service] => self.service(namespace, service),
            ["svc", namespace, service, host] => self.host(namespace, service, host),
            ["svc", namespace, service, proto, port] => self.port(namespace, service, proto, port),
            ["pod", _, dashed] => pod_address(dashed).map(|a| vec![Data::Address(a)]),
            _ => None,
        };
        found.map_or(Answer::NoSuchName, Answer::Found)
    }

    fn service(&self, namespace: &str, name: &str) -> Option<Vec<Data>> {
        let service = self.services.get(&Key::new(namespace, name))?;
        if &*service.kind == "ExternalName" {
            return Some(vec![Data::Alias(service.external_name.to_string())]);
        }
        if !service.is_headless() {
            return Some(service.cluster_ips.iter().filter_map(|ip| ip.parse().ok()).map(Data::Address).collect());
        }
        let addresses: BTreeSet<IpAddr> = self.published(service).filter_map(|(_, e)| e.address.parse().ok()).collect();
        // A headless Service without endpoints has no name (specification 2.4.1).
        (!addresses.is_empty()).then(|| addresses.into_iter().map(Data::Address).collect())
    }

    fn host(&self, namespace: &str, name: &str, host: &str) -> Option<Vec<Data>> {
        let service = self.services.get(&Key::new(namespace, name)).filter(|s| s.is_headless())?;
        let addresses: BTreeSet<IpAddr> = self
            .published(service)
            .filter(|(_, e)| *host_label(e) == *host)
            .filter_map(|(_, e)| e.address.parse().ok())
            .collect();
        (!addresses.is_empty()).then(|| addresses.into_iter().map(Data::Address).collect())
    }

    fn port(&self, namespace: &str, name: &str, proto: &str, port: &str) -> Option<Vec<Data>> {
        let (proto, port) = (proto.strip_prefix('_')?, port.strip_prefix('_')?);
        let service = self.services.get(&Key::new(namespace, name))?;
        let base = format!("{name}.{namespace}.svc.{}.", self.domain);
        let matches = |port_name: &str, protocol: &str| port_name == port && protocol.eq_ignore_ascii_case(proto);
        let records: Vec<Data> = if service.is_headless() {
            self.published(service)
                .flat_map(|(slice, e)| {
                    slice.ports.iter().map(move |(name, (protocol, number))| (name, protocol, number, e))
                })
                .filter(|(name, protocol, ..)| matches(name, protocol))
                .filter_map(|(_, _, number, e)| {
                    Some(Data::Port(*number, format!("{}.{base}", host_label(e)), e.address.parse().ok()?))
                })
                .collect()
        } else {
            let address = service.cluster_ips.iter().find_map(|ip| ip.parse().ok())?;
            let ports = service.ports.iter().filter(|p| matches(&p.name, &p.protocol));
            ports.map(|p| Data::Port(p.port, base.clone(), address)).collect()
        };
        (!records.is_empty()).then_some(records)
    }

    fn pointer(&self, address: IpAddr) -> Option<String> {
        let key = self.addresses.get(&address)?;
        Some(format!("{}.{}.svc.{}.", key.name, key.namespace, self.domain))
    }

    fn published(&self, service: &Service) -> impl Iterator<Item = (&Slice, &Endpoint)> {
        let all = service.publish_not_ready;
        let slices = self.slices_of.get(&service.key).into_iter().flatten().filter_map(|k| self.slices.get(k));
        slices.flat_map(move |s| s.endpoints.iter().filter(move |e| all || e.ready).map(move |e| (s, e)))
    }
}

/// An endpoint's own label: its host name, or its address with dashes.
fn host_label(endpoint: &Endpoint) -> Arc<str> {
    if endpoint.hostname.is_empty() {
        endpoint.address.replace(['.', ':'], "-").into()
    } else {
        endpoint.hostname.clone()
    }
}

fn pod_address(dashed: &str) -> Option<IpAddr> {
    let v4 = dashed.replace('-', ".").parse().ok().map(IpAddr::V4);
    v4.or_else(|| dashed.replace('-', ":").parse().ok().map(IpAddr::V6))
}

/// The address that a name such as `10.0.96.10.in-addr.arpa` asks about.
fn reverse(name: &str) -> Option<IpAddr> {
    let octets: Vec<u8> =
        name.strip_suffix(".in-addr.arpa")?.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [d, c, b, a] = octets[..] else { return None };
    Some(Ipv4Addr::new(a, b, c, d).into())
}
