//! [`Core`]: what a request does once its sender is known. HTTP and the in-process client both end here, with
//! a [`Call`] (who, what, on which object) and a [`Request`] (the verb with its data).
//!
//! ```text
//! authorize → (decode) → mutate → default → validate → admit → commit
//! ```

pub mod authorize;
pub mod call;
mod certificates;
pub mod collection;
pub mod convert;
pub mod create;
pub mod decode;
pub mod delete;
pub mod encode;
mod escalation;
pub mod json;
pub mod managed;
pub mod meta;
pub mod patch;
mod phase;
pub mod read;
pub mod refusal;
pub(crate) mod selection;
pub mod storage;
pub mod token;
pub mod update;
mod watch;

pub use call::{Annotations, Answer, Call, Notes, Request, Verb, Warnings};
pub use storage::Storage;

use crate::{
    admission::{Chain, hooks::Hooks, policies::Policies},
    alloc::ServiceAllocators,
    authn::{ServiceAccountTokens, TokenSigner},
    authz::Authorizer,
    metrics::Metrics,
    proxy::NodeDialer,
    registry::Registry,
    sub, usage,
};
use orch_api::{Reason, StatusError, validation::Setting};
use orch_store::Ambient;
use std::sync::Arc;

/// Everything that requests share.
pub struct Core {
    /// The served kinds.
    pub registry: Arc<Registry>,
    /// Where objects live.
    pub storage: Storage,
    /// Time, chance and tasks.
    pub ambient: Ambient,
    /// Admission plugins in order.
    pub admission: Chain,
    /// The webhooks that admission asks.
    pub(crate) hooks: Hooks,
    /// The policies that admission evaluates.
    pub(crate) policies: Policies,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// Signs service account tokens.
    pub signer: Option<Arc<TokenSigner>>,
    /// Knows the users of service account tokens.
    pub accounts: Option<Arc<ServiceAccountTokens>>,
    /// Cluster IPs and node ports.
    pub services: ServiceAllocators,
    /// How to reach the node agents.
    pub nodes: Option<Arc<dyn NodeDialer>>,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// What validation needs to know of the cluster.
    pub setting: Setting,
}

impl Core {
    /// Authorizes and performs a request.
    pub async fn handle(&self, call: &Call, request: Request) -> Result<Answer, StatusError> {
        self.authorize(call, request.verb())?;
        self.perform(call, request).await
    }

    /// Performs a request that was authorized.
    pub async fn perform(&self, call: &Call, request: Request) -> Result<Answer, StatusError> {
        self.check_scope(call, &request)?;
        if let Some(words) = call.kind.custom.as_ref().and_then(|custom| custom.deprecation.as_ref()) {
            call.warnings.add(words.clone());
        }
        if let Some(subresource) = call.subresource.as_deref() {
            return sub::perform(self, call, subresource, request).await;
        }
        if call.kind.group == usage::GROUP {
            return usage::perform(self, call, request).await;
        }
        match request {
            Request::Create { body, options } => self.create(call, body, &options).await,
            _ if call.kind.verbs == orch_api::kind::Verbs::CreateOnly => Err(not_supported(call, request.verb())),
            Request::Get => self.get(call).await,
            Request::List(options) => self.list(call, &options).await,
            Request::Watch(options) => self.watch(call, &options).await,
            Request::Update { body, options } => self.update(call, body, &options).await,
            Request::Patch { patch, options } => self.patch(call, &patch, &options).await,
            Request::Delete(options) => self.delete(call, &options).await,
            Request::DeleteCollection { select, options } => self.delete_collection(call, &select, &options).await,
        }
    }

    /// A namespaced object must be named with its namespace, a cluster-scoped one without.
    fn check_scope(&self, call: &Call, request: &Request) -> Result<(), StatusError> {
        let namespaced = call.kind.scope == orch_api::Scope::Namespaced;
        let has_namespace = !call.key.namespace.is_empty();
        let may_span = matches!(request, Request::List(_) | Request::Watch(_) | Request::DeleteCollection { .. });
        match (namespaced, has_namespace) {
            (false, true) => Err(missing_resource()),
            (true, false) if !may_span => Err(missing_resource()),
            _ => Ok(()),
        }
    }
}

/// `404` for a path that no resource serves.
pub fn missing_resource() -> StatusError {
    StatusError::new(Reason::NotFound, "the server could not find the requested resource")
        .with_details(Default::default())
}

/// `405` for a verb that the resource does not serve.
pub fn not_supported(call: &Call, verb: Verb) -> StatusError {
    let gvr = call.kind.gvr();
    let message = format!("{} is not supported on resources of kind {:?}", verb.as_str(), gvr.group_resource());
    StatusError::new(Reason::MethodNotAllowed, message)
}
