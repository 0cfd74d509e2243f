//! `service-cidr-controller`: keeps networks of Services that are in use from being deleted (`pkg/controller/servicecidrs`).

use crate::common::time::{plus_seconds, until};
use jiff::Timestamp;
use k8s_openapi::{
    api::networking::v1::{IPAddress, ServiceCIDR},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use orch_api::{Key, Object, conditions};
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::informer::Delta;
use std::{net::IpAddr, sync::Arc};

/// Guards the networks of Services.
pub struct ServiceCidrController;

/// A network of Services.
pub struct World {
    cidr: Arc<ServiceCIDR>,
    /// Whether an address of it belongs to no other network.
    in_use: bool,
}

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
pub(crate) const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
pub(crate) const ALLOCATOR: &str = "ipallocator.k8s.io";
/// So long allocators may not have heard that it goes.
const GRACE_SECONDS: i64 = 10;

impl Controller for ServiceCidrController {
    const NAME: &'static str = "service-cidr-controller";
    const ABOUT: &'static str = "Keeps ServiceCIDRs whose addresses are in use from being deleted.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<ServiceCIDR>()
            .maps::<ServiceCIDR>(overlapping)
            .only(|delta| delta.old.is_none() || delta.new.is_none())
            .maps::<IPAddress>(containing)
            .only(|delta| delta.old.is_none() || delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let cidr: Arc<ServiceCIDR> = view.get(key)?;
        let in_use = cidr.is_deleting() && is_in_use(&cidr, view);
        Some(World { cidr, in_use })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let cidr = &*world.cidr;
        let finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
        let Some(since) = cidr.metadata.deletion_timestamp.as_ref() else {
            if finalizers.iter().any(|f| f == FINALIZER) {
                set(cidr, ("True", "", "Kubernetes Service CIDR is ready"), now, &mut plan);
            } else {
                let mut new = cidr.clone();
                new.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
                plan.update(cidr, &new);
            }
            return plan;
        };
        if world.in_use {
            let words = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
            set(cidr, ("False", "Terminating", words), now, &mut plan);
            return plan;
        }
        let end = plus_seconds(since.0, GRACE_SECONDS);
        if end > now {
            plan.requeue_within(until(end, now));
        } else if finalizers.iter().any(|f| f == FINALIZER) {
            let mut new = cidr.clone();
            new.metadata.finalizers = Some(finalizers.into_iter().filter(|f| f != FINALIZER).collect());
            plan.update(cidr, &new);
        }
        plan
    }
}

fn set(cidr: &ServiceCIDR, (status, reason, message): (&str, &str, &str), now: Timestamp, plan: &mut Plan) {
    let mut new = cidr.clone();
    let condition = Condition {
        type_: "Ready".into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    conditions::set(new.status.get_or_insert_default().conditions.get_or_insert_default(), condition, now);
    plan.update_status(cidr, &new);
}

/// Whether deleting it would leave an address without a network. Where another network has all of it, none is left alone.
fn is_in_use(cidr: &ServiceCIDR, view: &View<'_>) -> bool {
    let own = cidr.key();
    let others: Vec<Network> =
        view.list::<ServiceCIDR>("").iter().filter(|o| o.key() != own).flat_map(|o| networks(o)).collect();
    let all = networks(cidr);
    if !all.is_empty() && all.iter().all(|network| others.iter().any(|other| other.has(network))) {
        return false;
    }
    let addresses = view.list_stored(&IPAddress::gvr(), "");
    let managed = addresses.iter().filter(|a| a.meta.labels.get(MANAGED_BY) == Some(ALLOCATOR));
    let mut ips = managed.filter_map(|a| a.key.name.parse::<IpAddr>().ok());
    ips.any(|ip| all.iter().any(|n| n.contains(ip)) && !others.iter().any(|n| n.contains(ip)))
}

/// Addresses with a common prefix.
#[derive(Clone, Copy)]
pub(crate) struct Network {
    base: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        Some(Self { base: base.parse().ok()?, prefix: prefix.parse().ok()? })
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, bits: u32| {
            let shift = bits.saturating_sub(self.prefix);
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.base, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether Services get this address from it: not the network's own, nor in IPv4 the one for broadcasts.
    pub(crate) fn gives(&self, ip: IpAddr) -> bool {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let number = match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let hosts = 1_u128.checked_shl(u32::saturating_sub(bits, self.prefix)).unwrap_or(0).wrapping_sub(1);
        let host = number & hosts;
        self.contains(ip) && host != 0 && (ip.is_ipv6() || host != hosts)
    }

    fn has(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }
}

pub(crate) fn networks(cidr: &ServiceCIDR) -> Vec<Network> {
    let all = cidr.spec.as_ref().and_then(|s| s.cidrs.as_ref());
    all.into_iter().flatten().filter_map(|text| Network::parse(text)).collect()
}

fn overlapping(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let stored = delta.new.as_ref().or(delta.old.as_ref());
    let changed = stored.and_then(|s| s.decode::<ServiceCIDR>().ok()).map(|c| networks(&c)).unwrap_or_default();
    let all = view.list::<ServiceCIDR>("");
    let overlap = |a: &Network| changed.iter().any(|b| a.has(b) || b.has(a));
    all.iter().filter(|cidr| networks(cidr).iter().any(overlap)).map(|cidr| cidr.key()).collect()
}

fn containing(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let stored = delta.new.as_ref().or(delta.old.as_ref());
    let managed = stored.filter(|s| s.meta.labels.get(MANAGED_BY) == Some(ALLOCATOR));
    let Some(ip) = managed.and_then(|s| s.key.name.parse::<IpAddr>().ok()) else { return Vec::new() };
    let all = view.list::<ServiceCIDR>("");
    all.iter().filter(|cidr| networks(cidr).iter().any(|n| n.contains(ip))).map(|cidr| cidr.key()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, minutes_ago, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;
    use serde_json::json;

    fn cidr(name: &str, networks: &[&str], finalizers: &[&str]) -> ServiceCIDR {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name, "finalizers": finalizers},
            "spec": {"cidrs": networks}}))
        .unwrap()
    }

    fn ending(mut cidr: ServiceCIDR, minutes: i64) -> ServiceCIDR {
        cidr.metadata.deletion_timestamp = Some(Time(minutes_ago(minutes)));
        cidr
    }

    #[track_caller]
    fn check(cidr: &ServiceCIDR, others: &[ServiceCIDR], addresses: &[&str], expect: Expect) {
        let mut objects = Objects::new(&ServiceCidrController.watches()).with(cidr);
        others.iter().for_each(|other| objects.insert(other));
        for ip in addresses {
            let address = IPAddress { metadata: fixtures::meta("", ip, ""), ..IPAddress::default() };
            objects.insert(&fixtures::labelled(address, &[(MANAGED_BY, ALLOCATOR)]));
        }
        let world = ServiceCidrController.observe(&cidr.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&ServiceCidrController.plan(&world, now()), &expect);
    }

    #[test]
    fn a_new_network_is_guarded_and_then_ready() {
        check(
            &cidr("a", &["10.1.0.0/24"], &[]),
            &[],
            &[],
            expect![[r#"
            update ServiceCIDR a metadata.finalizers=["networking.k8s.io/service-cidr-finalizer"]
        "#]],
        );
        check(
            &cidr("a", &["10.1.0.0/24"], &[FINALIZER]),
            &[],
            &[],
            expect![[r#"
            status ServiceCIDR a conditions[Ready].message="Kubernetes Service CIDR is ready" conditions[Ready].reason="" conditions[Ready].status=True
        "#]],
        );
    }

    #[test]
    fn one_whose_addresses_are_in_use_stays() {
        let going = ending(cidr("a", &["10.1.0.0/24"], &[FINALIZER]), 5);
        check(
            &going,
            &[],
            &["10.1.0.7"],
            expect![[r#"
            status ServiceCIDR a conditions[Ready].message="There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR" conditions[Ready].reason=Terminating conditions[Ready].status=False
        "#]],
        );
        check(
            &going,
            &[],
            &["10.2.0.7"],
            expect![[r#"
            update ServiceCIDR a metadata.finalizers=[]
        "#]],
        );
        check(
            &going,
            &[cidr("b", &["10.1.0.0/16"], &[])],
            &["10.1.0.7"],
            expect![[r#"
            update ServiceCIDR a metadata.finalizers=[]
        "#]],
        );
    }

    #[test]
    fn allocators_have_ten_seconds_to_hear_of_it() {
        check(
            &ending(cidr("a", &["fd00::/64"], &[FINALIZER]), 0),
            &[],
            &[],
            expect![[r#"
            requeue after 10s
        "#]],
        );
    }
}
