//! [`Builder`]: what a cluster is made of.

use super::{Authority, Cluster, Dialer, Error};
use k8s_openapi::api::core::v1::ServiceAccount;
use orch_api::{Key, kind::Verbs};
use orch_apiserver::{ApiServer, alloc::ServiceCidr, authn::TokenSigner, pki::Pki};
use orch_controllers::{Config, node_ipam::NodeNetwork, scheduler};
use orch_node::{
    Agent, AgentConfig, AgentParts,
    agent::{Machine, PodFeed, SharedPods},
    follow::Objects,
    probe::Prober,
    provision,
    simulated::{FleetConfig, Rules, start_fleet},
};
use orch_runtime::{
    Discovery, Options,
    autoscaling::{MetricsProvider, NoMetrics},
    discovery::{Served, WithCustom},
    node::container::ContainerRuntime,
    scheduler::Profile,
    view::Caches,
};
use orch_store::{AdmissionHook, Ambient, Backend, Client, ClientExt, Informers, Tasks, backend::MemoryBackend};
use std::sync::Arc;

/// The issuer of service account tokens, as pods see it.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A cluster to be. Every part can be replaced; none has to be.
#[derive(Default)]
pub struct Builder {
    ambient: Option<Ambient>,
    backend: Option<Arc<dyn Backend>>,
    pki: Option<Arc<Pki>>,
    service_cidr: Option<ServiceCidr>,
    secondary_service_cidr: Option<ServiceCidr>,
    api_port: Option<u16>,
    pods_on_loopback: bool,
    rbac: bool,
    without_controllers: bool,
    profiles: Vec<Profile>,
    hooks: Vec<AdmissionHook>,
    metrics: Option<Arc<dyn MetricsProvider>>,
    node_network: Option<NodeNetwork>,
    bootstrap_tokens: bool,
    fleet: Option<FleetConfig>,
    nodes: Vec<(AgentConfig, NodeParts)>,
}

/// What a node of this machine needs beside its configuration.
#[derive(Clone)]
pub struct NodeParts {
    /// Who runs containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Who makes probes.
    pub prober: Arc<dyn Prober>,
}

impl Builder {
    /// Time, chance and tasks. The default is the machine's clock and randomness; tests pass
    /// [`Ambient::seeded`] and a paused runtime.
    #[must_use]
    pub fn ambient(mut self, ambient: Ambient) -> Self {
        self.ambient = Some(ambient);
        self
    }

    /// A virtual clock and all choices from one seed: for tests under `#[tokio::test(start_paused = true)]`, where
    /// the same seed gives the same history. Must be called inside a tokio runtime.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.ambient(Ambient::seeded(seed))
    }

    /// Where objects are stored; in memory by default.
    #[must_use]
    pub fn store(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Certificates and keys. Without them the cluster makes a key for its tokens that nobody keeps.
    #[must_use]
    pub fn pki(mut self, pki: Arc<Pki>) -> Self {
        self.pki = Some(pki);
        self
    }

    /// Where Services get their addresses; `10.96.0.0/16` by default.
    #[must_use]
    pub fn service_cidr(mut self, cidr: ServiceCidr) -> Self {
        self.service_cidr = Some(cidr);
        self
    }

    /// A network of the other family, such as `fd00:96::/112`: Services may have addresses of both then.
    #[must_use]
    pub fn secondary_service_cidr(mut self, cidr: ServiceCidr) -> Self {
        self.secondary_service_cidr = Some(cidr);
        self
    }

    /// The port that the `kubernetes` Service leads to.
    #[must_use]
    pub fn api_port(mut self, port: u16) -> Self {
        self.api_port = Some(port);
        self
    }

    /// Pods have loopback addresses, and so may endpoints: for nodes over
    /// [`ProcessRuntime`](orch_node::ProcessRuntime).
    #[must_use]
    pub fn pods_on_loopback(mut self) -> Self {
        self.pods_on_loopback = true;
        self
    }

    /// Asks roles and bindings for every remote request. Clients of this process may do everything anyway;
    /// so by default nobody is asked.
    #[must_use]
    pub fn rbac(mut self) -> Self {
        self.rbac = true;
        self
    }

    /// Starts no controllers and no scheduler: an API server alone.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.without_controllers = true;
        self
    }

    /// Adds a scheduler profile beside (or, with its name, instead of) the default one.
    #[must_use]
    pub fn scheduler_profile(mut self, profile: Profile) -> Self {
        self.profiles.push(profile);
        self
    }

    /// Adds an admission webhook that is a function of this process.
    #[must_use]
    pub fn admission_hook(mut self, hook: AdmissionHook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// Gives autoscalers metrics beside those of containers: of pods, of objects, and of the outside.
    #[must_use]
    pub fn metrics(mut self, metrics: Arc<dyn MetricsProvider>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Gives every node a part of this network in `spec.podCIDR`. Nodes of this process have networks of their own.
    #[must_use]
    pub fn node_network(mut self, network: NodeNetwork) -> Self {
        self.node_network = Some(network);
        self
    }

    /// Signs `cluster-info` with bootstrap tokens, and deletes them when they end.
    #[must_use]
    pub fn bootstrap_tokens(mut self) -> Self {
        self.bootstrap_tokens = true;
        self
    }

    /// Adds simulated nodes whose pods start at once and run until they are deleted.
    #[must_use]
    pub fn simulated_nodes(self, nodes: u32) -> Self {
        self.fleet(FleetConfig { nodes, prefix: "node-".into(), machine: Machine::default(), rules: Rules::instant() })
    }

    /// Adds simulated nodes with rules of their own.
    #[must_use]
    pub fn fleet(mut self, fleet: FleetConfig) -> Self {
        self.fleet = Some(fleet);
        self
    }

    /// Adds a node over any container runtime.
    #[must_use]
    pub fn node(mut self, config: AgentConfig, parts: NodeParts) -> Self {
        self.nodes.push((config, parts));
        self
    }

    /// Starts everything. Must be called inside a tokio runtime. When this returns the namespace `default` takes
    /// pods, unless there are no controllers.
    pub async fn build(mut self) -> Result<Cluster, Error> {
        let ambient = self.ambient.clone().unwrap_or_else(Ambient::system);
        // What the loops stand on outlives them: a write under way at the end is finished, which takes a watch cache.
        let ground = Ambient { tasks: Tasks::new(), ..ambient.clone() };
        let dialer = Dialer::new(ground.tasks.clone());
        let pki = match &self.pki {
            Some(pki) => pki.clone(),
            None => Arc::new(Pki::in_memory(ambient.clock.now())?),
        };
        let server = self.server(&ground, &pki, dialer.clone()).await?;
        let client: Arc<dyn Client> = Arc::new(server.client());
        let informers = Informers::new(client.clone(), ground.clone());
        let caches = Caches::new(informers.clone());
        if !self.without_controllers {
            let own = Control {
                profiles: std::mem::take(&mut self.profiles),
                metrics: self.metrics.take().unwrap_or_else(|| Arc::new(NoMetrics)),
                node_network: self.node_network,
                bootstrap_tokens: self.bootstrap_tokens,
            };
            control(own, &caches, pki.clone(), &ambient);
            account_of_pods(&*client).await?;
        }
        let agents = start_nodes(self.fleet, self.nodes, &informers, &ambient).await?;
        agents.iter().for_each(|agent| dialer.add(agent));
        if !agents.is_empty() && !self.without_controllers {
            storage(&agents, &caches, &ambient).await?;
        }
        Ok(Cluster { server, client, caches, agents, ambient, ground: ground.tasks })
    }

    async fn server(&self, ambient: &Ambient, pki: &Pki, dialer: Dialer) -> Result<ApiServer, Error> {
        let backend = self.backend.clone().unwrap_or_else(|| Arc::new(MemoryBackend::new()));
        let signer = TokenSigner::new(pki.service_account_key(), ISSUER, Vec::new()).map_err(Error::Tokens)?;
        let mut server =
            ApiServer::builder(ambient.clone(), backend).token_signer(Arc::new(signer)).nodes(Arc::new(dialer));
        if let Some(cidr) = self.service_cidr {
            server = server.service_cidr(cidr);
        }
        if let Some(cidr) = self.secondary_service_cidr {
            server = server.secondary_service_cidr(cidr);
        }
        if let Some(port) = self.api_port {
            server = server.api_port(port);
        }
        if self.pods_on_loopback {
            server = server.pods_on_loopback();
        }
        if !self.rbac {
            server = server.allow_all();
        }
        for hook in &self.hooks {
            server = server.admission_hook(hook.clone());
        }
        Ok(server.build().await?)
    }
}

/// What the cluster's own loops are told.
struct Control {
    profiles: Vec<Profile>,
    metrics: Arc<dyn MetricsProvider>,
    node_network: Option<NodeNetwork>,
    bootstrap_tokens: bool,
}

/// Starts the controllers and the scheduler.
fn control(own: Control, caches: &Caches, pki: Arc<Pki>, ambient: &Ambient) {
    let informers = caches.informers();
    let built_in = orch_api::kinds::all().iter().filter(|k| k.verbs != Verbs::CreateOnly && k.verbs != Verbs::ReadOnly);
    let discovery: Arc<dyn Discovery> = Arc::new(WithCustom::new(built_in.map(Served::of).collect(), informers));
    let mut config = Config::new(discovery, pki.ca_certificate().into(), ambient.clock.clone());
    (config.metrics, config.authority) = (own.metrics, Arc::new(Authority(pki)));
    (config.node_network, config.bootstrap_tokens) = (own.node_network, own.bootstrap_tokens);
    for control_loop in orch_controllers::all(&config) {
        let run = control_loop.run(caches.clone(), ambient.clone(), Options::default());
        ambient.tasks.spawn_graceful(run);
    }
    let mut profiles = vec![scheduler::default_profile()];
    profiles.retain(|p| own.profiles.iter().all(|other| other.scheduler != p.scheduler));
    profiles.extend(own.profiles);
    let (informers, own) = (informers.clone(), ambient.clone());
    let schedule = move || scheduler::run(profiles.clone(), informers.clone(), own.clone());
    ambient.tasks.spawn_loop("kube-scheduler", schedule);
}

/// Waits for the service account without which no pod is admitted to the namespace `default`.
async fn account_of_pods(client: &dyn Client) -> Result<(), Error> {
    let key = Key::new("default", "default");
    client.wait_for::<ServiceAccount, _>(&key, |account| account.is_some()).await?;
    Ok(())
}

/// Starts who makes the volumes of the nodes, and sees to it that there is a class of them.
async fn storage(agents: &[Agent], caches: &Caches, ambient: &Ambient) -> Result<(), Error> {
    let of = |agent: &Agent| (agent.name().into(), agent.config().provisioner());
    let nodes = Arc::new(agents.iter().map(of).collect());
    ambient.tasks.spawn_graceful(provision::run(nodes, caches.clone(), ambient.clone()));
    match caches.informers().client().add(&provision::default_class()).await {
        Err(error) if !error.is_already_exists() => Err(error.into()),
        _ => Ok(()),
    }
}

async fn start_nodes(
    fleet: Option<FleetConfig>,
    nodes: Vec<(AgentConfig, NodeParts)>,
    informers: &Informers,
    ambient: &Ambient,
) -> Result<Vec<Agent>, Error> {
    let mut agents = match &fleet {
        Some(fleet) => start_fleet(fleet, informers, ambient).await?,
        None => Vec::new(),
    };
    if nodes.is_empty() {
        return Ok(agents);
    }
    let objects = Objects::new(informers.client().clone(), ambient.clone());
    let pods = SharedPods::start(informers, &ambient.tasks);
    for (config, NodeParts { runtime, prober }) in nodes {
        let parts = AgentParts {
            client: informers.client().clone(),
            objects: objects.clone(),
            informers: Some(informers.clone()),
            runtime,
            prober,
            pods: PodFeed::Shared(pods.clone()),
            ambient: ambient.clone(),
        };
        agents.push(Agent::start(config, parts).await?);
    }
    Ok(agents)
}
