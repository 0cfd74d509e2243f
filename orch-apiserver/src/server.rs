//! [`ApiServer`]: the whole server as a value.

use crate::{
    admission::{Chain, Plugin, hooks::Hooks, policies::Policies},
    alloc::{ServiceAllocators, ServiceCidr},
    authn::{
        Authenticator, ClientCertificates, Credentials, Impersonation, LiveObject, LiveObjects, ServiceAccountTokens,
        TokenSigner, Union, User, bearer, impersonate, secret_token,
    },
    authz::{AlwaysAllow, Authorizer},
    bootstrap,
    client::LocalClient,
    core::{Core, Notes, Storage},
    crd,
    discovery::Discovery,
    follow,
    http::media::header_text,
    metrics::Metrics,
    openapi::{self, OpenApi},
    proxy::NodeDialer,
    registry::Registry,
    service::ApiService,
    webhook::{ClusterServices, ServiceDialer, WebhookClient},
};
use ::http::{header, request::Parts};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use jiff::Timestamp;
use orch_api::{Gvr, Key, Kind, StatusError, validation::Setting};
use orch_store::{AdmissionHook, Ambient, Backend, cache::WatchCache, review::ConversionHandler};
use std::sync::{
    Arc,
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
    authenticators: Union,
    discovery: Made<Discovery>,
    openapi: Made<OpenApi>,
    ready: AtomicBool,
}

/// Whom a request comes from, as far as the transport knows.
#[derive(Clone)]
pub enum Identity {
    /// The transport vouches for this user.
    Trusted(Arc<User>),
    /// The transport is open to anybody; this is the user of the verified client certificate, if there is one.
    Remote(Option<Arc<User>>),
}

/// What a server is made of.
pub struct Builder {
    ambient: Ambient,
    backend: Arc<dyn Backend>,
    authorizer: Option<Arc<dyn Authorizer>>,
    authenticators: Vec<Arc<dyn Authenticator>>,
    signer: Option<Arc<TokenSigner>>,
    plugins: Vec<Arc<dyn Plugin>>,
    hooks: Vec<AdmissionHook>,
    services: Option<Arc<dyn ServiceDialer>>,
    cidrs: Vec<ServiceCidr>,
    nodes: Option<Arc<dyn NodeDialer>>,
    conversions: Vec<(String, Arc<dyn ConversionHandler>)>,
    api_port: u16,
    setting: Setting,
}

impl ApiServer {
    /// A server over a backend, with the default admission plugins.
    pub fn builder(ambient: Ambient, backend: Arc<dyn Backend>) -> Builder {
        Builder {
            ambient,
            backend,
            authorizer: None,
            authenticators: Vec::new(),
            signer: None,
            plugins: Chain::default_plugins(),
            hooks: Vec::new(),
            services: None,
            cidrs: vec![ServiceCidr::default()],
            nodes: None,
            conversions: Vec::new(),
            api_port: 6443,
            setting: Setting::default(),
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
    pub(crate) fn discovery(&self) -> Arc<Discovery> {
        self.0.discovery.get(&self.0.core.registry, |kinds| Discovery::new(kinds.iter().map(|kind| &**kind)))
    }

    /// The OpenAPI documents.
    pub(crate) fn openapi(&self) -> Arc<OpenApi> {
        self.0.openapi.get(&self.0.core.registry, |kinds| {
            OpenApi::new("v1.37.0", kinds.iter().map(|kind| Kind::clone(kind)), openapi::custom(kinds))
        })
    }

    /// The user that a request acts as.
    pub(crate) async fn identify(
        &self,
        identity: &Identity,
        parts: &Parts,
        notes: &Notes,
    ) -> Result<User, StatusError> {
        let real = match identity {
            Identity::Trusted(user) => user.clone(),
            Identity::Remote(certificate) => {
                let authorization = header_text(&parts.headers, header::AUTHORIZATION);
                let credentials = Credentials {
                    certificate: certificate.as_ref(),
                    token: bearer(&authorization),
                    path: parts.uri.path(),
                    now: self.core().ambient.clock.now(),
                    notes,
                };
                self.0.authenticators.user(&credentials).await?
            }
        };
        match Impersonation::of(&parts.headers)? {
            Some(wish) => impersonate(&*self.core().authorizer, &real, &wish),
            None => Ok(User::clone(&real)),
        }
    }
}

/// Something that is made of the served kinds when it is asked for, and again after they changed.
struct Made<T>(ArcSwapOption<(u64, Arc<T>)>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Self(ArcSwapOption::empty())
    }
}

impl<T> Made<T> {
    fn get(&self, registry: &Registry, make: impl FnOnce(&[Arc<Kind>]) -> T) -> Arc<T> {
        let changes = registry.changes();
        if let Some(known) = self.0.load().as_ref().filter(|known| known.0 == changes) {
            return known.1.clone();
        }
        let made = Arc::new(make(&registry.all()));
        self.0.store(Some(Arc::new((changes, made.clone()))));
        made
    }
}

/// Where tokens find what they are bound to.
struct Live {
    registry: Arc<Registry>,
    storage: Storage,
}

#[async_trait]
impl LiveObjects for Live {
    async fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<LiveObject> {
        let gvr = Gvr { group: "".into(), version: "v1".into(), resource: resource.to_owned().into() };
        let kind = self.registry.find(&gvr)?;
        let stored = self.storage.lookup(&kind, &Key::new(namespace, name)).await.ok()??;
        let (uid, deletion_timestamp) = (stored.meta.uid.to_string(), stored.meta.deletion_timestamp);
        Some(LiveObject { uid, deletion_timestamp })
    }

    async fn used(&self, secret: &Key, token: &str, now: Timestamp, notes: &Notes) -> Result<(), String> {
        secret_token::used(&self.registry, &self.storage, secret, token, now, notes).await
    }
}

impl Builder {
    /// Decides who may do what. Without this, roles and their bindings decide (RBAC), and for kubelets what
    /// their pods mention.
    #[must_use]
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = Some(authorizer);
        self
    }

    /// Allows everything to everybody whom the server knows: for embedding without identities.
    #[must_use]
    pub fn allow_all(self) -> Self {
        self.authorizer(Arc::new(AlwaysAllow))
    }

    /// One more way to know a remote user, asked after client certificates and service account tokens.
    #[must_use]
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticators.push(authenticator);
        self
    }

    /// Signs and accepts service account tokens.
    #[must_use]
    pub fn token_signer(mut self, signer: Arc<TokenSigner>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// Replaces the admission plugins.
    #[must_use]
    pub fn admission(mut self, plugins: Vec<Arc<dyn Plugin>>) -> Self {
        self.plugins = plugins;
        self
    }

    /// A webhook that is a function of this process: matched and ordered like one over HTTPS, under its own name.
    #[must_use]
    pub fn admission_hook(mut self, hook: AdmissionHook) -> Self {
        self.hooks.push(hook);
        self
    }

    /// How Services are reached that webhooks refer to. Without this, by their endpoints.
    #[must_use]
    pub fn services(mut self, dialer: Arc<dyn ServiceDialer>) -> Self {
        self.services = Some(dialer);
        self
    }

    /// The network that cluster IPs come from.
    #[must_use]
    pub fn service_cidr(mut self, cidr: ServiceCidr) -> Self {
        self.cidrs = vec![cidr];
        self
    }

    /// A network of the other family, which makes this a cluster of two families (`--service-cluster-ip-range` with two
    /// networks). The first one's family is the default.
    #[must_use]
    pub fn secondary_service_cidr(mut self, cidr: ServiceCidr) -> Self {
        self.cidrs.truncate(1);
        if self.cidrs.iter().all(|first| first.family() != cidr.family()) {
            self.cidrs.push(cidr);
        }
        self
    }

    /// How node agents are reached, for logs, exec and proxies.
    #[must_use]
    pub fn nodes(mut self, dialer: Arc<dyn NodeDialer>) -> Self {
        self.nodes = Some(dialer);
        self
    }

    /// Converts the custom objects of `PLURAL.GROUP` between versions by a function of this process, whatever their
    /// definition says.
    #[must_use]
    pub fn conversion(mut self, resource: &str, handler: impl ConversionHandler) -> Self {
        self.conversions.push((resource.to_owned(), Arc::new(handler)));
        self
    }

    /// The port that the `kubernetes` Service leads to.
    #[must_use]
    pub fn api_port(mut self, port: u16) -> Self {
        self.api_port = port;
        self
    }

    /// Pods have loopback addresses, and so may the endpoints of Services: for clusters whose pods are plain
    /// processes of one machine.
    #[must_use]
    pub fn pods_on_loopback(mut self) -> Self {
        self.setting.pods_on_loopback = true;
        self
    }

    /// Starts the server: reads what is stored and creates what must exist.
    pub async fn build(self) -> Result<ApiServer, StatusError> {
        let ambient = self.ambient.child("apiserver");
        let registry = Arc::new(Registry::builtin());
        let storage = Storage::new(WatchCache::new(self.backend, ambient.clone()));
        let live = || Arc::new(Live { registry: registry.clone(), storage: storage.clone() });
        let accounts = self.signer.clone().map(|signer| Arc::new(ServiceAccountTokens::new(signer, live())));
        let mut authenticators: Vec<Arc<dyn Authenticator>> = vec![Arc::new(ClientCertificates)];
        authenticators.extend(accounts.clone().map(|a| a as Arc<dyn Authenticator>));
        authenticators.extend(self.authenticators);
        let (roles, authorizer) = match self.authorizer {
            Some(authorizer) => (None, authorizer),
            None => {
                let roles = follow::Roles::new();
                let authorizer = roles.authorizer();
                (Some(roles), authorizer)
            }
        };
        let services = self.services.unwrap_or_else(|| {
            let chance = ambient.chance.child("webhooks");
            Arc::new(ClusterServices::new(registry.clone(), storage.clone(), self.nodes.clone(), chance))
        });
        let webhooks = WebhookClient::new(services, ambient.tasks.clone());
        storage.converter().reach(webhooks.clone(), ambient.chance.child("conversions"));
        let core = Arc::new(Core {
            registry,
            storage,
            admission: Chain::new(self.plugins),
            hooks: Hooks::new(webhooks, self.hooks),
            policies: Policies::new(),
            authorizer,
            signer: self.signer,
            accounts,
            services: ServiceAllocators::new(self.cidrs, ambient.chance.child("services")),
            nodes: self.nodes,
            metrics: Metrics::default(),
            setting: self.setting,
            ambient,
        });
        for kind in core.registry.all() {
            core.storage.resource(&kind);
        }
        for kind in core.registry.all() {
            core.storage.load(&kind).await?;
        }
        bootstrap::run(&core, self.api_port).await?;
        if let Some(roles) = roles {
            roles.start(&core).await?;
        }
        for (resource, handler) in self.conversions {
            core.storage.converter().register(&resource, handler);
        }
        crd::start(&core).await?;
        let inner = Inner {
            core,
            authenticators: Union::new(authenticators),
            discovery: Made::default(),
            openapi: Made::default(),
            ready: AtomicBool::new(true),
        };
        Ok(ApiServer(Arc::new(inner)))
    }
}
