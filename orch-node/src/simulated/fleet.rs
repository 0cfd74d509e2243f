//! Many simulated nodes in one process: full agents that share one watch of pods and one set of followed
//! objects, and write nothing to disk.

use super::{Rules, SimulatedRuntime};
use crate::{
    agent::{Agent, AgentConfig, AgentParts, Machine, PodFeed, SharedPods},
    follow::Objects,
};
use orch_runtime::node::container::RuntimeError;
use orch_store::{Ambient, Informers};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// How many nodes.
    pub nodes: u32,
    /// Their names are this and a number from 0.
    pub prefix: String,
    /// What each machine has.
    pub machine: Machine,
    /// How pods behave.
    pub rules: Rules,
}

/// Starts the nodes. Node `n` has the address `10.128.0.0 + n + 1` and pods from `100.64.0.0 + 256 n` on.
pub async fn start_fleet(
    config: &FleetConfig,
    informers: &Informers,
    ambient: &Ambient,
) -> Result<Vec<Agent>, RuntimeError> {
    let objects = Objects::new(informers.client().clone(), ambient.clone());
    let pods = SharedPods::start(informers, &ambient.tasks);
    let mut agents = Vec::new();
    for number in 0..config.nodes {
        let name = format!("{}{number}", config.prefix);
        let network = Ipv4Addr::from_bits(0x6440_0000 + number * 256);
        let runtime = SimulatedRuntime::new(config.rules.clone(), network, ambient.child(&name));
        let mut of_node = AgentConfig::new(name, "");
        of_node.materialize = false;
        of_node.machine = config.machine.clone();
        of_node.addresses = vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a80_0001 + number))];
        let parts = AgentParts {
            client: informers.client().clone(),
            objects: objects.clone(),
            informers: Some(informers.clone()),
            runtime: Arc::new(runtime.clone()),
            prober: Arc::new(runtime),
            pods: PodFeed::Shared(pods.clone()),
            ambient: ambient.clone(),
        };
        agents.push(Agent::start(of_node, parts).await?);
    }
    Ok(agents)
}
