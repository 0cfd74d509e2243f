//! [`Cluster`]: a whole cluster as a value.

pub(crate) mod advertise;
mod authority;
mod builder;
mod dialer;
#[cfg(feature = "kube")]
mod kube;
mod register;

pub use authority::Authority;
pub use builder::{Builder, NodeParts};
pub use dialer::Dialer;
pub use register::RegisterError;

use orch_apiserver::{ApiServer, pki::PkiError};
use orch_node::Agent;
use orch_runtime::{node::container::RuntimeError, view::Caches};
use orch_store::{Ambient, Client, Informers, Tasks, backend::BackendError};
use std::sync::Arc;

/// A running cluster: API server, controllers, scheduler and nodes in this process. Stop it with
/// [`Cluster::stop`]; dropping the last handle cancels its tasks.
pub struct Cluster {
    server: ApiServer,
    client: Arc<dyn Client>,
    caches: Caches,
    agents: Vec<Agent>,
    ambient: Ambient,
    /// The tasks of the API server and the caches, which end after all others.
    ground: Tasks,
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] BackendError),
    /// The API server refused something that must exist.
    #[error("the API server did not start: {0}")]
    Server(#[from] orch_api::StatusError),
    /// Certificates or keys could not be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A node could not be started.
    #[error("the node did not start: {0}")]
    Node(#[from] RuntimeError),
    /// The token key is unusable.
    #[error("the service account key: {0}")]
    Tokens(String),
}

impl Cluster {
    /// A cluster to be: a memory store and no nodes, until said otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client that may do everything and shares the stored bytes: no HTTP, no encoding.
    /// [`ClientExt`](orch_store::ClientExt) has its typed calls.
    pub fn client(&self) -> Arc<dyn Client> {
        self.client.clone()
    }

    /// A kube-rs client that may do everything and needs no socket. Exec, attach and port-forward work as well.
    #[cfg(feature = "kube")]
    pub fn kube_client(&self) -> ::kube::Client {
        kube::client(&self.server, &self.ambient.tasks)
    }

    /// The process's shared informers over [`Cluster::client`].
    pub fn informers(&self) -> &Informers {
        self.caches.informers()
    }

    /// The caches that all controllers share: what a controller or reconciler of your own is run with.
    pub fn caches(&self) -> Caches {
        self.caches.clone()
    }

    /// The API server: its tower service, and [`ApiServer::serve`] to put it on a socket.
    pub fn api_server(&self) -> &ApiServer {
        &self.server
    }

    /// Serves the API with TLS on a socket until the cluster has stopped: after everything that uses it.
    #[cfg(feature = "cli")]
    pub fn serve(&self, listener: tokio::net::TcpListener, tls: rustls::ServerConfig) {
        let server = self.server.clone();
        self.ground.spawn_graceful(async move {
            if let Err(error) = server.serve(listener, tls).await {
                tracing::error!(%error, "the API server stopped listening");
            }
        });
    }

    /// The agents of the cluster's nodes.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// Time, chance and tasks of the cluster. Work spawned there ends with it.
    pub fn ambient(&self) -> &Ambient {
        &self.ambient
    }

    /// Stops everything and waits for it. Real containers run on; the next cluster on the same directories
    /// adopts them.
    pub async fn stop(self) {
        for agent in &self.agents {
            agent.stop().await;
        }
        self.ambient.tasks.stop().await;
        self.ground.stop().await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ambient.tasks.cancel();
        self.ground.cancel();
    }
}
