//! What the binary itself serves to pods beside the API, as Services: the cluster's DNS.

use super::Failure;
use crate::{
    Cluster,
    cluster::advertise::{FIELD_MANAGER, meta},
};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use orch_store::ClientExt;
use std::net::{Ipv4Addr, SocketAddr};

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
    Ok(cluster.lead("kube-system", "kube-dns", server, &names).await?)
}
