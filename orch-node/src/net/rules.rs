//! [`PodRules`]: what the kernel's tables do for pods beside Services: the way out and published ports.

use super::{bridge::BridgeOptions, ipam::Subnet, nft};
use orch_runtime::node::container::{HostPort, RuntimeError};
use std::net::{IpAddr, Ipv4Addr};

/// The mark of connections from pods to addresses of their own node.
const MARK: &str = "0x4000";

/// The table of one bridge. Rules stay when the process dies; the next one takes them over.
pub(super) struct PodRules {
    table: String,
}

impl PodRules {
    /// Makes the table, or brings it up to date. Published ports stay.
    pub(super) async fn open(options: &BridgeOptions) -> Result<Self, RuntimeError> {
        let rules = Self::of(options);
        nft::run(&rules.script(options)).await.map_err(RuntimeError::Failed)?;
        Ok(rules)
    }

    /// The table of these options, which need not exist.
    pub(super) fn of(options: &BridgeOptions) -> Self {
        Self { table: format!("{}-net", options.bridge) }
    }

    /// Removes the table.
    pub(super) async fn remove(&self) -> Result<(), RuntimeError> {
        let table = &self.table;
        nft::run(&format!("add table ip {table}\ndelete table ip {table}\n")).await.map_err(RuntimeError::Failed)
    }

    /// Pods keep their addresses towards this network.
    pub(super) async fn keep_source(&self, network: Subnet) -> Result<(), RuntimeError> {
        let script = format!("add element ip {} same-network {{ {network} }}\n", self.table);
        nft::run(&script).await.map_err(RuntimeError::Failed)
    }

    /// Leads ports of the node to a pod, all or none. A port that a pod held which is gone is taken over.
    pub(super) async fn publish(&self, ports: &[HostPort], pod: Ipv4Addr) -> Result<(), RuntimeError> {
        let mut script = String::new();
        for port in ports {
            let (map, key) = element(port);
            // Adding what is there already is no error when it is the same, so both lines always pass.
            if let Some(stale) = nft::element(&self.table, map, &key).await {
                script += &format!("delete element ip {} {map} {{ {key} : {stale} }}\n", self.table);
            }
            script += &format!("add element ip {} {map} {{ {key} : {pod} . {} }}\n", self.table, port.container_port);
        }
        if script.is_empty() { Ok(()) } else { nft::run(&script).await.map_err(RuntimeError::Failed) }
    }

    /// Takes a pod's ports away, except those that a later pod holds by now.
    pub(super) async fn unpublish(&self, ports: &[HostPort], pod: Ipv4Addr) -> Result<(), RuntimeError> {
        let mut script = String::new();
        for port in ports {
            let (map, key) = element(port);
            let target = format!("{pod} . {}", port.container_port);
            if nft::element(&self.table, map, &key).await.is_some_and(|held| held == target) {
                script += &format!("delete element ip {} {map} {{ {key} : {target} }}\n", self.table);
            }
        }
        if !script.is_empty() {
            nft::run(&script).await.map_err(RuntimeError::Failed)?;
        }
        if ports.iter().any(|p| p.protocol.eq_ignore_ascii_case("UDP")) {
            nft::forget_connections(&["-p", "udp", "--dst-nat", &pod.to_string()]).await;
        }
        Ok(())
    }

    /// Marked connections are those of pods to their own node's addresses: where they were led back to a pod,
    /// its answer must pass here again. Whatever is still bound for the Services' network behind the proxy's
    /// rules is bound for a port that no Service has.
    fn script(&self, options: &BridgeOptions) -> String {
        let BridgeOptions { bridge, subnet: pods, service_subnet: services, .. } = options;
        let table = &self.table;
        let lead = ["ip daddr . meta l4proto . th dport map @address-ports", "meta l4proto . th dport map @ports"];
        let mut script = format!(
            "add table ip {table}
add map ip {table} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
add map ip {table} address-ports {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
add set ip {table} same-network {{ type ipv4_addr; flags interval; auto-merge; }}
add element ip {table} same-network {{ {pods} }}
add chain ip {table} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain ip {table} output {{ type nat hook output priority -100; policy accept; }}
add chain ip {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
add chain ip {table} forward {{ type filter hook forward priority 10; policy accept; }}
add chain ip {table} local {{ type filter hook output priority 10; policy accept; }}
"
        );
        for chain in ["prerouting", "output", "postrouting", "forward", "local"] {
            script += &format!("flush chain ip {table} {chain}\n");
        }
        let mut rule = |chain: &str, text: String| script += &format!("add rule ip {table} {chain} {text}\n");
        let local = "fib daddr type local ip daddr != 127.0.0.0/8";
        rule("prerouting", format!("ip saddr {pods} {local} meta mark set meta mark or {MARK}"));
        for map in lead {
            rule("prerouting", format!("{local} dnat ip to {map}"));
            rule("output", format!("{local} dnat ip to {map}"));
        }
        rule("postrouting", format!("meta mark and {MARK} != 0 ct status dnat ip daddr {pods} masquerade"));
        rule("postrouting", format!("ip saddr {pods} ip daddr != @same-network oifname != \"{bridge}\" masquerade"));
        for chain in ["forward", "local"] {
            // Resets are not held back by the kernel's limit of ICMP messages per client.
            for verdict in ["meta l4proto tcp reject with tcp reset", "reject"] {
                rule(chain, format!("oifname \"{bridge}\" ip daddr {services} ct state new {verdict}"));
            }
        }
        script
    }
}

/// The map and the key of a published port. Ports of one address are a map of their own.
fn element(port: &HostPort) -> (&'static str, String) {
    let key = format!("{} . {}", port.protocol.to_lowercase(), port.host_port);
    match port.host_ip {
        Some(IpAddr::V4(address)) if !address.is_unspecified() => ("address-ports", format!("{address} . {key}")),
        _ => ("ports", key),
    }
}
