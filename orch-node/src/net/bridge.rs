//! [`BridgeNetwork`]: pods on a bridge, each by a pair of virtual Ethernet devices.
//!
//! ```text
//! pod netns: eth0 10.244.0.7/24 ─┐ veth pair ┌─ vethXXXX ── orch0 (bridge, 10.244.0.1/24) ── routes, NAT
//! ```

use super::{
    PodNetwork,
    ipam::{Ipam, Subnet},
    namespace,
    rules::PodRules,
};
use async_trait::async_trait;
use futures::TryStreamExt;
use orch_runtime::node::container::{RuntimeError, SandboxConfig};
use rtnetlink::{
    Handle, LinkBridge, LinkBridgePort, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::{AddressFamily, link::LinkAttribute},
};
use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

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
    rules: PodRules,
    handle: Handle,
    bridge_index: u32,
}

impl BridgeNetwork {
    /// Makes the bridge, the routes and the rules that let pods out, as far as they are missing.
    pub async fn open(options: BridgeOptions, tasks: &orch_store::Tasks) -> Result<Self, RuntimeError> {
        let handle = netlink(tasks)?;
        let ipam = Ipam::open(&options.directory, options.subnet).map_err(failed("pod addresses"))?;
        let bridge_index = ensure_bridge(&handle, &options).await?;
        allow_forwarding();
        let rules = PodRules::open(&options).await?;
        Ok(Self { options, ipam, rules, handle, bridge_index })
    }

    /// Removes what [`BridgeNetwork::open`] and `attach` made: the bridge with its routes, the pods' devices, the
    /// rules and the addresses. What is not there is no error.
    pub async fn remove(options: &BridgeOptions, tasks: &orch_store::Tasks) -> Result<(), RuntimeError> {
        let handle = netlink(tasks)?;
        if let Some(bridge) = index_of(&handle, &options.bridge).await? {
            for device in members_of(&handle, bridge).await? {
                handle.link().del(device).execute().await.map_err(failed("removing a device"))?;
            }
            handle.link().del(bridge).execute().await.map_err(failed("removing the bridge"))?;
        }
        PodRules::of(options).remove().await?;
        match fs::remove_dir_all(&options.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("pod addresses")(error)),
            _ => Ok(()),
        }
    }

    /// Pods keep their own addresses towards this network: that of another node's pods.
    pub async fn keep_source(&self, network: Subnet) -> Result<(), RuntimeError> {
        self.rules.keep_source(network).await
    }

    /// An address of its own for a further node of this machine, on the bridge: the same at every call.
    pub async fn node_address(&self, node: &str) -> Result<Ipv4Addr, RuntimeError> {
        let address = self.ipam.allocate(&format!("node/{node}")).map_err(failed("the node's address"))?;
        let add = self.handle.address().add(self.bridge_index, address.into(), 32).replace();
        add.execute().await.map_err(failed("the node's address"))?;
        Ok(address)
    }

    /// Whether bridged traffic passes the hooks of netfilter, which Services between pods of one node need to see
    /// the client's address. [`BridgeNetwork::open`] asks the kernel for it, so this is to be read afterwards.
    pub fn passes_hooks() -> bool {
        fs::read_to_string(BRIDGE_HOOKS).is_ok_and(|text| text.trim() == "1")
    }

    async fn connect(&self, netns: &Path, sandbox: &str, address: Ipv4Addr) -> Result<(), RuntimeError> {
        let host = device(sandbox);
        if index_of(&self.handle, &host).await?.is_some() {
            if namespace::run(netns.to_owned(), move |handle| is_configured(handle, address)).await.is_ok() {
                return Ok(());
            }
            // An agent died half way, or the sandbox has a new namespace.
            self.remove_device(&host).await?;
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
            // A pod that reaches itself through a Service is led back out of the port that it came in by.
            let joined = index_of(&self.handle, &host).await?.ok_or_else(missing)?;
            let port = LinkBridgePort::new(joined).hairpin(true).build();
            self.handle.link().set_port(port).execute().await.map_err(failed("the bridge's port"))?;
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
}

#[async_trait]
impl PodNetwork for BridgeNetwork {
    async fn attach(&self, netns: &Path, sandbox: &SandboxConfig) -> Result<Vec<IpAddr>, RuntimeError> {
        let id = identity(sandbox);
        let address = self.ipam.allocate(&id).map_err(failed("pod addresses"))?;
        let connected = match self.connect(netns, &id, address).await {
            Ok(()) => self.rules.publish(&sandbox.host_ports, address).await,
            Err(error) => Err(error),
        };
        if let Err(error) = connected {
            // The first error says more than one of cleaning up would.
            let _ = self.detach(netns, sandbox).await;
            return Err(error);
        }
        Ok(vec![address.into()])
    }

    async fn detach(&self, _netns: &Path, sandbox: &SandboxConfig) -> Result<(), RuntimeError> {
        let id = identity(sandbox);
        self.remove_device(&device(&id)).await?;
        if let Some(address) = self.ipam.address_of(&id) {
            self.rules.unpublish(&sandbox.host_ports, address).await?;
        }
        self.ipam.release(&id).map_err(failed("pod addresses"))
    }
}

const BRIDGE_HOOKS: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

pub(super) fn netlink(tasks: &orch_store::Tasks) -> Result<Handle, RuntimeError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(failed("netlink"))?;
    tasks.spawn(connection);
    Ok(handle)
}

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

/// Whether the pod's end is as [`configure`] leaves it: the default route comes last.
async fn is_configured(handle: Handle, address: Ipv4Addr) -> Result<(), RuntimeError> {
    let incomplete = || RuntimeError::Failed("the pod's device is not set up".into());
    let index = index_of(&handle, "eth0").await?.ok_or_else(incomplete)?;
    let mut addresses =
        handle.address().get().set_link_index_filter(index).set_address_filter(address.into()).execute();
    addresses.try_next().await.map_err(failed("the pod's address"))?.ok_or_else(incomplete)?;
    let mut routes = handle.route().get(RouteMessageBuilder::<Ipv4Addr>::new().build()).execute();
    while let Some(route) = routes.try_next().await.map_err(failed("the pod's routes"))? {
        if route.header.destination_prefix_length == 0 && route.header.address_family == AddressFamily::Inet {
            return Ok(());
        }
    }
    Err(incomplete())
}

/// The devices that are attached to a bridge.
async fn members_of(handle: &Handle, bridge: u32) -> Result<Vec<u32>, RuntimeError> {
    let links: Vec<_> = handle.link().get().execute().try_collect().await.map_err(failed("looking for devices"))?;
    let joined = |a: &LinkAttribute| matches!(a, LinkAttribute::Controller(index) if *index == bridge);
    Ok(links.iter().filter(|l| l.attributes.iter().any(joined)).map(|l| l.header.index).collect())
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

fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> RuntimeError {
    move |error| RuntimeError::Failed(format!("{what}: {error}"))
}
