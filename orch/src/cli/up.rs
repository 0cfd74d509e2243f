//! `orch up`: everything in one process.

use super::{
    Failure,
    data_dir::DataDir,
    machine::{self, Plan, RuntimeKind},
    runtime,
};
use crate::Cluster;
use clap::{Args, ValueEnum};
use orch_apiserver::{
    alloc::ServiceCidr,
    pki::{self, Pki},
};
use orch_store::{
    Ambient, Backend,
    backend::{EmbeddedBackend, MemoryBackend, embedded},
};
use std::{io::Write, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// How long an orderly end may take.
const FAREWELL: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Up {
    /// Where the cluster keeps everything [default: /var/lib/orch for root, else ~/.local/share/orch]
    #[arg(long, env = "ORCH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Where the API server listens.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Who runs containers.
    #[arg(long, value_enum, default_value_t = RuntimeKind::Auto)]
    runtime: RuntimeKind,
    /// How many nodes this machine is.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// Where objects are stored.
    #[arg(long, value_enum, default_value_t = StoreKind::Embedded)]
    store: StoreKind,
}

#[derive(Clone, Copy, ValueEnum)]
enum StoreKind {
    /// On disk, in the data directory: survives restarts and crashes.
    Embedded,
    /// In memory: gone with the process.
    Memory,
}

impl Up {
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let started = Instant::now();
        let data = DataDir::open(&self.data_dir.clone().unwrap_or_else(DataDir::default_path))?;
        let listener = TcpListener::bind(self.listen).await.map_err(|e| in_use(self.listen, &e))?;
        let address = listener.local_addr()?;
        let ambient = Ambient::system();
        let (kind, why) = machine::choose(self.runtime).await;
        progress(format_args!("data in {}", data.path().display()));
        if let Some(why) = why {
            progress(format_args!("{why}"));
        }

        let pki = Arc::new(Pki::open(&data.pki(), ambient.clock.now())?);
        let backend: Arc<dyn Backend> = match self.store {
            StoreKind::Memory => Arc::new(MemoryBackend::new()),
            StoreKind::Embedded => Arc::new(EmbeddedBackend::open(&data.store(), embedded::Options::default())?),
        };
        let plan = machine::open(kind, self.nodes, &data, &ambient).await?;
        let name = node_name();
        let cluster = self.build(&plan, &name, &data, pki.clone(), backend.clone(), &ambient, address.port()).await?;
        let tls = server_tls(&pki, address, &plan, &ambient)?;
        cluster.serve(listener, tls.clone());
        if let Some(listener) = listen_to_pods(&plan, address).await? {
            cluster.serve(listener, tls);
        }
        machine::start_network(&plan, address.port(), &cluster).await?;
        write_kubeconfig(&data, &pki, address, &ambient)?;
        let ready = format!(
            "orch is ready after {} ms: {} node(s), runtime {}. Try: kubectl --kubeconfig {} get nodes",
            started.elapsed().as_millis(),
            cluster.agents().len(),
            kind.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default(),
            data.kubeconfig().display(),
        );
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{ready}").and_then(|()| out.flush());

        end_signal().await?;
        progress(format_args!("stopping; containers run on (orch down removes them)"));
        if tokio::time::timeout(FAREWELL, cluster.stop()).await.is_err() {
            tracing::warn!("some work did not end in time");
        }
        backend.close().await?;
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // Each is a part made by its own step of `serve`.
    async fn build(
        &self,
        plan: &Plan,
        name: &str,
        data: &DataDir,
        pki: Arc<Pki>,
        backend: Arc<dyn Backend>,
        ambient: &Ambient,
        port: u16,
    ) -> Result<Cluster, Failure> {
        let mut builder = Cluster::builder().ambient(ambient.clone()).store(backend).pki(pki).rbac().api_port(port);
        builder = match plan {
            Plan::Simulated => builder.simulated_nodes(self.nodes),
            _ => machine::nodes(name, plan, data).into_iter().fold(builder, |b, (config, parts)| b.node(config, parts)),
        };
        if let Some(networks) = plan.networks() {
            builder = builder.service_cidr(ServiceCidr::parse(&networks.services.to_string()).unwrap_or_default());
        }
        if let Plan::Processes { .. } = plan {
            builder = builder.pods_on_loopback();
        }
        Ok(builder.build().await?)
    }
}

/// A listener at the address where pods find the API server, unless one of them hears it already.
async fn listen_to_pods(plan: &Plan, address: SocketAddr) -> Result<Option<TcpListener>, Failure> {
    let pods = SocketAddr::new(plan.host().into(), address.port());
    let heard = address.ip().is_unspecified() || address.ip() == pods.ip();
    if heard || matches!(plan, Plan::Simulated) {
        return Ok(None);
    }
    Ok(Some(TcpListener::bind(pods).await.map_err(|e| in_use(pods, &e))?))
}

fn server_tls(pki: &Pki, address: SocketAddr, plan: &Plan, ambient: &Ambient) -> Result<rustls::ServerConfig, Failure> {
    let own = if address.ip().is_unspecified() { node_name() } else { address.ip().to_string() };
    let mut names = vec![own, plan.host().to_string()];
    names.extend(plan.networks().map(|networks| networks.api().to_string()));
    let serving = pki.serving(&names, ambient.clock.now())?;
    Ok(pki::server_config(&serving, Some(pki.ca_certificate()))?)
}

fn write_kubeconfig(data: &DataDir, pki: &Pki, address: SocketAddr, ambient: &Ambient) -> Result<(), Failure> {
    let admin = pki.client("admin", "kubernetes-admin", "system:masters", ambient.clock.now())?;
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let url = format!("https://{host}:{}", address.port());
    let text = pki::kubeconfig("orch", &url, pki.ca_certificate(), &admin);
    data.write(&data.kubeconfig(), text.as_bytes())
}

fn in_use(address: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!("{address} is in use; choose another address with --listen").into(),
        _ => format!("listening on {address}: {error}").into(),
    }
}

/// The machine's name, as far as it makes a node name.
fn node_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default().to_lowercase();
    if orch_api::names::dns1123_subdomain(&name).is_empty() { name } else { "node".into() }
}

pub(super) async fn end_signal() -> Result<(), Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Says how it goes. Nobody may be listening (any longer), which is no reason to stop.
fn progress(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "orch: {line}");
}
