//! What the binary itself serves to pods, as Services: the API and the cluster's DNS.

use super::Failure;
use crate::Cluster;
use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointPort as Port, EndpointSubset, Endpoints, Service, ServicePort, ServiceSpec},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use orch_api::kube_core::ObjectMeta;
use orch_store::ClientExt;
use std::net::{Ipv4Addr, SocketAddr};

/// Who owns the fields that the binary itself writes.
const FIELD_MANAGER: &str = "orch";

/// The Service `kube-dns` at a cluster IP and port, whose endpoint is this process.
pub(super) async fn dns(cluster: &Cluster, ip: Ipv4Addr, port: u16, server: SocketAddr) -> Result<(), Failure> {
    let names = [("dns", "UDP"), ("dns-tcp", "TCP")];
    let service_port = |(name, protocol): (&str, &str)| ServicePort {
        name: Some(name.to_owned()),
        protocol: Some(protocol.to_owned()),
        port: port.into(),
        ..ServicePort::default()
    };
    let service = Service {
        metadata: meta("kube-system", "kube-dns", &[("k8s-app", "kube-dns"), ("kubernetes.io/name", "CoreDNS")]),
        spec: Some(ServiceSpec {
            cluster_ip: Some(ip.to_string()),
            ports: Some(names.map(service_port).into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    cluster.client().apply(&service, FIELD_MANAGER, true).await?;
    endpoint(cluster, "kube-system", "kube-dns", server, &names).await
}

/// The endpoint of the Service `kubernetes`, which the API server makes when it starts: as a slice, and as Endpoints for
/// those who still read these, which nobody need mirror.
pub(super) async fn api(cluster: &Cluster, server: SocketAddr) -> Result<(), Failure> {
    let port = Port {
        name: Some("https".into()),
        port: server.port().into(),
        protocol: Some("TCP".into()),
        app_protocol: None,
    };
    let address = EndpointAddress { ip: server.ip().to_string(), ..EndpointAddress::default() };
    let subset = EndpointSubset { addresses: Some(vec![address]), ports: Some(vec![port]), not_ready_addresses: None };
    let endpoints = Endpoints {
        metadata: meta("default", "kubernetes", &[("endpointslice.kubernetes.io/skip-mirror", "true")]),
        subsets: Some(vec![subset]),
    };
    cluster.client().apply(&endpoints, FIELD_MANAGER, true).await?;
    endpoint(cluster, "default", "kubernetes", server, &[("https", "TCP")]).await
}

async fn endpoint(
    cluster: &Cluster,
    namespace: &str,
    service: &str,
    server: SocketAddr,
    ports: &[(&str, &str)],
) -> Result<(), Failure> {
    let port = |(name, protocol): &(&str, &str)| EndpointPort {
        name: Some((*name).to_owned()),
        protocol: Some((*protocol).to_owned()),
        port: Some(server.port().into()),
        ..EndpointPort::default()
    };
    let slice = EndpointSlice {
        metadata: meta(namespace, service, &[("kubernetes.io/service-name", service)]),
        address_type: if server.is_ipv4() { "IPv4" } else { "IPv6" }.into(),
        endpoints: Some(vec![Endpoint {
            addresses: vec![server.ip().to_string()],
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            ..Endpoint::default()
        }]),
        ports: Some(ports.iter().map(port).collect()),
    };
    cluster.client().apply(&slice, FIELD_MANAGER, true).await?;
    Ok(())
}

fn meta(namespace: &str, name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ObjectMeta::default()
    }
}
