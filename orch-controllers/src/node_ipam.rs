//! `node-ipam-controller`: gives every node a network for its pods (`pkg/controller/nodeipam`, the range allocator). Off
//! where the cluster has none to give, as it is for orch's own nodes, which bring theirs.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use orch_api::{Gvr, Key, Object};
use orch_runtime::{Controller, Plan, Target, View, Watches, plan::Notice, view::Facts};
use orch_store::{Stored, client::Patch, stored::Parts};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

/// A network that is dealt out in parts of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeNetwork {
    /// Its first address.
    pub base: IpAddr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// Bits of the prefix of a node's part.
    pub node_prefix: u8,
}

impl NodeNetwork {
    /// Reads `10.244.0.0/16`; nodes get parts of `node_prefix`. `None` for what is no network, or has no parts of that size.
    pub fn parse(text: &str, node_prefix: u8) -> Option<Self> {
        let (base, prefix) = text.split_once('/')?;
        let (base, prefix): (IpAddr, u8) = (base.parse().ok()?, prefix.parse().ok()?);
        let bits = if base.is_ipv4() { 32 } else { 128 };
        (prefix <= node_prefix && node_prefix <= bits && node_prefix - prefix < 32).then_some(Self {
            base,
            prefix,
            node_prefix,
        })
    }

    fn parts(&self) -> u32 {
        1 << (self.node_prefix - self.prefix)
    }

    fn part(&self, number: u32) -> String {
        let node_prefix = u32::from(self.node_prefix);
        match self.base {
            IpAddr::V4(base) => {
                let offset = if node_prefix == 0 { 0 } else { number << (32 - node_prefix) };
                format!("{}/{node_prefix}", std::net::Ipv4Addr::from_bits(base.to_bits().wrapping_add(offset)))
            }
            IpAddr::V6(base) => {
                let offset = if node_prefix == 0 { 0 } else { u128::from(number) << (128 - node_prefix) };
                format!("{}/{node_prefix}", std::net::Ipv6Addr::from_bits(base.to_bits().wrapping_add(offset)))
            }
        }
    }
}

/// Deals out networks.
pub struct NodeIpam {
    network: Option<NodeNetwork>,
    /// What nodes were given that the caches do not show yet.
    given: Mutex<BTreeMap<Key, String>>,
}

impl NodeIpam {
    /// One that deals out this network; nothing without one.
    pub fn new(network: Option<NodeNetwork>) -> Self {
        Self { network, given: Mutex::default() }
    }
}

/// A node without a network, and the one that it shall have.
pub struct World {
    node: Arc<Node>,
    /// None is left.
    part: Option<String>,
}

/// The network of a node.
struct PodNetwork(Option<String>);

impl Facts for PodNetwork {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Spec {
            #[serde(rename = "podCIDR")]
            pod_cidr: Option<String>,
        }
        Self(Parts::<Spec>::of(stored).spec.pod_cidr.filter(|cidr| !cidr.is_empty()))
    }
}

impl Controller for NodeIpam {
    const NAME: &'static str = "node-ipam-controller";
    const ABOUT: &'static str = "Gives Nodes networks for their Pods, where the cluster has one to deal out.";
    const COMPONENT: &'static str = "cidrAllocator";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Node>().only(|delta| {
            let has = |stored: &Option<Arc<Stored>>| stored.as_ref().is_some_and(|s| PodNetwork::of(s).0.is_some());
            delta.old.is_none() || delta.new.is_none() || has(&delta.old) != has(&delta.new)
        })
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let network = self.network?;
        let node: Option<Arc<Node>> = view.get(key);
        // Two nodes are looked at at once: who is first takes a part, before anybody has written anything.
        let mut given = self.given.lock();
        let Some(node) = node.filter(|node| !node.is_deleting()) else {
            given.remove(key);
            return None;
        };
        if node.spec.as_ref().is_some_and(|s| s.pod_cidr.as_ref().is_some_and(|cidr| !cidr.is_empty())) {
            given.remove(key);
            return None;
        }
        let known = view.list_known::<PodNetwork>("");
        let taken: BTreeSet<&String> = known.iter().filter_map(|node| node.facts.0.as_ref()).collect();
        let part = match given.get(key).filter(|part| !taken.contains(part)) {
            Some(part) => Some(part.clone()),
            None => {
                let promised: BTreeSet<&String> = given.iter().filter(|(n, _)| *n != key).map(|(_, p)| p).collect();
                let mut parts = (0..network.parts()).map(|number| network.part(number));
                parts.find(|part| !taken.contains(part) && !promised.contains(part))
            }
        };
        if let Some(part) = &part {
            given.insert(key.clone(), part.clone());
        }
        Some(World { node, part })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match &world.part {
            Some(part) => {
                let patch = json!({"metadata": {"uid": world.node.uid()},
                    "spec": {"podCIDR": part, "podCIDRs": [part]}});
                plan.patch(Target::of(&*world.node), None, Patch::Merge(patch));
            }
            None => {
                let name = world.node.key().name;
                let words = format!("Node {name} status is now: CIDRNotAvailable");
                plan.event(Notice::normal(&*world.node, "CIDRNotAvailable", words));
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use orch_runtime::testing::Objects;

    fn node(name: &str, cidr: Option<&str>) -> Node {
        let mut node = Node { metadata: fixtures::meta("", name, name), ..Node::default() };
        node.spec.get_or_insert_default().pod_cidr = cidr.map(Into::into);
        node
    }

    /// The networks of nodes that ask in turn, before anything was written.
    #[track_caller]
    fn check(network: &str, size: u8, nodes: &[(&str, Option<&str>)], expected: &[&str]) {
        let controller = NodeIpam::new(NodeNetwork::parse(network, size));
        let mut objects = Objects::new(&controller.watches());
        nodes.iter().for_each(|(name, cidr)| objects.insert(&node(name, *cidr)));
        let asking = nodes.iter().filter(|(_, cidr)| cidr.is_none());
        let found: Vec<String> = asking
            .filter_map(|(name, _)| controller.observe(&Key::cluster(*name), &View::fixed(&objects)))
            .map(|world| {
                assert!(!controller.plan(&world, now()).is_empty());
                world.part.unwrap_or_else(|| "none".into())
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_node_gets_the_first_part_that_is_free() {
        let nodes = [("a", None), ("b", Some("10.244.0.0/24")), ("c", None), ("d", Some("10.244.2.0/24"))];
        check("10.244.0.0/16", 24, &nodes, &["10.244.1.0/24", "10.244.3.0/24"]);
        check("fd00::/48", 64, &[("a", None), ("b", None)], &["fd00::/64", "fd00:0:0:1::/64"]);
    }

    #[test]
    fn when_none_is_left_that_is_said() {
        check("10.0.0.0/23", 24, &[("a", Some("10.0.0.0/24")), ("b", None), ("c", None)], &["10.0.1.0/24", "none"]);
    }

    #[test]
    fn without_a_network_nobody_gets_one() {
        let controller = NodeIpam::new(None);
        let objects = Objects::new(&controller.watches()).with(&node("a", None));
        assert!(controller.observe(&Key::cluster("a"), &View::fixed(&objects)).is_none());
        assert_eq!(NodeNetwork::parse("10.0.0.0/24", 16), None);
    }
}
