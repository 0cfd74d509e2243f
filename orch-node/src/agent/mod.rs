//! The node agent: registers the node, keeps its lease and its status, and runs the pods that are bound to it.

pub mod context;
mod guarded;
mod heartbeat;
mod machine;
mod object;
mod pods;
#[cfg(test)]
pub(crate) mod tests;

pub use context::Node;
pub use machine::Machine;
pub use pods::{PodFeed, SharedPods};

use crate::{
    event::Recorder,
    files::DnsConfig,
    follow::Objects,
    logs::Rotation,
    pod::PodHandle,
    probe::Prober,
    provision::{Directories, Imagined},
    stats::Usage,
};
use dashmap::DashMap;
use orch_api::Key;
use orch_runtime::node::{
    container::{ContainerRuntime, RuntimeError},
    volume::VolumeProvisioner,
};
use orch_store::{Ambient, Client, Informers, Tasks};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

/// What an agent is made of.
#[derive(Clone)]
pub struct AgentConfig {
    /// The node's name.
    pub name: String,
    /// Labels beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node registers with: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// The node's addresses, the first one first.
    pub addresses: Vec<IpAddr>,
    /// What the machine has.
    pub machine: Machine,
    /// The port of the agent's HTTP API, if it listens on one.
    pub port: Option<u16>,
    /// Where pods send their DNS queries.
    pub dns: DnsConfig,
    /// Where pods' directories and logs are.
    pub data_dir: PathBuf,
    /// Whether volumes, hosts files and logs are made on disk; simulated pods need none.
    pub materialize: bool,
    /// Whether other nodes are on the machine, too: then what the node uses is what its pods use.
    pub shares_machine: bool,
    /// How often the lease is renewed.
    pub lease_interval: Duration,
    /// When logs are rotated.
    pub rotation: Rotation,
    /// Who makes the node's own volumes; when unset, they are directories of the data directory, or imagined.
    pub provisioner: Option<Arc<dyn VolumeProvisioner>>,
}

impl AgentConfig {
    /// A node of that name with nothing special about it.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            addresses: Vec::new(),
            machine: Machine::default(),
            port: None,
            dns: DnsConfig::default(),
            data_dir: data_dir.into(),
            materialize: true,
            shares_machine: false,
            lease_interval: Duration::from_secs(10),
            rotation: Rotation::default(),
            provisioner: None,
        }
    }

    /// Who makes the node's own volumes.
    pub fn provisioner(&self) -> Arc<dyn VolumeProvisioner> {
        match &self.provisioner {
            Some(provisioner) => provisioner.clone(),
            None if self.materialize => Arc::new(Directories::new(self.data_dir.join("volumes"))),
            None => Arc::new(Imagined),
        }
    }
}

/// What an agent works with.
#[derive(Clone)]
pub struct AgentParts {
    /// The API server.
    pub client: Arc<dyn Client>,
    /// Objects that pods name; agents of one process share it.
    pub objects: Objects,
    /// The process's informers, for services; without them pods get no service variables.
    pub informers: Option<Informers>,
    /// Who runs containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Who makes probes.
    pub prober: Arc<dyn Prober>,
    /// Where the node's pods come from.
    pub pods: PodFeed,
    /// Time, chance and tasks.
    pub ambient: Ambient,
}

/// A running agent. Cheap to clone; [`Agent::stop`] ends it and leaves the containers running.
#[derive(Clone)]
pub struct Agent {
    node: Arc<Node>,
    config: Arc<AgentConfig>,
    pods: Pods,
    tasks: Tasks,
}

/// The workers by the UIDs of their pods.
pub(crate) type Pods = Arc<DashMap<Arc<str>, PodHandle>>;

impl Agent {
    /// Starts an agent: adopts what the runtime runs, registers the node, follows its pods.
    pub async fn start(config: AgentConfig, parts: AgentParts) -> Result<Self, RuntimeError> {
        let tasks = parts.ambient.tasks.child();
        let ambient = Ambient { tasks: tasks.clone(), ..parts.ambient.child(&config.name) };
        let runtime = guarded::runtime(parts.runtime);
        let info = runtime.info().await?;
        let node = Arc::new(Node {
            name: config.name.as_str().into(),
            recorder: Recorder::new(parts.client.clone(), config.name.clone(), ambient.clone()),
            client: parts.client,
            objects: parts.objects,
            services: parts.informers.map(|i| i.of::<k8s_openapi::api::core::v1::Service>()),
            runtime,
            runtime_name: info.name.clone(),
            prober: guarded::prober(parts.prober),
            host_ips: config.addresses.clone(),
            allocatable: config.machine.allocatable(),
            dns: config.dns.clone(),
            data_dir: config.data_dir.clone(),
            materialize: config.materialize,
            shares_machine: config.shares_machine,
            usage: Usage::default(),
            ambient,
        });
        let config = Arc::new(config);
        let pods: Pods = Arc::default();
        let beat = (node.clone(), config.clone());
        tasks.spawn_loop("heartbeat", move || heartbeat::run(beat.0.clone(), beat.1.clone(), info.clone()));
        let mut adopted = Some(node.runtime.list().await?);
        let own = (node.clone(), pods.clone());
        tasks.spawn_loop("runtime events", move || pods::follow_runtime(own.0.clone(), own.1.clone()));
        let own = (node.clone(), pods.clone());
        let feed = parts.pods;
        tasks.spawn_loop("pods", move || pods::follow_pods(own.0.clone(), own.1.clone(), feed.clone(), adopted.take()));
        if config.materialize {
            let (own, rule) = ((node.clone(), pods.clone()), config.rotation);
            tasks.spawn_loop("log rotation", move || pods::rotate_logs(own.0.clone(), own.1.clone(), rule));
        }
        Ok(Self { node, config, pods, tasks })
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// What the agent was made of.
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// What the agent's pods share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The pods that the agent runs.
    pub fn pods(&self) -> Vec<PodHandle> {
        self.pods.iter().map(|entry| entry.value().clone()).collect()
    }

    /// The pod of that name.
    pub fn pod(&self, key: &Key) -> Option<PodHandle> {
        self.pods.iter().find(|entry| entry.value().view().pod.key == *key).map(|entry| entry.value().clone())
    }

    /// Ends the agent. Containers run on; the next agent adopts them.
    pub async fn stop(&self) {
        self.tasks.stop().await;
    }
}
