//! What this machine can run, and the node that it becomes.

use super::{
    Failure,
    data_dir::{DataDir, numbered},
    networks::{Ground, Networks},
    publish,
};
use crate::cluster::{Cluster, NodeParts};
use clap::ValueEnum;
use orch_node::{
    AgentConfig, ProcessRuntime,
    agent::Machine,
    dns::{self, DnsOptions},
    files::DnsConfig,
    net::{self, BridgeNetwork, BridgeOptions, Choice},
    oci::{OciRuntime, RuntimeOptions},
    probe::NetProber,
    proxy::{self, Nftables, NftablesOptions, Userspace},
};
use orch_runtime::node::container::ContainerRuntime;
use orch_store::Ambient;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

const DOMAIN: &str = "cluster.local";
/// The port of DNS, and where it is served by who may not have that one.
const DNS_PORTS: (u16, u16) = (53, 5353);
/// Of the part of the pods' network that each node has whose pods are processes.
const NODE_PREFIX: u8 = 20;

/// Who runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RuntimeKind {
    /// `oci` for root where the kernel allows it, else `process`.
    Auto,
    /// Real containers.
    Oci,
    /// Plain processes of this machine: nothing is isolated.
    Process,
    /// No processes: pods only say that they run.
    Simulated,
}

/// What the machine contributes to the cluster.
pub(super) enum Plan {
    /// Real containers on a bridge.
    Containers { nodes: Vec<OnMachine>, networks: Networks, nft: NftablesOptions },
    /// Processes on loopback addresses.
    Processes { nodes: Vec<OnMachine>, networks: Networks },
    /// Nothing of its own.
    Simulated,
}

/// A node of this machine. Several share its kernel, its network and its images.
pub(super) struct OnMachine {
    /// The first is 1.
    number: u32,
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    address: IpAddr,
}

/// Decides what runs here. The reason why it is less than containers is for the user.
pub(super) async fn choose(kind: RuntimeKind) -> (RuntimeKind, Option<String>) {
    if kind != RuntimeKind::Auto {
        return (kind, None);
    }
    let capabilities = net::detect().await;
    match capabilities.choice() {
        Choice::Bridge => (RuntimeKind::Oci, None),
        Choice::Userspace => {
            (RuntimeKind::Process, Some(format!("{capabilities}: pods are plain processes, nothing is isolated")))
        }
    }
}

/// Opens the runtimes of the nodes of a data directory: adopts what runs there.
pub(super) async fn open(kind: RuntimeKind, nodes: u32, data: &DataDir, ambient: &Ambient) -> Result<Plan, Failure> {
    let numbers = 1..=nodes;
    let executable = std::env::current_exe()?;
    let command = |name: &str| vec![executable.display().to_string(), name.to_owned()];
    match kind {
        RuntimeKind::Simulated => Ok(Plan::Simulated),
        RuntimeKind::Process => {
            let networks = Networks::of(data, Ground::Loopback, &ambient.tasks).await?;
            let mut nodes = Vec::new();
            for number in numbers {
                let (state, shim) = (processes_of(data, number), command("process-shim"));
                let pods = networks.pods.part(NODE_PREFIX, number - 1).ok_or("a machine has room for 16 such nodes")?;
                let runtime = ProcessRuntime::open(&state, shim, pods, ambient.clone())?;
                nodes.push(OnMachine { number, runtime: Arc::new(runtime), address: Ipv4Addr::LOCALHOST.into() });
            }
            Ok(Plan::Processes { nodes, networks })
        }
        RuntimeKind::Oci | RuntimeKind::Auto => {
            let networks = Networks::of(data, Ground::Bridge, &ambient.tasks).await?;
            let bridge = bridge_options(data, &networks);
            let network = Arc::new(BridgeNetwork::open(bridge, &ambient.tasks).await?);
            let nft = nft_options(data, &networks);
            let options = RuntimeOptions {
                state_dir: sandboxes_of(data, 1),
                shim_command: command("oci-shim"),
                cgroup_root: data.tag(),
                registries: orch_node::image::Registries::default(),
                network: network.clone(),
                toolbox: Some(executable.clone()),
                ambient: ambient.clone(),
            };
            let further = (2..=nodes).map(|number| (sandboxes_of(data, number), data.tag_of(number))).collect();
            let runtimes = OciRuntime::open_all(options, further).await?;
            let mut nodes = Vec::new();
            for (number, runtime) in numbers.zip(runtimes) {
                let address = match number {
                    1 => networks.pods.gateway(),
                    _ => network.node_address(&number.to_string()).await?,
                };
                nodes.push(OnMachine { number, runtime: Arc::new(runtime), address: address.into() });
            }
            Ok(Plan::Containers { nodes, networks, nft })
        }
    }
}

/// Where the OCI runtime of a node keeps sandboxes; the first keeps the images of all.
pub(super) fn sandboxes_of(data: &DataDir, number: u32) -> PathBuf {
    data.node_of(number).join("oci")
}

/// Where the process runtime of a node keeps sandboxes.
pub(super) fn processes_of(data: &DataDir, number: u32) -> PathBuf {
    data.node_of(number).join("process")
}

/// The images of a data directory, which need no lock: the store's files are written atomically.
pub(super) fn images_of(data_dir: &Path) -> PathBuf {
    data_dir.join("node/oci/images")
}

/// Takes away what the network of a data directory made in the kernel.
pub(super) async fn remove_network(data: &DataDir, ambient: &Ambient) -> Result<(), Failure> {
    if !Nftables::is_available().await {
        return Ok(());
    }
    let networks = Networks::of(data, Ground::Bridge, &ambient.tasks).await?;
    Nftables::new(nft_options(data, &networks)).remove().await?;
    BridgeNetwork::remove(&bridge_options(data, &networks), &ambient.tasks).await?;
    Ok(())
}

fn bridge_options(data: &DataDir, networks: &Networks) -> BridgeOptions {
    BridgeOptions {
        bridge: data.tag(),
        subnet: networks.pods,
        service_subnet: networks.services,
        directory: data.node().join("addresses"),
    }
}

/// To be asked after the bridge was opened, which lets bridged traffic pass the hooks where it can.
fn nft_options(data: &DataDir, networks: &Networks) -> NftablesOptions {
    NftablesOptions {
        table: data.tag(),
        pod_cidr: networks.pods.to_string(),
        bridge_passes_hooks: BridgeNetwork::passes_hooks(),
    }
}

impl Plan {
    /// Where pods and Services have their addresses, unless nothing runs.
    pub(super) fn networks(&self) -> Option<&Networks> {
        match self {
            Self::Containers { networks, .. } | Self::Processes { networks, .. } => Some(networks),
            Self::Simulated => None,
        }
    }

    /// The nodes of this machine that really run something.
    pub(super) fn nodes(&self) -> &[OnMachine] {
        match self {
            Self::Containers { nodes, .. } | Self::Processes { nodes, .. } => nodes,
            Self::Simulated => &[],
        }
    }

    /// The address at which pods find what this process serves.
    pub(super) fn host(&self) -> Ipv4Addr {
        match self {
            Self::Containers { networks, .. } => networks.pods.gateway(),
            Self::Processes { .. } | Self::Simulated => Ipv4Addr::LOCALHOST,
        }
    }
}

/// The nodes of this machine, for [`crate::Builder::node`]. The first has the machine's name.
pub(super) fn nodes(name: &str, plan: &Plan, data: &DataDir) -> Vec<(AgentConfig, NodeParts)> {
    let servers = match plan {
        Plan::Containers { networks, .. } => vec![IpAddr::from(networks.dns())],
        // Processes read the machine's own resolv.conf, whatever a pod says.
        Plan::Processes { .. } | Plan::Simulated => Vec::new(),
    };
    let dns = DnsConfig { cluster_servers: servers, cluster_domain: DOMAIN.into(), node_resolv_conf: resolv_conf() };
    let all = plan.nodes();
    let node = |node: &OnMachine| {
        let directory = data.node_of(node.number).join("agent");
        let mut config = AgentConfig::new(numbered(name, node.number), &directory);
        config.machine = Machine::detect(data.path());
        config.addresses = vec![node.address];
        config.dns = dns.clone();
        config.shares_machine = all.len() > 1;
        let runtime = node.runtime.clone();
        (config, NodeParts { prober: Arc::new(NetProber { runtime: runtime.clone() }), runtime })
    };
    all.iter().map(node).collect()
}

/// Starts the service proxy and the cluster DNS, and tells pods that the API server listens at that port.
pub(super) async fn start_network(plan: &Plan, api: u16, cluster: &Cluster) -> Result<(), Failure> {
    let names: Vec<_> = cluster.agents().iter().map(|agent| agent.name().to_owned()).collect();
    let (informers, ambient) = (cluster.informers().clone(), cluster.ambient().clone());
    let options =
        |listen: SocketAddr| DnsOptions { listen, domain: DOMAIN.into(), upstream: dns::nameservers(&resolv_conf()) };
    let (usual, other) = DNS_PORTS;
    match plan {
        Plan::Containers { networks, nft, .. } => {
            let rules = Nftables::new(nft.clone());
            ambient.tasks.spawn(proxy::run(names, informers.clone(), rules, ambient.clone()));
            let server = dns::start(options((plan.host(), usual).into()), informers, &ambient).await?;
            publish::dns(cluster, networks.dns(), usual, server).await?;
        }
        Plan::Processes { networks, .. } => {
            let sockets = Userspace::new(ambient.clone());
            ambient.tasks.spawn(proxy::run(names, informers.clone(), sockets, ambient.clone()));
            // At the first address of the pods, so that the Service's own is the proxy's to listen on.
            let at = |port| options((networks.pods.gateway(), port).into());
            let (server, port) = match dns::start(at(usual), informers.clone(), &ambient).await {
                Ok(server) => (server, usual),
                Err(_) => (dns::start(at(other), informers, &ambient).await?, other),
            };
            publish::dns(cluster, networks.dns(), port, server).await?;
        }
        Plan::Simulated => return Ok(()),
    }
    Ok(cluster.advertise((plan.host(), api).into()).await?)
}

fn resolv_conf() -> String {
    std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
}
