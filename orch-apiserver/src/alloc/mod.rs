//! Cluster IPs and node ports: what a Service gets when it is created or changes, and gives back
//! (`pkg/registry/core/service/storage/alloc.go`).
//!
//! Nothing of this is in a server's memory. What is taken stands in the store, and is taken and let go of in the commit that
//! writes the Service: on condition that nobody else has it. Two servers that draw the same address meet there; one of them
//! draws again. Upstream writes the address first and the Service then, and has a loop for what is left between the two.

mod addresses;
mod claims;
mod default_network;
mod families;
mod network;
mod networks;
mod ports;
mod restore;
mod spec;

pub use claims::NODE_PORTS;
pub use network::{Family, ServiceCidr};

pub(crate) use default_network::{default_network, keep_default_network};
pub(crate) use restore::restore;

use crate::{
    admission::derived::Derived,
    core::{Call, Core, json, refusal::refuse},
};
use claims::{Claims, View};
use networks::Networks;
use orch_api::{Gvr, Key, Kind, StatusError};
use orch_store::{Chance, backend::Write, client::ReadAt};
use serde_json::Value;
use spec::Spec;
use std::sync::Arc;

const ADDRESSES: Gvr = Gvr::of("networking.k8s.io", "v1", "ipaddresses");
const NETWORKS: Gvr = Gvr::of("networking.k8s.io", "v1", "servicecidrs");

/// Gives Services their addresses and ports. Cheap to clone: clones share.
#[derive(Clone)]
pub struct ServiceAllocators(Arc<Shared>);

struct Shared {
    /// The networks that this server was told of: at most one of each family, that of the default family first.
    cidrs: Vec<ServiceCidr>,
    chance: Chance,
    networks: Derived<Networks>,
}

impl ServiceAllocators {
    /// Addresses of the families of these networks, of which the first one's is the default.
    pub fn new(cidrs: Vec<ServiceCidr>, chance: Chance) -> Self {
        Self(Arc::new(Shared { cidrs, chance, networks: Derived::new(NETWORKS) }))
    }

    /// The network of the default family.
    pub fn cidr(&self) -> ServiceCidr {
        self.0.cidrs.first().copied().unwrap_or_default()
    }

    /// All networks that the server was told of.
    pub fn cidrs(&self) -> &[ServiceCidr] {
        &self.0.cidrs
    }

    /// Whether objects of a kind hold addresses and ports.
    pub(crate) fn concern(&self, kind: &Kind) -> bool {
        kind.group.is_empty() && kind.plural == "services"
    }

    /// Completes a new Service, and says what else its commit must write. Anything but a Service is left alone.
    pub(crate) async fn create(
        &self,
        core: &Core,
        call: &Call,
        service: &mut Value,
    ) -> Result<Vec<Write>, StatusError> {
        if !self.concern(&call.kind) {
            return Ok(Vec::new());
        }
        let key = Key::new(call.key.namespace.clone(), json::meta(service, "name"));
        let mut spec = Spec::read(service);
        spec.align();
        self.complete_families(service, &mut spec, None)?;
        let view = self.view(core).await?;
        let mut claims = Claims::new(&view, &key, &self.0.chance, core.ambient.clock.now());
        addresses::allocate(&mut claims, &key.name, &mut spec)?;
        spec.write(service);
        ports::allocate(&mut claims, service)?;
        Ok(claims.into_writes())
    }

    /// The same for a changed Service.
    pub(crate) async fn update(
        &self,
        core: &Core,
        call: &Call,
        old: &Value,
        service: &mut Value,
    ) -> Result<Vec<Write>, StatusError> {
        if !self.concern(&call.kind) || call.subresource.is_some() || old.get("spec") == service.get("spec") {
            return Ok(Vec::new());
        }
        let before = Spec::read(old);
        let mut spec = Spec::read(service);
        spec.align_with(&before);
        ports::align(service, old);
        self.complete_families(service, &mut spec, Some(&before))?;
        let view = self.view(core).await?;
        let mut claims = Claims::new(&view, &call.key, &self.0.chance, core.ambient.clock.now());
        addresses::update(&mut claims, &call.key.name, &mut spec, &before)?;
        spec.write(service);
        ports::update(&mut claims, service, old)?;
        Ok(claims.into_writes())
    }

    /// What the commit that deletes an object must write, so that what a Service held is free.
    pub(crate) async fn delete(&self, core: &Core, call: &Call, old: &Value) -> Result<Vec<Write>, StatusError> {
        if !self.concern(&call.kind) {
            return Ok(Vec::new());
        }
        let view = self.view(core).await?;
        let mut claims = Claims::new(&view, &call.key, &self.0.chance, core.ambient.clock.now());
        addresses::release(&mut claims, &Spec::read(old))?;
        ports::held(old).into_iter().for_each(|port| claims.drop_port(port));
        Ok(claims.into_writes())
    }

    /// What must be written with a Service whose address is its by right.
    pub(crate) async fn given(
        &self,
        core: &Core,
        kind: &Kind,
        key: &Key,
        service: &Value,
    ) -> Result<Vec<Write>, StatusError> {
        if !self.concern(kind) {
            return Ok(Vec::new());
        }
        let view = self.view(core).await?;
        let mut claims = Claims::new(&view, key, &self.0.chance, core.ambient.clock.now());
        let spec = Spec::read(service);
        spec.addresses().iter().filter_map(|ip| ip.parse().ok()).try_for_each(|ip| claims.keep_ip(ip))?;
        Ok(claims.into_writes())
    }

    fn complete_families(&self, service: &mut Value, spec: &mut Spec, old: Option<&Spec>) -> Result<(), StatusError> {
        let cluster: Vec<Family> = self.0.cidrs.iter().map(|cidr| cidr.family()).collect();
        families::complete(service, spec, old, &cluster)
            .map_err(|errors| StatusError::invalid("", "Service", json::meta(service, "name"), &errors))
    }

    /// What is taken, with everything that was committed before.
    async fn view(&self, core: &Core) -> Result<View, StatusError> {
        let kind = core.registry.find(&ADDRESSES).ok_or_else(|| StatusError::internal("IPAddresses are not served"))?;
        let storage = &core.storage;
        // The first waits for the newest state; the others, which the same feed fills, are as new.
        let addresses = storage.resource(&kind).snapshot(ReadAt::Latest).await.map_err(|error| refuse(&error))?;
        let ports = storage.cache().resource(claims::PORTS).snapshot(ReadAt::Any).await.map_err(|e| refuse(&e))?;
        let networks = self.0.networks.get(core, |cidrs, _| Networks::of(cidrs.iter(None, None).map(|cidr| &**cidr)));
        Ok(View { networks, kind, addresses, ports })
    }
}
