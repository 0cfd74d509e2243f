//! [`Dialer`]: how the API server reaches the agents of this process, over byte streams in memory.

use async_trait::async_trait;
use dashmap::DashMap;
use orch_apiserver::proxy::{Duplex, NodeDialer};
use orch_node::{Agent, server::Server};
use orch_store::Tasks;
use std::{io, sync::Arc};

/// Bytes under way in each direction.
const BUFFER: usize = 64 << 10;

/// Reaches the agents of this process by their names.
#[derive(Clone)]
pub struct Dialer {
    servers: Arc<DashMap<String, Server>>,
    tasks: Tasks,
}

impl Dialer {
    /// A dialer that knows no agents yet.
    pub fn new(tasks: Tasks) -> Self {
        Self { servers: Arc::default(), tasks }
    }

    /// Makes an agent reachable.
    pub fn add(&self, agent: &Agent) {
        self.servers.insert(agent.name().to_owned(), Server::new(agent.clone()));
    }

    /// Makes an agent unreachable again.
    pub fn remove(&self, node: &str) {
        self.servers.remove(node);
    }
}

#[async_trait]
impl NodeDialer for Dialer {
    async fn dial(&self, node: &str) -> io::Result<Box<dyn Duplex>> {
        let server = self.servers.get(node).map(|s| s.clone());
        let server =
            server.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no agent of node {node}")))?;
        let (near, far) = tokio::io::duplex(BUFFER);
        self.tasks.spawn(async move {
            if let Err(error) = server.serve_connection(far).await {
                tracing::debug!(%error, "a connection to the node agent ended");
            }
        });
        Ok(Box::new(near))
    }
}
