//! [`ApiServer`]: the whole server as a value.

use crate::{
    admission::{Chain, Plugin},
    alloc::{ServiceAllocators, ServiceCidr},
    authn::User,
    authz::{AlwaysAllow, Authorizer},
    bootstrap,
    client::LocalClient,
    core::{Core, Storage},
    discovery::Discovery,
    metrics::Metrics,
    proxy::NodeDialer,
    registry::Registry,
    service::ApiService,
};
use http::request::Parts;
use orch_api::StatusError;
use orch_store::{Ambient, Backend, cache::WatchCache};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// The API server. Cheap to clone: clones are the same server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), orch_api::StatusError> {
/// use orch_apiserver::ApiServer;
/// use orch_store::{Ambient, ClientExt, backend::memory::MemoryBackend};
/// use orch_api::{Key, k8s_openapi::api::core::v1::Namespace};
///
/// let server = ApiServer::builder(Ambient::system(), std::sync::Arc::new(MemoryBackend::new())).build().await?;
/// let default = server.client().read::<Namespace>(&Key::cluster("default")).await?;
/// assert_eq!(default.metadata.name.as_deref(), Some("default"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    discovery: OnceLock<Discovery>,
    ready: AtomicBool,
}

/// Whom a request comes from, as far as the transport knows.
#[derive(Clone)]
pub enum Identity {
    /// The transport vouches for this user.
    Trusted(Arc<User>),
}

/// What a server is made of.
pub struct Builder {
    ambient: Ambient,
    backend: Arc<dyn Backend>,
    authorizer: Arc<dyn Authorizer>,
    plugins: Vec<Arc<dyn Plugin>>,
    cidr: ServiceCidr,
    nodes: Option<Arc<dyn NodeDialer>>,
    api_port: u16,
}

impl ApiServer {
    /// A server over a backend, with the default admission plugins.
    pub fn builder(ambient: Ambient, backend: Arc<dyn Backend>) -> Builder {
        Builder {
            ambient,
            backend,
            authorizer: Arc::new(AlwaysAllow),
            plugins: Chain::default_plugins(),
            cidr: ServiceCidr::default(),
            nodes: None,
            api_port: 6443,
        }
    }

    /// A client in this process that may do everything.
    pub fn client(&self) -> LocalClient {
        self.client_as(User::system("apiserver"))
    }

    /// A client in this process that acts as a user.
    pub fn client_as(&self, user: User) -> LocalClient {
        LocalClient::new(self.0.core.clone(), user)
    }

    /// The server as a tower service whose requests may do everything.
    pub fn service(&self) -> ApiService {
        self.service_as(User::system("apiserver"))
    }

    /// The server as a tower service whose requests act as a user.
    pub fn service_as(&self, user: User) -> ApiService {
        ApiService::new(self.clone(), Identity::Trusted(Arc::new(user)))
    }

    /// Whether everything that must exist from the start exists.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    /// The discovery documents.
    pub(crate) fn discovery(&self) -> &Discovery {
        self.0.discovery.get_or_init(|| {
            let kinds = self.0.core.registry.all();
            Discovery::new(kinds.iter().map(|kind| &**kind))
        })
    }

    /// The user that a request acts as.
    pub(crate) async fn identify(&self, identity: &Identity, _parts: &Parts) -> Result<User, StatusError> {
        match identity {
            Identity::Trusted(user) => Ok(User::clone(user)),
        }
    }
}

impl Builder {
    /// Decides who may do what. Without this, everybody whom the server knows may do everything.
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Replaces the admission plugins.
    #[must_use]
    pub fn admission(mut self, plugins: Vec<Arc<dyn Plugin>>) -> Self {
        self.plugins = plugins;
        self
    }

    /// The network that cluster IPs come from.
    #[must_use]
    pub fn service_cidr(mut self, cidr: ServiceCidr) -> Self {
        self.cidr = cidr;
        self
    }

    /// How node agents are reached, for logs, exec and proxies.
    #[must_use]
    pub fn nodes(mut self, dialer: Arc<dyn NodeDialer>) -> Self {
        self.nodes = Some(dialer);
        self
    }

    /// The port that the `kubernetes` Service leads to.
    #[must_use]
    pub fn api_port(mut self, port: u16) -> Self {
        self.api_port = port;
        self
    }

    /// Starts the server: reads what is stored and creates what must exist.
    pub async fn build(self) -> Result<ApiServer, StatusError> {
        let ambient = self.ambient.child("apiserver");
        let core = Arc::new(Core {
            registry: Registry::builtin(),
            storage: Storage::new(WatchCache::new(self.backend, ambient.clone())),
            admission: Chain::new(self.plugins),
            authorizer: self.authorizer,
            services: ServiceAllocators::new(self.cidr, ambient.chance.child("services")),
            nodes: self.nodes,
            metrics: Metrics::default(),
            ambient,
        });
        let server = ApiServer(Arc::new(Inner { core, discovery: OnceLock::new(), ready: AtomicBool::new(false) }));
        bootstrap::run(&server, self.api_port).await?;
        server.0.ready.store(true, Ordering::Release);
        Ok(server)
    }
}
