//! The laws that hold for every container runtime.

use crate::node::Node;
use async_trait::async_trait;
use orch_node::{
    conformance::{self, Fixture},
    image::TOOLBOX_IMAGE,
    net::{Ipam, PodNetwork},
};
use orch_runtime::node::container::{ContainerRuntime, RuntimeError, SandboxConfig};
use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex},
};

/// Addresses that lead nowhere: what the laws ask of them is that they differ.
struct Addresses(Ipam);

#[async_trait]
impl PodNetwork for Addresses {
    async fn attach(&self, _netns: &Path, sandbox: &SandboxConfig) -> Result<Vec<IpAddr>, RuntimeError> {
        let address = self.0.allocate(&sandbox.uid).map_err(|error| RuntimeError::Failed(error.to_string()))?;
        Ok(vec![address.into()])
    }

    async fn detach(&self, _netns: &Path, sandbox: &SandboxConfig) -> Result<(), RuntimeError> {
        self.0.release(&sandbox.uid).map_err(|error| RuntimeError::Failed(error.to_string()))
    }
}

pub(crate) async fn the_laws_of_container_runtimes_hold() {
    let dir = Arc::new(tempfile::Builder::new().prefix("orch-laws-").tempdir().unwrap());
    let network = || {
        let ipam = Ipam::open(&dir.path().join("addresses"), "192.0.2.0/24".parse().unwrap()).unwrap();
        Arc::new(Addresses(ipam)) as Arc<dyn PodNetwork>
    };
    let node = Node::with_network(dir.clone(), network()).await;
    // Agents live as long as the runtimes that laws were given.
    let opened = Arc::new(Mutex::new(Vec::new()));
    let again = network();
    let fixture = Fixture {
        runtime: Arc::new((*node).clone()),
        reopen: Box::new({
            let dir = dir.clone();
            move || {
                let (dir, again, opened) = (dir.clone(), again.clone(), opened.clone());
                Box::pin(async move {
                    let node = Node::with_network(dir, again).await;
                    let runtime: Arc<dyn ContainerRuntime> = Arc::new((*node).clone());
                    opened.lock().unwrap().push(node);
                    runtime
                })
            }
        }),
        image: TOOLBOX_IMAGE.into(),
        command: |words| words.iter().map(|word| (*word).to_owned()).collect(),
        logs: dir.path().join("logs"),
        real: true,
    };
    for (name, law) in conformance::all() {
        println!("    {name}");
        law(&fixture).await;
    }
    node.clean().await;
}
