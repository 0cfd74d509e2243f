//! What the proxy and the DNS read of Services and EndpointSlices.

use orch_api::Key;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, sync::Arc};

/// A Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Namespace and name.
    pub key: Key,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: Arc<str>,
    /// Cluster addresses; `None` as text for headless Services.
    pub cluster_ips: Vec<Arc<str>>,
    /// Further addresses.
    pub external_ips: Vec<Arc<str>>,
    /// Addresses of load balancers in front.
    pub ingress_ips: Vec<Arc<str>>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Seconds for which a client stays with its backend; `None` for no affinity.
    pub affinity_seconds: Option<i32>,
    /// Whether external traffic stays on the node that it came to.
    pub external_local: bool,
    /// Whether cluster traffic stays on the node that it came from.
    pub internal_local: bool,
    /// Name that an `ExternalName` Service stands for.
    pub external_name: Arc<str>,
    /// Whether pods are published before they are ready.
    pub publish_not_ready: bool,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name, may be empty.
    pub name: Arc<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// Port number.
    pub port: u16,
    /// Port on every node, or 0.
    pub node_port: u16,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// The Service that it belongs to.
    pub service: Key,
    /// Ports by name.
    pub ports: BTreeMap<Arc<str>, (Arc<str>, u16)>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Address.
    pub address: Arc<str>,
    /// Whether it takes new connections.
    pub ready: bool,
    /// Whether it serves, perhaps while terminating.
    pub serving: bool,
    /// Whether it is going away.
    pub terminating: bool,
    /// Where it runs.
    pub node: Arc<str>,
    /// Host name, for DNS.
    pub hostname: Arc<str>,
}

impl Service {
    /// Whether the Service has no address of its own.
    pub fn is_headless(&self) -> bool {
        self.cluster_ips.iter().any(|ip| &**ip == "None")
    }
}

impl Service {
    /// Whether the Service is reached through the proxy: it has addresses of its own.
    pub fn has_fronts(&self) -> bool {
        !self.is_headless() && &*self.kind != "ExternalName"
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ServiceJson { metadata, spec, status } = ServiceJson::deserialize(deserializer)?;
        let timeout = spec.session_affinity_config.client_ip.timeout_seconds.unwrap_or(10_800);
        let cluster_ips = if spec.cluster_ips.is_empty() && !spec.cluster_ip.is_empty() {
            vec![spec.cluster_ip]
        } else {
            spec.cluster_ips
        };
        Ok(Self {
            key: Key::new(metadata.namespace, metadata.name),
            kind: spec.kind,
            cluster_ips,
            external_ips: spec.external_ips,
            ingress_ips: status.load_balancer.ingress.into_iter().map(|i| i.ip).filter(|ip| !ip.is_empty()).collect(),
            ports: spec.ports,
            affinity_seconds: (&*spec.session_affinity == "ClientIP").then_some(timeout),
            external_local: &*spec.external_traffic_policy == "Local",
            internal_local: &*spec.internal_traffic_policy == "Local",
            external_name: spec.external_name,
            publish_not_ready: spec.publish_not_ready_addresses,
        })
    }
}

impl<'de> Deserialize<'de> for Slice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SliceJson { metadata, ports, endpoints } = SliceJson::deserialize(deserializer)?;
        let service = metadata.labels.get("kubernetes.io/service-name").cloned().unwrap_or_default();
        let ports = ports.unwrap_or_default().into_iter();
        Ok(Self {
            service: Key::new(metadata.namespace, service),
            ports: ports.map(|p| (p.name.unwrap_or_default(), (p.protocol.unwrap_or("TCP".into()), p.port))).collect(),
            endpoints: endpoints.unwrap_or_default().into_iter().filter_map(EndpointJson::read).collect(),
        })
    }
}

impl EndpointJson {
    /// The first address stands for the endpoint (`EndpointSlice.endpoints[].addresses`).
    fn read(self) -> Option<Endpoint> {
        let ready = self.conditions.ready.unwrap_or(true);
        Some(Endpoint {
            address: self.addresses.into_iter().next()?,
            ready,
            serving: self.conditions.serving.unwrap_or(ready),
            terminating: self.conditions.terminating.unwrap_or(false),
            node: self.node_name.unwrap_or_default(),
            hostname: self.hostname.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MetaJson {
    name: Arc<str>,
    namespace: Arc<str>,
    labels: BTreeMap<Arc<str>, Arc<str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceJson {
    metadata: MetaJson,
    spec: ServiceSpecJson,
    status: ServiceStatusJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpecJson {
    #[serde(rename = "type")]
    kind: Arc<str>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Arc<str>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<Arc<str>>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<Arc<str>>,
    ports: Vec<ServicePort>,
    session_affinity: Arc<str>,
    session_affinity_config: AffinityJson,
    external_traffic_policy: Arc<str>,
    internal_traffic_policy: Arc<str>,
    external_name: Arc<str>,
    publish_not_ready_addresses: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AffinityJson {
    #[serde(rename = "clientIP")]
    client_ip: ClientIpJson,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClientIpJson {
    timeout_seconds: Option<i32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ServiceStatusJson {
    load_balancer: LoadBalancerJson,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancerJson {
    ingress: Vec<IngressJson>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct IngressJson {
    ip: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SliceJson {
    metadata: MetaJson,
    ports: Option<Vec<PortJson>>,
    endpoints: Option<Vec<EndpointJson>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PortJson {
    name: Option<Arc<str>>,
    protocol: Option<Arc<str>>,
    port: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct EndpointJson {
    addresses: Vec<Arc<str>>,
    conditions: ConditionsJson,
    node_name: Option<Arc<str>>,
    hostname: Option<Arc<str>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConditionsJson {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}
