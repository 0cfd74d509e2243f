//! [`BridgeNetwork`]: pods on a bridge, each by a pair of virtual Ethernet devices.
//!
//! ```text
//! pod netns: eth0 10.244.0.7/24 ─┐ veth pair ┌─ vethXXXX ── orch0 (bridge, 10.244.0.1/24) ── routes, NAT
//! ```

use super::{
    PodNetwork,
    ipam::{Ipam, Subnet},
    namespace,
};
use async_trait::async_trait;
use futures::TryStreamExt;
use orch_runtime::node::container::{HostPort, RuntimeError, SandboxConfig};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder, packet_route::link::LinkAttribute};
use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// What a bridge network is made of.
#[derive(Clone, Debug)]
pub struct BridgeOptions {
    /// Name of the bridge; clusters that share a network namespace need different ones.
    pub bridge: String,
    /// Addresses of the pods; the first is the bridge's.
    pub subnet: Subnet,
    /// Network of the Services: routed to the bridge, so that the node itself can reach them.
    pub service_subnet: Subnet,
    /// Where addresses are kept.
    pub directory: PathBuf,
}

/// Pods on a bridge.
pub struct BridgeNetwork {
    options: BridgeOptions,
    ipam: Ipam,
    handle: Handle,
    bridge_index: u32,
}

impl BridgeNetwork {
    /// Makes the bridge, the routes and the rules that let pods out, as far as they are missing.
    pub async fn open(options: BridgeOptions, tasks: &orch_store::Tasks) -> Result<Self, RuntimeError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(failed("netlink"))?;
        tasks.spawn(connection);
        let ipam = Ipam::open(&options.directory, options.subnet).map_err(failed("pod addresses"))?;
        let bridge_index = ensure_bridge(&handle, &options).await?;
        allow_forwarding();
        masquerade(&options).await?;
        Ok(Self { options, ipam, handle, bridge_index })
    }

    /// Whether bridged traffic passes the hooks of netfilter, which Services between pods of one node need.
    pub fn passes_hooks() -> bool {
        fs::read_to_string(BRIDGE_HOOKS).is_ok_and(|text| text.trim() == "1")
    }

    async fn connect(&self, netns: &Path, sandbox: &str, address: Ipv4Addr) -> Result<(), RuntimeError> {
        let host = device(sandbox);
        if index_of(&self.handle, &host).await?.is_some() {
            return Ok(());
        }
        let namespace = File::open(netns).map_err(failed("the pod's network namespace"))?;
        let peer = format!("p{}", &host[1..]);
        let add = self.handle.link().add(LinkVeth::new(&host, &peer).build());
        add.execute().await.map_err(failed("adding a device"))?;
        let result = async {
            let missing = || RuntimeError::Failed(format!("the device {peer} is gone"));
            let peer_index = index_of(&self.handle, &peer).await?.ok_or_else(missing)?;
            let moved = LinkUnspec::new_with_index(peer_index).setns_by_fd(namespace.as_raw_fd()).build();
            self.handle.link().set(moved).execute().await.map_err(failed("moving a device to the pod"))?;
            let up = LinkUnspec::new_with_name(&host).controller(self.bridge_index).up().build();
            self.handle.link().set(up).execute().await.map_err(failed("joining the bridge"))?;
            let (gateway, prefix) = (self.options.subnet.gateway(), self.options.subnet.prefix);
            let peer = peer.clone();
            namespace::run(netns.to_owned(), move |handle| configure(handle, peer, address, prefix, gateway)).await
        }
        .await;
        if result.is_err() {
            // Half a connection is none: the next attempt begins anew.
            let _ = self.remove_device(&host).await;
        }
        result
    }

    async fn remove_device(&self, name: &str) -> Result<(), RuntimeError> {
        match index_of(&self.handle, name).await? {
            Some(index) => self.handle.link().del(index).execute().await.map_err(failed("removing a device")),
            None => Ok(()),
        }
    }

    async fn publish(&self, ports: &[HostPort], address: Ipv4Addr) -> Result<(), RuntimeError> {
        let table = host_table(&self.options);
        let mut script = String::new();
        for port in ports {
            let (proto, from, to) = (port.protocol.to_lowercase(), port.host_port, port.container_port);
            script += &format!("add element ip {table} ports {{ {proto} . {from} : {address} . {to} }}\n");
        }
        nft(&script).await
    }

    async fn unpublish(&self, ports: &[HostPort], address: Ipv4Addr) {
        let table = host_table(&self.options);
        for port in ports {
            let (proto, from, to) = (port.protocol.to_lowercase(), port.host_port, port.container_port);
            // The element may be gone or belong to a later pod; then there is nothing to take away.
            let _ = nft(&format!("delete element ip {table} ports {{ {proto} . {from} : {address} . {to} }}\n")).await;
        }
    }
}

#[async_trait]
impl PodNetwork for BridgeNetwork {
    async fn attach(&self, netns: &Path, sandbox: &SandboxConfig) -> Result<Vec<IpAddr>, RuntimeError> {
        let id = identity(sandbox);
        let address = self.ipam.allocate(&id).map_err(failed("pod addresses"))?;
        if let Err(error) = self.connect(netns, &id, address).await {
            let _ = self.ipam.release(&id);
            return Err(error);
        }
        self.publish(&sandbox.host_ports, address).await?;
        Ok(vec![address.into()])
    }

    async fn detach(&self, _netns: &Path, sandbox: &SandboxConfig) -> Result<(), RuntimeError> {
        let id = identity(sandbox);
        self.remove_device(&device(&id)).await?;
        if !sandbox.host_ports.is_empty()
            && let Ok(address) = self.ipam.allocate(&id)
        {
            self.unpublish(&sandbox.host_ports, address).await;
        }
        self.ipam.release(&id).map_err(failed("pod addresses"))
    }
}

const BRIDGE_HOOKS: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

async fn ensure_bridge(handle: &Handle, options: &BridgeOptions) -> Result<u32, RuntimeError> {
    let name = &options.bridge;
    if index_of(handle, name).await?.is_none() {
        let add = handle.link().add(LinkBridge::new(name).up().build());
        add.execute().await.map_err(failed("adding the bridge (needs CAP_NET_ADMIN)"))?;
    }
    let index = index_of(handle, name).await?.ok_or_else(|| RuntimeError::Failed(format!("no bridge {name}")))?;
    let (gateway, prefix) = (options.subnet.gateway(), options.subnet.prefix);
    let address = handle.address().add(index, gateway.into(), prefix).replace();
    address.execute().await.map_err(failed("the bridge's address"))?;
    let up = LinkUnspec::new_with_index(index).up().build();
    handle.link().set(up).execute().await.map_err(failed("starting the bridge"))?;
    let Subnet { base, prefix } = options.service_subnet;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(base, prefix).output_interface(index);
    handle.route().add(route.build()).replace().execute().await.map_err(failed("the route to the services"))?;
    Ok(index)
}

/// Best effort: a kernel without the switch needs none, and one that refuses says so when packets do not pass.
fn allow_forwarding() {
    for (path, value) in [("/proc/sys/net/ipv4/ip_forward", "1"), (BRIDGE_HOOKS, "1")] {
        if let Err(error) = fs::write(path, value) {
            tracing::debug!(%error, path, "not set");
        }
    }
}

/// Lets pods reach the world with the node's address, and publishes host ports.
async fn masquerade(options: &BridgeOptions) -> Result<(), RuntimeError> {
    let (table, pods, bridge) = (host_table(options), options.subnet, &options.bridge);
    nft(&format!(
        "add table ip {table}
add map ip {table} ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
add chain ip {table} prerouting {{ type nat hook prerouting priority dstnat; policy accept; }}
add chain ip {table} output {{ type nat hook output priority -100; policy accept; }}
add chain ip {table} postrouting {{ type nat hook postrouting priority srcnat; policy accept; }}
flush chain ip {table} prerouting
flush chain ip {table} output
flush chain ip {table} postrouting
add rule ip {table} prerouting fib daddr type local dnat ip to meta l4proto . th dport map @ports
add rule ip {table} output fib daddr type local ip daddr != 127.0.0.0/8 dnat ip to meta l4proto . th dport map @ports
add rule ip {table} postrouting ip saddr {pods} oifname != \"{bridge}\" masquerade
add rule ip {table} postrouting ip saddr {pods} ip daddr {pods} fib saddr type local masquerade
"
    ))
    .await
}

fn host_table(options: &BridgeOptions) -> String {
    format!("{}-net", options.bridge)
}

/// Gives the pod's end its name, address and default route. Runs inside the pod's namespace.
async fn configure(
    handle: Handle,
    peer: String,
    address: Ipv4Addr,
    prefix: u8,
    gateway: Ipv4Addr,
) -> Result<(), RuntimeError> {
    let missing = || RuntimeError::Failed("the pod's device is gone".into());
    let index = index_of(&handle, &peer).await?.ok_or_else(missing)?;
    let rename = LinkUnspec::new_with_index(index).name("eth0").build();
    handle.link().set(rename).execute().await.map_err(failed("naming the pod's device"))?;
    let add = handle.address().add(index, address.into(), prefix);
    add.execute().await.map_err(failed("the pod's address"))?;
    for link in [index, 1] {
        let up = LinkUnspec::new_with_index(link).up().build();
        handle.link().set(up).execute().await.map_err(failed("starting the pod's device"))?;
    }
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
    handle.route().add(route).execute().await.map_err(failed("the pod's default route"))
}

async fn index_of(handle: &Handle, name: &str) -> Result<Option<u32>, RuntimeError> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await {
        Ok(link) => Ok(link
            .filter(|l| l.attributes.iter().any(|a| matches!(a, LinkAttribute::IfName(n) if n == name)))
            .map(|l| l.header.index)),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -nix::libc::ENODEV => Ok(None),
        Err(error) => Err(failed("looking for a device")(error)),
    }
}

/// Who holds an address: a pod may be tried several times, each with a sandbox of its own.
fn identity(sandbox: &SandboxConfig) -> String {
    format!("{}-{}", sandbox.uid, sandbox.attempt)
}

/// The name of the node's end of the pair; at most 15 bytes.
fn device(sandbox: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in sandbox.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("veth{:010x}", hash & 0xff_ffff_ffff)
}

async fn nft(script: &str) -> Result<(), RuntimeError> {
    if script.is_empty() {
        return Ok(());
    }
    let output = Command::new("nft").arg(script).output().await.map_err(failed("nft"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(RuntimeError::Failed(format!("nft: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> RuntimeError {
    move |error| RuntimeError::Failed(format!("{what}: {error}"))
}
