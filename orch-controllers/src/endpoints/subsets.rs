//! From pods to subsets: addresses that are ready, and not, on the same ports (`truncateEndpoints`).

use super::repack::repack;
use crate::{
    common::facts::PodFacts,
    endpoint_slice::{addresses, families, port_number},
};
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, ObjectReference, Service, ServicePort,
};
use orch_runtime::view::Known;

/// The most addresses of an object.
const CAPACITY: usize = 1000;

/// The subsets of a service, and whether some addresses had to be left out.
pub(super) fn of(service: &Service, pods: &[Known<PodFacts>]) -> (Vec<EndpointSubset>, bool) {
    let spec = service.spec.clone().unwrap_or_default();
    let published = spec.publish_not_ready_addresses == Some(true);
    let family = families(service).first().copied().unwrap_or("IPv4");
    let mut each = Vec::with_capacity(pods.len());
    for pod in pods {
        let leaves = pod.stored.meta.is_deleting() && !published;
        if pod.facts.is_finished() || leaves {
            continue;
        }
        let Some(ip) = addresses(&pod.facts, family).into_iter().next() else { continue };
        let services = spec.ports.as_deref().unwrap_or_default();
        let ports: Vec<EndpointPort> = services.iter().filter_map(|port| endpoint_port(port, &pod.facts)).collect();
        // A headless service may do without ports; who asks for some and finds none has no endpoint here.
        if ports.is_empty() && !(services.is_empty() && spec.cluster_ip.as_deref() == Some("None")) {
            continue;
        }
        let mut subset = EndpointSubset { ports: Some(ports), ..EndpointSubset::default() };
        let ready = published || pod.facts.is_ready();
        let list = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        *list = Some(vec![address(service, pod, ip)]);
        each.push(subset);
    }
    let mut subsets = repack(&each);
    let truncated = truncate(&mut subsets);
    (subsets, truncated)
}

/// Whether subsets say the same, whatever their order.
pub(super) fn same(old: &[EndpointSubset], new: &[EndpointSubset]) -> bool {
    let normal = |subsets: &[EndpointSubset]| {
        let mut all: Vec<EndpointSubset> = subsets.to_vec();
        for subset in &mut all {
            subset.ports.iter_mut().for_each(|ports| ports.sort_by_key(port_text));
            for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
                list.sort_by(|a, b| (&a.ip, uid(a)).cmp(&(&b.ip, uid(b))));
            }
        }
        all.sort_by_key(|subset| key(subset.ports.as_deref().unwrap_or_default()));
        all
    };
    normal(old) == normal(new)
}

fn uid(address: &EndpointAddress) -> &str {
    address.target_ref.as_ref().and_then(|t| t.uid.as_deref()).unwrap_or_default()
}

fn key(ports: &[EndpointPort]) -> String {
    let mut texts: Vec<String> = ports.iter().map(port_text).collect();
    texts.sort();
    texts.join(",")
}

pub(super) fn port_text(port: &EndpointPort) -> String {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    format!("{}/{}/{}/{}", text(&port.name), port.port, text(&port.protocol), text(&port.app_protocol))
}

fn endpoint_port(port: &ServicePort, pod: &PodFacts) -> Option<EndpointPort> {
    Some(EndpointPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: port_number(port, pod)?,
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    })
}

fn address(service: &Service, pod: &Known<PodFacts>, ip: String) -> EndpointAddress {
    let (key, facts) = (&pod.stored.key, &pod.facts);
    let in_subdomain = Some(&*facts.subdomain) == service.metadata.name.as_deref() && !facts.hostname.is_empty();
    EndpointAddress {
        ip,
        hostname: in_subdomain.then(|| facts.hostname.to_string()),
        node_name: (!facts.node.is_empty()).then(|| facts.node.to_string()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some(key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: Some(pod.stored.meta.uid.to_string()),
            ..ObjectReference::default()
        }),
    }
}

/// Leaves out what is too much, those first that are not ready, of each subset its share.
fn truncate(subsets: &mut [EndpointSubset]) -> bool {
    let count = |list: &Option<Vec<EndpointAddress>>| list.as_ref().map_or(0, Vec::len);
    let ready: usize = subsets.iter().map(|s| count(&s.addresses)).sum();
    let unready: usize = subsets.iter().map(|s| count(&s.not_ready_addresses)).sum();
    if ready + unready <= CAPACITY {
        return false;
    }
    let cut_ready = ready > CAPACITY;
    let (room, total) = if cut_ready { (CAPACITY, ready) } else { (CAPACITY - ready, unready) };
    let mut left = room;
    for subset in subsets {
        if cut_ready {
            subset.not_ready_addresses = None;
        }
        let list = if cut_ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        let share = (count(list) * room).div_ceil(total.max(1)).min(left);
        left -= share.min(count(list));
        if let Some(all) = list {
            all.truncate(share);
        }
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    }
    true
}
