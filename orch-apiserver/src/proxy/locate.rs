//! `nodes|pods|services/proxy`: plain HTTP to something in the cluster
//! (`pkg/registry/core/{node,pod,service}/rest`).

use super::{
    Duplex,
    forward::{forward, unavailable},
    streams::dial,
};
use crate::{
    core::{Call, Core, Storage, json},
    http::{
        body::{Body, BoxError},
        info::RequestInfo,
    },
    registry::Registry,
};
use http::{Response, Uri, request::Parts};
use orch_api::{Gvr, Key, Reason, StatusError};
use serde_json::Value;

const SLICES: Gvr = Gvr::of("discovery.k8s.io", "v1", "endpointslices");

/// Passes a request on to the node, pod or service that its path names.
pub(crate) async fn proxy<B>(
    core: &Core,
    call: &Call,
    info: &RequestInfo,
    parts: Parts,
    body: B,
) -> Result<Response<Body>, StatusError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (_, name, port) = split(&call.key.name).ok_or_else(|| {
        StatusError::bad_request(format!("invalid {} request {:?}", call.kind.singular, call.key.name))
    })?;
    let key = Key::new(call.key.namespace.clone(), name);
    let object: Value = core.storage.get(&call.kind, &key).await?.parse()?;
    let (connection, authority) = match &*call.kind.plural {
        "nodes" => (dial(core, name).await?, name.to_owned()),
        "pods" => {
            let address = pod_address(core, &object, port)?;
            (dial_pod(core, &address).await?, address)
        }
        _ => {
            let address = service_address(core, &key, &object, port).await?;
            (dial_pod(core, &address).await?, address)
        }
    };
    let query = parts.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let target: Uri = format!("http://{authority}/{}{query}", info.rest)
        .parse()
        .map_err(|e| StatusError::bad_request(format!("invalid path: {e}")))?;
    forward(core, connection, parts, target, body).await
}

async fn dial_pod(core: &Core, address: &str) -> Result<Box<dyn Duplex>, StatusError> {
    match &core.nodes {
        Some(nodes) => nodes.dial_pod(address).await.map_err(|e| unavailable(&e)),
        None => Err(unavailable(&format_args!("no way to reach {address} is configured"))),
    }
}

/// `[scheme:]name[:port]`
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [name] => Some(("", name, "")),
        [name, port] => Some(("", name, port)),
        [scheme @ ("" | "http" | "https"), name, port] => Some((scheme, name, port)),
        _ => None,
    }
}

/// Where a pod listens: the port that was asked for by number or name, or its first.
fn pod_address(core: &Core, pod: &Value, port: &str) -> Result<String, StatusError> {
    let ip = json::text(pod, &["status", "podIP"]);
    if ip.is_empty() || !is_routable(core, ip) {
        return Err(StatusError::bad_request("address not allowed"));
    }
    let containers = json::items(pod, &["spec", "containers"]).iter();
    let mut ports = containers.flat_map(|c| json::items(c, &["ports"]));
    let number = match port.parse::<u16>() {
        Ok(number) => i64::from(number),
        Err(_) if port.is_empty() => ports.find_map(|p| json::integer(p, &["containerPort"])).unwrap_or(80),
        Err(_) => {
            let named = ports.find(|p| json::text(p, &["name"]) == port);
            let number = named.and_then(|p| json::integer(p, &["containerPort"]));
            number.ok_or_else(|| StatusError::bad_request(format!("pod has no port {port:?}")))?
        }
    };
    Ok(format!("{ip}:{number}"))
}

/// A ready endpoint behind a Service's port.
async fn service_address(core: &Core, key: &Key, service: &Value, port: &str) -> Result<String, StatusError> {
    let ports = json::items(service, &["spec", "ports"]);
    let wanted = match port {
        "" if ports.len() == 1 => ports.first(),
        "" => None,
        port => ports.iter().find(|p| {
            json::text(p, &["name"]) == port || json::integer(p, &["port"]).is_some_and(|n| n.to_string() == port)
        }),
    };
    let missing = |why: String| StatusError::new(Reason::ServiceUnavailable, why);
    let Some(wanted) = wanted else {
        return Err(missing(format!("no service port {port:?} found for service {:?}", key.name)));
    };
    let name = json::text(wanted, &["name"]);
    let mut found = endpoint_addresses(&core.registry, &core.storage, key, name).await?;
    found.retain(|address| is_routable(core, address));
    let pick = core.ambient.chance.below(found.len() as u64);
    let picked = usize::try_from(pick).ok().and_then(|i| found.get(i).cloned());
    picked.ok_or_else(|| missing(format!("no endpoints available for service {:?}", key.name)))
}

/// `ip:port` of every ready endpoint of a Service behind the port of that name.
pub(crate) async fn endpoint_addresses(
    registry: &Registry,
    storage: &Storage,
    service: &Key,
    port: &str,
) -> Result<Vec<String>, StatusError> {
    let Some(slices) = registry.find(&SLICES) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for slice in storage.all(&slices, &service.namespace).await? {
        if slice.meta.labels.get("kubernetes.io/service-name") == Some(&*service.name) {
            found.extend(addresses(&slice.parse()?, port));
        }
    }
    Ok(found)
}

fn addresses(slice: &Value, port: &str) -> Vec<String> {
    let named = json::items(slice, &["ports"]).iter().find(|p| json::text(p, &["name"]) == port);
    let Some(number) = named.and_then(|p| json::integer(p, &["port"])) else { return Vec::new() };
    let ready = json::items(slice, &["endpoints"])
        .iter()
        .filter(|e| json::at(e, &["conditions", "ready"]).and_then(Value::as_bool).unwrap_or(true));
    ready
        .flat_map(|e| json::items(e, &["addresses"]))
        .filter_map(Value::as_str)
        .map(|ip| if ip.contains(':') { format!("[{ip}]:{number}") } else { format!("{ip}:{number}") })
        .collect()
}

/// The control plane does not lend its own loopback or link to whoever may write an address. Where pods live on
/// loopback, they have the networks beside that of `127.0.0.1`.
fn is_routable(core: &Core, address: &str) -> bool {
    let ip = address.parse::<std::net::SocketAddr>().map(|a| a.ip()).or_else(|_| address.parse());
    match ip {
        Ok(std::net::IpAddr::V4(ip)) if ip.is_loopback() => {
            core.setting.pods_on_loopback && !ip.octets().starts_with(&[127, 0])
        }
        Ok(std::net::IpAddr::V4(ip)) => !(ip.is_link_local() || ip.is_unspecified()),
        Ok(std::net::IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unspecified()),
        Err(_) => false,
    }
}
