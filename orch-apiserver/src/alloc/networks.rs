//! From which networks cluster IPs come: the server's own, and those of ServiceCIDRs that are ready (KEP-1880,
//! `pkg/registry/core/service/ipallocator/cidrallocator.go`). An IPAddress that belongs to something else than a Service
//! keeps its address from Services.

use super::{ServiceAllocators, ServiceCidr};
use crate::{
    core::{Core, json},
    follow::follow,
};
use orch_api::{Gvr, StatusError};
use orch_store::Stored;
use serde_json::Value;
use std::{net::Ipv4Addr, sync::Arc};

const NETWORKING: &str = "networking.k8s.io";

/// Keeps the networks and the reserved addresses in step with what is stored.
pub(crate) async fn start(services: &ServiceAllocators, core: &Core) -> Result<(), StatusError> {
    type Told = fn(&ServiceAllocators, &Stored, bool);
    let kinds: [(&'static str, Told); 2] =
        [("servicecidrs", ServiceAllocators::network), ("ipaddresses", ServiceAllocators::address)];
    for (resource, told) in kinds {
        let Some(kind) = core.registry.find(&Gvr::of(NETWORKING, "v1", resource)) else { continue };
        for object in core.storage.all(&kind, "").await? {
            told(services, &object, true);
        }
        let (services, cache) = (services.clone(), core.storage.resource(&kind));
        core.ambient.tasks.spawn_loop("networks of Services", move || {
            let (services, cache) = (services.clone(), cache.clone());
            async move {
                follow(cache, |object| told(&services, object, true), |object| told(&services, object, false)).await;
            }
        });
    }
    Ok(())
}

impl ServiceAllocators {
    /// A ServiceCIDR is there, or is gone.
    fn network(&self, cidr: &Stored, is_there: bool) {
        let value: Value = cidr.parse().unwrap_or_default();
        let conditions = json::items(&value, &["status", "conditions"]).iter();
        let is_ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let cidrs = json::items(&value, &["spec", "cidrs"]).iter().filter_map(Value::as_str);
        let networks: Vec<ServiceCidr> = cidrs.filter_map(ServiceCidr::parse).collect();
        let name: Arc<str> = cidr.key.name.clone();
        let mut pools = self.0.pools.lock();
        match is_there && is_ready && !cidr.meta.is_deleting() {
            true => drop(pools.networks.insert(name, networks)),
            false => drop(pools.networks.remove(&name)),
        }
        let mut all = vec![self.0.cidr];
        for network in pools.networks.values().flatten() {
            if !all.contains(network) {
                all.push(*network);
            }
        }
        pools.ips.set_ranges(all.into_iter().map(ServiceCidr::usable).collect());
    }

    /// An IPAddress is there, or is gone. Those of Services follow what Services hold, and say nothing new.
    fn address(&self, address: &Stored, is_there: bool) {
        let Ok(ip) = address.key.name.parse::<Ipv4Addr>() else { return };
        let value: Value = address.parse().unwrap_or_default();
        let parent = |field| json::text(&value, &["spec", "parentRef", field]);
        let is_of_service = parent("group").is_empty() && parent("resource") == "services";
        self.0.pools.lock().ips.reserve(ip.into(), is_there && !is_of_service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_store::Chance;
    use serde_json::json;

    fn cidr(name: &str, network: &str, ready: bool) -> Stored {
        let status = if ready { "True" } else { "False" };
        let cidr = json!({"metadata": {"name": name}, "spec": {"cidrs": [network, "2001:db8::/112"]},
            "status": {"conditions": [{"type": "Ready", "status": status}]}});
        Stored::from_json(cidr.to_string().into()).unwrap()
    }

    fn taken(services: &ServiceAllocators, ip: &str) -> bool {
        let ip: Ipv4Addr = ip.parse().unwrap();
        services.0.pools.lock().ips.take(ip.into())
    }

    #[test]
    fn networks_that_are_ready_give_addresses_until_the_last_of_them_goes() {
        let services = ServiceAllocators::new(ServiceCidr::default(), Chance::from_seed(1));
        assert!(!taken(&services, "10.9.0.1"));
        services.network(&cidr("more", "10.9.0.0/24", false), true);
        assert!(!taken(&services, "10.9.0.1"));
        services.network(&cidr("more", "10.9.0.0/24", true), true);
        services.network(&cidr("same", "10.9.0.0/24", true), true);
        assert!(taken(&services, "10.9.0.1") && !taken(&services, "10.9.0.255"));
        services.network(&cidr("more", "10.9.0.0/24", true), false);
        assert!(taken(&services, "10.9.0.2"));
        services.network(&cidr("same", "10.9.0.0/24", true), false);
        assert!(!taken(&services, "10.9.0.3") && taken(&services, "10.96.0.3"));
    }

    #[test]
    fn an_address_of_something_else_is_not_for_services() {
        let services = ServiceAllocators::new(ServiceCidr::default(), Chance::from_seed(1));
        let address = |name: &str, group: &str, resource: &str| {
            let parent = json!({"group": group, "resource": resource, "name": "a"});
            let address = json!({"metadata": {"name": name}, "spec": {"parentRef": parent}});
            Stored::from_json(address.to_string().into()).unwrap()
        };
        let gateway = address("10.96.0.7", "gateway.networking.k8s.io", "gateways");
        services.address(&gateway, true);
        services.address(&address("10.96.0.8", "", "services"), true);
        assert!(!taken(&services, "10.96.0.7") && taken(&services, "10.96.0.8"));
        services.address(&gateway, false);
        assert!(taken(&services, "10.96.0.7"));
    }
}
