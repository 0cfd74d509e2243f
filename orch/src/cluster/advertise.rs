//! [`Cluster::advertise`]: where the API server is, for who looks for it in the API.

use super::Cluster;
use k8s_openapi::api::{
    core::v1::{EndpointAddress, EndpointPort as Port, EndpointSubset, Endpoints},
    discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
};
use orch_api::{StatusError, kube_core::ObjectMeta};
use orch_store::ClientExt;
use std::net::SocketAddr;

/// Who owns the fields that the cluster itself writes.
pub(crate) const FIELD_MANAGER: &str = "orch";

impl Cluster {
    /// Makes `server` the endpoint of the Service `kubernetes`, which the API server makes when it starts: as a slice, and
    /// as Endpoints for those who still read these, which nobody need mirror. In Kubernetes each API server does this for
    /// itself (`pkg/controlplane/reconcilers`); a cluster as a value cannot know which of its sockets pods can reach.
    ///
    /// # Errors
    ///
    /// When the API server refuses the address: a loopback one, unless the cluster takes them.
    pub async fn advertise(&self, server: SocketAddr) -> Result<(), StatusError> {
        let port = Port {
            name: Some("https".into()),
            port: server.port().into(),
            protocol: Some("TCP".into()),
            app_protocol: None,
        };
        let address = EndpointAddress { ip: server.ip().to_string(), ..EndpointAddress::default() };
        let subset =
            EndpointSubset { addresses: Some(vec![address]), ports: Some(vec![port]), not_ready_addresses: None };
        let endpoints = Endpoints {
            metadata: meta("default", "kubernetes", &[("endpointslice.kubernetes.io/skip-mirror", "true")]),
            subsets: Some(vec![subset]),
        };
        self.client.apply(&endpoints, FIELD_MANAGER, true).await?;
        self.lead("default", "kubernetes", server, &[("https", "TCP")]).await
    }

    /// Makes `server` the only endpoint of a Service without a selector.
    pub(crate) async fn lead(
        &self,
        namespace: &str,
        service: &str,
        server: SocketAddr,
        ports: &[(&str, &str)],
    ) -> Result<(), StatusError> {
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
        self.client.apply(&slice, FIELD_MANAGER, true).await.map(drop)
    }
}

/// The metadata of an object that the cluster itself writes.
pub(crate) fn meta(namespace: &str, name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ObjectMeta::default()
    }
}
