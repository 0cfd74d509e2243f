//! From pods to endpoints, grouped by the ports that they serve on.

use super::World;
use crate::common::facts::PodFacts;
use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Service, ServicePort},
        discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, ForNode, ForZone},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use orch_runtime::view::Known;
use std::{collections::BTreeMap, net::IpAddr};

/// Ports in a form that can be compared and ordered.
pub(super) type PortKey = String;

/// The endpoints of one address type, by ports. Named ports may have other numbers in other pods.
pub(super) fn by_ports(world: &World, family: &str) -> BTreeMap<PortKey, (Vec<EndpointPort>, Vec<Endpoint>)> {
    let mut groups: BTreeMap<PortKey, (Vec<EndpointPort>, Vec<Endpoint>)> = BTreeMap::new();
    let counts = |pod: &&Known<PodFacts>| !pod.facts.is_finished() && (publishes_all(world) || !is_lost(world, pod));
    let mut pods: Vec<&Known<PodFacts>> = world.pods.iter().filter(counts).collect();
    pods.sort_by(|a, b| a.stored.key.cmp(&b.stored.key));
    for pod in pods {
        let addresses = addresses(&pod.facts, family);
        if addresses.is_empty() {
            continue;
        }
        let ports = ports(&world.service, &pod.facts);
        let group = groups.entry(port_key(&ports)).or_insert_with(|| (ports, Vec::new()));
        group.1.push(endpoint(world, pod, addresses));
    }
    groups
}

/// The pods that have no endpoints although they have addresses, since their nodes are gone.
pub(super) fn of_lost_nodes(world: &World) -> impl Iterator<Item = &Known<PodFacts>> {
    let serves = |pod: &&Known<PodFacts>| !pod.facts.is_finished() && !pod.facts.ips.is_empty();
    let lost = |pod: &&Known<PodFacts>| !publishes_all(world) && is_lost(world, pod);
    world.pods.iter().filter(serves).filter(lost)
}

fn is_lost(world: &World, pod: &Known<PodFacts>) -> bool {
    !world.nodes.contains_key(&pod.facts.node)
}

fn publishes_all(world: &World) -> bool {
    world.service.spec.as_ref().and_then(|s| s.publish_not_ready_addresses) == Some(true)
}

/// Ports in a form that can be compared and ordered.
pub(super) fn port_key(ports: &[EndpointPort]) -> PortKey {
    let mut keys: Vec<String> = ports
        .iter()
        .map(|p| {
            let text = |s: &Option<String>| s.clone().unwrap_or_default();
            format!("{}/{:?}/{}/{}", text(&p.name), p.port, text(&p.protocol), text(&p.app_protocol))
        })
        .collect();
    keys.sort();
    keys.join(",")
}

fn ports(service: &Service, pod: &PodFacts) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_ref()).into_iter().flatten();
    ports
        .filter_map(|port| {
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(port_number(port, pod)?),
                protocol: Some(protocol(port).to_owned()),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

/// The number of a service's port in a pod; `None` where the pod has no port of that name.
pub(crate) fn port_number(port: &ServicePort, pod: &PodFacts) -> Option<i32> {
    match &port.target_port {
        Some(IntOrString::Int(number)) if *number != 0 => Some(*number),
        Some(IntOrString::String(name)) if !name.is_empty() => {
            let named = pod.ports.iter().find(|p| *p.name == **name && *p.protocol == *protocol(port));
            named.map(|p| p.port)
        }
        _ => Some(port.port),
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// The pod's addresses of a family.
pub(crate) fn addresses(pod: &PodFacts, family: &str) -> Vec<String> {
    let parsed = pod.ips.iter().filter_map(|ip| ip.parse::<IpAddr>().ok());
    parsed.filter(|ip| ip.is_ipv6() == (family == "IPv6")).map(|ip| ip.to_string()).collect()
}

/// A pod that is being deleted may still serve, but is ready only if the service asks for addresses that
/// are not.
fn endpoint(world: &World, pod: &Known<PodFacts>, addresses: Vec<String>) -> Endpoint {
    let spec = world.service.spec.as_ref();
    let (serving, terminating) = (pod.facts.is_ready(), pod.stored.meta.is_deleting());
    let ready = publishes_all(world) || (serving && !terminating);
    let zone = world.nodes.get(&pod.facts.node).cloned().flatten();
    let node = (!pod.facts.node.is_empty()).then(|| pod.facts.node.to_string());
    let in_subdomain = Some(&*pod.facts.subdomain) == world.service.metadata.name.as_deref();
    let hostname = (in_subdomain && !pod.facts.hostname.is_empty()).then(|| pod.facts.hostname.to_string());
    let key = &pod.stored.key;
    Endpoint {
        addresses,
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        // Hints by zone are given to all endpoints together, and win.
        hints: match world.shares {
            Some(_) => None,
            None => {
                hints(spec.and_then(|s| s.traffic_distribution.as_deref()), ready, zone.as_deref(), node.as_deref())
            }
        },
        hostname,
        node_name: node,
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some(key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: Some(pod.stored.meta.uid.to_string()),
            ..ObjectReference::default()
        }),
        zone,
        deprecated_topology: None,
    }
}

/// Where the traffic of a service with a preference for near endpoints comes from.
fn hints(distribution: Option<&str>, ready: bool, zone: Option<&str>, node: Option<&str>) -> Option<EndpointHints> {
    let near = matches!(distribution, Some("PreferClose" | "PreferSameZone" | "PreferSameNode")) && ready;
    let for_zones = zone.filter(|_| near).map(|name| vec![ForZone { name: name.into() }]);
    let same_node = distribution == Some("PreferSameNode") && near;
    let for_nodes = node.filter(|_| same_node).map(|name| vec![ForNode { name: name.into() }]);
    (for_zones.is_some() || for_nodes.is_some()).then_some(EndpointHints { for_nodes, for_zones })
}
