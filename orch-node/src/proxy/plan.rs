//! [`plan`]: from Services and slices to rules.

use super::model::{Endpoint, Service, Slice};
use orch_api::Key;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

/// Where connections arrive, and what becomes of them.
pub type Ruleset = BTreeMap<Front, Rule>;

/// An address and port at which a Service is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Front {
    /// The address; `None` for every address of the node (a node port).
    pub address: Option<IpAddr>,
    /// Transport.
    pub proto: Proto,
    /// Port number.
    pub port: u16,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Proto {
    Tcp,
    Udp,
    Sctp,
}

/// What becomes of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// One of these gets each connection; when there is none it is refused.
    pub backends: BTreeSet<Backend>,
    /// Whether the address of a client that is no pod of this node is replaced by the node's, so that answers of
    /// pods elsewhere come back this way.
    pub masquerade: bool,
    /// Seconds for which a client stays with its backend.
    pub affinity_seconds: Option<i32>,
    /// Whether connections are dropped rather than refused when there is no backend: traffic with a local
    /// policy, which another node may serve.
    pub drop_when_empty: bool,
}

/// A pod's address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Address.
    pub address: IpAddr,
    /// Port number.
    pub port: u16,
}

/// The rules for a machine, whose nodes these are: one, as a rule (`pkg/proxy/topology.go`, `CategorizeEndpoints`). Services of other kinds than
/// those with addresses are left out. Where two Services want the same front, the first by name has it.
pub fn plan<'a>(
    services: impl Iterator<Item = &'a Service>,
    slices: impl Iterator<Item = &'a Slice>,
    nodes: &BTreeSet<String>,
) -> Ruleset {
    let mut by_service: BTreeMap<&Key, Vec<&Slice>> = BTreeMap::new();
    for slice in slices {
        by_service.entry(&slice.service).or_default().push(slice);
    }
    let mut rules = Ruleset::new();
    let services: BTreeMap<&Key, &Service> = services.map(|s| (&s.key, s)).collect();
    for service in services.into_values().filter(|s| s.has_fronts()) {
        let slices = by_service.get(&service.key).map(Vec::as_slice).unwrap_or_default();
        rules_of(service, slices, nodes, &mut rules);
    }
    rules
}

/// Adds the rules of one Service; fronts that are taken stay with their owner.
pub(super) fn rules_of(service: &Service, slices: &[&Slice], nodes: &BTreeSet<String>, rules: &mut Ruleset) {
    for port in &service.ports {
        let Some(proto) = Proto::parse(&port.protocol) else { continue };
        let candidates: Vec<(&Endpoint, u16)> = slices
            .iter()
            .filter_map(|s| s.ports.get(&port.name).map(|(_, number)| (s, *number)))
            .flat_map(|(s, number)| s.endpoints.iter().map(move |e| (e, number)))
            .collect();
        let internal = choose(&candidates, service.internal_local.then_some(nodes));
        let external = choose(&candidates, service.external_local.then_some(nodes));
        let mut add = |addresses: &[_], backends: &BTreeSet<Backend>, masquerade, local| {
            for address in addresses {
                let front = Front {
                    address: *address,
                    proto,
                    port: if address.is_some() { port.port } else { port.node_port },
                };
                let same_family = |b: &&Backend| b.address.is_ipv4() == address.is_none_or(|a: IpAddr| a.is_ipv4());
                let rule = Rule {
                    backends: backends.iter().filter(same_family).copied().collect(),
                    masquerade,
                    affinity_seconds: service.affinity_seconds,
                    drop_when_empty: local,
                };
                rules.entry(front).or_insert(rule);
            }
        };
        let parse = |ips: &[std::sync::Arc<str>]| -> Vec<Option<IpAddr>> {
            ips.iter().filter_map(|ip| ip.parse().ok()).map(Some).collect()
        };
        add(&parse(&service.cluster_ips), &internal, true, service.internal_local);
        let outside = [parse(&service.external_ips), parse(&service.ingress_ips)].concat();
        add(&outside, &external, !service.external_local, service.external_local);
        if port.node_port != 0 {
            add(&[None], &external, !service.external_local, service.external_local);
        }
    }
}

/// The endpoints that take connections: the ready ones, or, when there is none, those that still serve while
/// they terminate (KEP-1669).
fn choose(candidates: &[(&Endpoint, u16)], only: Option<&BTreeSet<String>>) -> BTreeSet<Backend> {
    let pick = |wanted: fn(&Endpoint) -> bool| -> BTreeSet<Backend> {
        candidates
            .iter()
            .filter(|(e, _)| wanted(e) && only.is_none_or(|nodes| nodes.contains(&*e.node)))
            .filter_map(|(e, port)| Some(Backend { address: e.address.parse().ok()?, port: *port }))
            .collect()
    };
    let ready = pick(|e| e.ready);
    if ready.is_empty() { pick(|e| e.serving && e.terminating) } else { ready }
}

impl Proto {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "TCP" | "" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    /// The name that nftables uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{} {address}:{}", self.proto.as_str(), self.port),
            None => write!(f, "{} node:{}", self.proto.as_str(), self.port),
        }
    }
}
