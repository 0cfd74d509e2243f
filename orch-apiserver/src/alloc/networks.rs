//! Which networks cluster IPs come from: those of the ServiceCIDRs that are ready and stay (KEP-1880,
//! `pkg/registry/core/service/ipallocator/cidrallocator.go`).

use super::network::{Family, ServiceCidr};
use crate::core::json;
use orch_store::{Chance, Stored};
use serde_json::Value;
use std::net::IpAddr;

/// The ServiceCIDR of the networks that the server was told of.
pub(crate) const DEFAULT: &str = "kubernetes";

/// The networks that give addresses, in the order in which they are drawn from.
#[derive(Debug, Default)]
pub(super) struct Networks(Vec<ServiceCidr>);

impl Networks {
    /// Those of these ServiceCIDRs; the default's come first.
    pub(super) fn of<'a>(cidrs: impl Iterator<Item = &'a Stored>) -> Self {
        let mut cidrs: Vec<&Stored> = cidrs.collect();
        cidrs.sort_by_key(|cidr| *cidr.key.name != *DEFAULT);
        let mut all: Vec<ServiceCidr> = Vec::new();
        for network in cidrs.into_iter().flat_map(networks) {
            if !all.contains(&network) {
                all.push(network);
            }
        }
        Self(all)
    }

    /// Whether one of them gives this address.
    pub(super) fn give(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.gives(ip))
    }

    /// A free address of a family.
    pub(super) fn draw(&self, family: Family, chance: &Chance, is_free: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        self.0.iter().filter(|network| network.family() == family).find_map(|network| network.draw(chance, &is_free))
    }
}

/// What a ServiceCIDR gives now. One that no controller has judged yet counts as ready.
fn networks(cidr: &Stored) -> Vec<ServiceCidr> {
    let value: Value = cidr.parse().unwrap_or_default();
    let ready = json::items(&value, &["status", "conditions"]).iter().find(|condition| condition["type"] == "Ready");
    if cidr.meta.is_deleting() || ready.is_some_and(|condition| condition["status"] != "True") {
        return Vec::new();
    }
    let cidrs = json::items(&value, &["spec", "cidrs"]).iter().filter_map(Value::as_str);
    cidrs.filter_map(ServiceCidr::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cidr(name: &str, networks: &[&str], change: impl Fn(&mut Value)) -> Stored {
        let mut cidr = json!({"metadata": {"name": name}, "spec": {"cidrs": networks}});
        change(&mut cidr);
        Stored::from_json(cidr.to_string().into()).unwrap()
    }

    /// Whether addresses of these networks are given.
    fn gives(cidrs: &[Stored]) -> [bool; 2] {
        let networks = Networks::of(cidrs.iter());
        ["10.9.0.7", "fd00::7"].map(|ip| networks.give(ip.parse().unwrap()))
    }

    #[test]
    fn a_network_gives_addresses_while_it_is_ready_and_stays() {
        let both = ["10.9.0.0/24", "fd00::/64"];
        let ready = |status: &'static str| {
            move |cidr: &mut Value| cidr["status"] = json!({"conditions": [{"type": "Ready", "status": status}]})
        };
        assert_eq!(gives(&[cidr("a", &both, |_| {})]), [true, true]);
        assert_eq!(gives(&[cidr("a", &both, ready("True"))]), [true, true]);
        assert_eq!(gives(&[cidr("a", &both, ready("False"))]), [false, false]);
        let going = |cidr: &mut Value| cidr["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(gives(&[cidr("a", &both, going)]), [false, false]);
        assert_eq!(gives(&[cidr("a", &both, going), cidr("b", &["10.9.0.0/24"], |_| {})]), [true, false]);
    }

    #[test]
    fn the_default_is_drawn_from_first_and_others_when_it_is_empty() {
        let cidrs = [cidr("a", &["10.1.0.0/30"], |_| {}), cidr(DEFAULT, &["10.2.0.0/30"], |_| {})];
        let (networks, chance) = (Networks::of(cidrs.iter()), Chance::from_seed(1));
        let draw = |taken: &[&str]| {
            let drawn = networks.draw(Family::V4, &chance, |ip| !taken.contains(&&*ip.to_string()));
            drawn.map(|ip| ip.to_string()).unwrap_or_default()
        };
        assert!(draw(&[]).starts_with("10.2.0."));
        assert!(draw(&["10.2.0.1", "10.2.0.2"]).starts_with("10.1.0."));
        assert_eq!(networks.draw(Family::V6, &chance, |_| true), None);
    }
}
