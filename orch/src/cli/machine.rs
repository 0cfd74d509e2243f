//! What this machine can run, and the node that it becomes.

use super::{Failure, data_dir::DataDir};
use crate::cluster::{Cluster, NodeParts};
use clap::ValueEnum;
use k8s_openapi::api::{
    core::v1::{Service, ServicePort, ServiceSpec},
    discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
};
use orch_api::kube_core::ObjectMeta;
use orch_node::{
    AgentConfig, ProcessRuntime,
    agent::Machine,
    dns::{self, DnsOptions},
    files::DnsConfig,
    net::{BridgeNetwork, BridgeOptions, PodNetwork, Subnet},
    oci::{OciRuntime, RuntimeOptions},
    probe::NetProber,
    proxy::{self, Nftables, NftablesOptions, Userspace},
};
use orch_runtime::node::container::ContainerRuntime;
use orch_store::{Ambient, ClientExt};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The network of the pods.
const POD_SUBNET: &str = "10.244.0.0/24";
/// The address of the cluster's DNS.
const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const DOMAIN: &str = "cluster.local";
/// Who owns the fields that the binary itself writes.
const FIELD_MANAGER: &str = "orch";

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
    Containers { runtime: Arc<dyn ContainerRuntime>, bridge: BridgeOptions, nft: NftablesOptions },
    /// Processes on loopback addresses.
    Processes { runtime: Arc<dyn ContainerRuntime> },
    /// Nothing of its own.
    Simulated,
}

/// Decides what runs here. The reason why it is less than containers is for the user.
pub(super) async fn choose(kind: RuntimeKind) -> (RuntimeKind, Option<String>) {
    match kind {
        RuntimeKind::Auto if !nix::unistd::geteuid().is_root() => {
            (RuntimeKind::Process, Some("not root: pods are plain processes, nothing is isolated".into()))
        }
        RuntimeKind::Auto if !Nftables::is_available().await => {
            (RuntimeKind::Process, Some("no nft: pods are plain processes, nothing is isolated".into()))
        }
        RuntimeKind::Auto => (RuntimeKind::Oci, None),
        kind => (kind, None),
    }
}

/// Opens the runtime of a data directory: adopts what runs there.
pub(super) async fn open(kind: RuntimeKind, data: &DataDir, ambient: &Ambient) -> Result<Plan, Failure> {
    let executable = std::env::current_exe()?;
    let command = |name: &str| vec![executable.display().to_string(), name.to_owned()];
    match kind {
        RuntimeKind::Simulated => Ok(Plan::Simulated),
        RuntimeKind::Process => {
            let runtime = ProcessRuntime::open(&data.node().join("process"), command("process-shim"), ambient.clone())?;
            Ok(Plan::Processes { runtime: Arc::new(runtime) })
        }
        RuntimeKind::Oci | RuntimeKind::Auto => {
            let (bridge, nft) = network_options(data)?;
            let network: Arc<dyn PodNetwork> = Arc::new(BridgeNetwork::open(bridge.clone(), &ambient.tasks).await?);
            let options = RuntimeOptions {
                state_dir: images_and_sandboxes(data),
                shim_command: command("oci-shim"),
                cgroup_root: data.tag(),
                registries: orch_node::image::Registries::default(),
                network,
                toolbox: Some(executable.clone()),
                ambient: ambient.clone(),
            };
            let runtime = OciRuntime::open(options).await?;
            Ok(Plan::Containers { runtime: Arc::new(runtime), bridge, nft })
        }
    }
}

/// Where the OCI runtime keeps images and sandboxes.
pub(super) fn images_and_sandboxes(data: &DataDir) -> PathBuf {
    data.node().join("oci")
}

/// The images of a data directory, which need no lock: the store's files are written atomically.
pub(super) fn images_of(data_dir: &Path) -> PathBuf {
    data_dir.join("node/oci/images")
}

/// Takes away what the network of a data directory made in the kernel.
pub(super) async fn remove_network(data: &DataDir) -> Result<(), Failure> {
    if !Nftables::is_available().await {
        return Ok(());
    }
    let (_, nft) = network_options(data)?;
    Nftables::new(nft).remove().await?;
    Ok(())
}

fn network_options(data: &DataDir) -> Result<(BridgeOptions, NftablesOptions), Failure> {
    let tag = data.tag();
    let bridge = BridgeOptions {
        bridge: tag.clone(),
        subnet: POD_SUBNET.parse::<Subnet>()?,
        service_subnet: "10.96.0.0/16".parse::<Subnet>()?,
        directory: data.node().join("addresses"),
    };
    let nft =
        NftablesOptions { table: tag, pod_cidr: POD_SUBNET.into(), bridge_passes_hooks: BridgeNetwork::passes_hooks() };
    Ok((bridge, nft))
}

/// The node of this machine, for [`crate::Builder::node`].
pub(super) fn node(name: &str, plan: &Plan, data: &DataDir) -> Option<(AgentConfig, NodeParts)> {
    let (runtime, address, servers) = match plan {
        Plan::Containers { runtime, bridge, .. } => {
            (runtime.clone(), IpAddr::from(bridge.subnet.gateway()), vec![IpAddr::from(DNS_ADDRESS)])
        }
        Plan::Processes { runtime } => (runtime.clone(), Ipv4Addr::LOCALHOST.into(), Vec::new()),
        Plan::Simulated => return None,
    };
    let directory = data.node().join("agent");
    let mut config = AgentConfig::new(name, &directory);
    config.machine = Machine::detect(&directory);
    config.addresses = vec![address];
    config.dns = DnsConfig { cluster_servers: servers, cluster_domain: DOMAIN.into(), node_resolv_conf: resolv_conf() };
    Some((config, NodeParts { prober: Arc::new(NetProber { runtime: runtime.clone() }), runtime }))
}

/// Starts the service proxy and the cluster DNS.
pub(super) async fn start_network(name: &str, plan: &Plan, cluster: &Cluster) -> Result<(), Failure> {
    let (informers, ambient) = (cluster.informers().clone(), cluster.ambient().clone());
    match plan {
        Plan::Containers { bridge, nft, .. } => {
            let rules = Nftables::new(nft.clone());
            ambient.tasks.spawn(proxy::run(name.to_owned(), informers.clone(), rules, ambient.clone()));
            let gateway = bridge.subnet.gateway();
            let options = DnsOptions {
                listen: (gateway, 53).into(),
                domain: DOMAIN.into(),
                upstream: dns::nameservers(&resolv_conf()),
            };
            let address = dns::start(options, informers, &ambient).await?;
            publish_dns(cluster, address.ip(), address.port()).await
        }
        Plan::Processes { .. } => {
            let sockets = Userspace::new(ambient.clone());
            ambient.tasks.spawn(proxy::run(name.to_owned(), informers, sockets, ambient.clone()));
            Ok(())
        }
        Plan::Simulated => Ok(()),
    }
}

/// The Service `kube-dns`, whose endpoint is this process.
async fn publish_dns(cluster: &Cluster, address: IpAddr, port: u16) -> Result<(), Failure> {
    let meta = |labels: &[(&str, &str)]| ObjectMeta {
        name: Some("kube-dns".into()),
        namespace: Some("kube-system".into()),
        labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
        ..ObjectMeta::default()
    };
    let ports = ["UDP", "TCP"].map(|protocol| (format!("dns-{}", protocol.to_lowercase()), protocol));
    let service = Service {
        metadata: meta(&[("k8s-app", "kube-dns"), ("kubernetes.io/name", "CoreDNS")]),
        spec: Some(ServiceSpec {
            cluster_ip: Some(DNS_ADDRESS.to_string()),
            ports: Some(
                ports
                    .iter()
                    .map(|(name, protocol)| ServicePort {
                        name: Some(name.clone()),
                        protocol: Some((*protocol).into()),
                        port: 53,
                        ..ServicePort::default()
                    })
                    .collect(),
            ),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    let slice = EndpointSlice {
        metadata: meta(&[("kubernetes.io/service-name", "kube-dns")]),
        address_type: "IPv4".into(),
        endpoints: Some(vec![Endpoint { addresses: vec![address.to_string()], ..Endpoint::default() }]),
        ports: Some(
            ports
                .iter()
                .map(|(name, protocol)| EndpointPort {
                    name: Some(name.clone()),
                    protocol: Some((*protocol).into()),
                    port: Some(port.into()),
                    ..EndpointPort::default()
                })
                .collect(),
        ),
    };
    let client = cluster.client();
    client.apply(&service, FIELD_MANAGER, true).await?;
    client.apply(&slice, FIELD_MANAGER, true).await?;
    Ok(())
}

fn resolv_conf() -> String {
    std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
}
