//! [`ServiceDialer`]: how the API server reaches a Service.

use crate::{
    core::{Storage, json},
    proxy::{Duplex, NodeDialer, endpoint_addresses},
    registry::Registry,
};
use async_trait::async_trait;
use orch_api::{Gvr, Key, StatusError};
use orch_store::Chance;
use serde_json::Value;
use std::{io, sync::Arc};

const SERVICES: Gvr = Gvr::of("", "v1", "services");

/// Connects to something that answers for a Service.
///
/// # Laws
///
/// Every call makes a new connection, and replicas take turns. A Service that does not exist is `404`, one without a
/// ready endpoint or without that port `503`.
#[async_trait]
pub trait ServiceDialer: Send + Sync + 'static {
    /// Connects to a port of a Service.
    async fn dial(&self, namespace: &str, name: &str, port: u16) -> Result<Box<dyn Duplex>, StatusError>;
}

/// Reaches Services by their endpoints, whether or not a service proxy runs on this machine.
pub struct ClusterServices {
    registry: Arc<Registry>,
    storage: Storage,
    nodes: Option<Arc<dyn NodeDialer>>,
    chance: Chance,
}

impl ClusterServices {
    /// Reads Services and their endpoints from storage, and reaches pods the way that `nodes` knows.
    pub fn new(registry: Arc<Registry>, storage: Storage, nodes: Option<Arc<dyn NodeDialer>>, chance: Chance) -> Self {
        Self { registry, storage, nodes, chance }
    }

    async fn connect(&self, address: &str) -> io::Result<Box<dyn Duplex>> {
        match &self.nodes {
            Some(nodes) => nodes.dial_pod(address).await,
            None => Ok(Box::new(tokio::net::TcpStream::connect(address).await?)),
        }
    }
}

#[async_trait]
impl ServiceDialer for ClusterServices {
    async fn dial(&self, namespace: &str, name: &str, port: u16) -> Result<Box<dyn Duplex>, StatusError> {
        let key = Key::new(namespace, name);
        let missing = || StatusError::new(orch_api::Reason::NotFound, format!("service {name:?} not found"));
        let kind = self.registry.find(&SERVICES).ok_or_else(missing)?;
        let service: Value = self.storage.lookup(&kind, &key).await?.ok_or_else(missing)?.parse()?;
        let unavailable = |why: String| StatusError::new(orch_api::Reason::ServiceUnavailable, why);
        if let kind @ "ExternalName" = json::text(&service, &["spec", "type"]) {
            return Err(StatusError::internal(format!("unsupported service type {kind:?}")));
        }
        let ports = json::items(&service, &["spec", "ports"]);
        let wanted = ports.iter().find(|p| json::integer(p, &["port"]) == Some(i64::from(port)));
        let wanted = wanted.ok_or_else(|| unavailable(format!("no service port {port} found for service {name:?}")))?;
        let found = endpoint_addresses(&self.registry, &self.storage, &key, json::text(wanted, &["name"])).await?;
        let pick = usize::try_from(self.chance.below(found.len() as u64)).unwrap_or_default();
        let address =
            found.get(pick).ok_or_else(|| unavailable(format!("no endpoints available for service {name:?}")))?;
        self.connect(address).await.map_err(|why| unavailable(super::tls::dial_error(address, &why)))
    }
}
