//! Admission: plugins that change or refuse a write after it was authorized and decoded.
//!
//! ```text
//! mutate: NamespaceLifecycle → ServiceAccount → TaintNodesByCondition → Priority → DefaultTolerationSeconds
//! validate: the same plugins, once the object is complete and valid
//! ```

mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod priority;
mod service_account;
mod taint_nodes;

pub use default_toleration_seconds::DefaultTolerationSeconds;
pub use limit_ranger::LimitRanger;
pub use namespace_lifecycle::NamespaceLifecycle;
pub use priority::Priority;
pub use service_account::ServiceAccount;
pub use taint_nodes::TaintNodesByCondition;

use crate::core::{Call, Core, json};
use async_trait::async_trait;
use orch_api::{Gvr, Key, StatusError};
use orch_store::Stored;
use serde_json::Value;
use std::sync::Arc;

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// A deletion.
    Delete,
}

/// What a plugin is asked to admit.
#[derive(Clone, Copy)]
pub struct Review<'a> {
    /// Who asks, and for which kind and subresource.
    pub call: &'a Call,
    /// The object's namespace and name.
    pub key: &'a Key,
    /// What the write does.
    pub operation: Operation,
    /// The stored object, on updates and deletions.
    pub old: Option<&'a Value>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

impl Review<'_> {
    /// Whether the write is about this resource itself and not about a subresource of it.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.call.kind.group == group && self.call.kind.plural == resource && self.call.subresource.is_none()
    }

    /// `pods "web" is forbidden: …`; an object that has no name yet goes by its `generateName`.
    pub fn forbidden(&self, object: &Value, why: impl std::fmt::Display) -> StatusError {
        let name = match (&*self.key.name, json::meta(object, "name"), json::meta(object, "generateName")) {
            ("", "", "") => "Unknown",
            ("", "", generate) => generate,
            ("", own, _) => own,
            (name, ..) => name,
        };
        StatusError::forbidden(&self.call.kind.gvr(), name, why)
    }
}

/// Changes or refuses writes.
///
/// # Laws
///
/// - [`Plugin::mutate`] may run again on its own result and must then change nothing.
/// - [`Plugin::validate`] sees the complete object and the true stored one.
/// - A plugin whose [`Plugin::handles`] says no is not called.
#[async_trait]
pub trait Plugin: Send + Sync + 'static {
    /// The name by which administrators know it.
    fn name(&self) -> &'static str;

    /// Whether the plugin has anything to say about such a write.
    fn handles(&self, review: &Review<'_>) -> bool;

    /// Changes the object; says whether it did.
    async fn mutate(&self, _view: &View<'_>, _review: &Review<'_>, _object: &mut Value) -> Result<bool, StatusError> {
        Ok(false)
    }

    /// Refuses the object, or lets it pass. `object` is null on deletions.
    async fn validate(&self, _view: &View<'_>, _review: &Review<'_>, _object: &Value) -> Result<(), StatusError> {
        Ok(())
    }
}

/// What a plugin can look up.
pub struct View<'a> {
    core: &'a Core,
}

impl View<'_> {
    /// An object, from the cache where that has it.
    pub async fn find(&self, resource: &Gvr, key: &Key) -> Result<Option<Arc<Stored>>, StatusError> {
        match self.core.registry.find(resource) {
            Some(kind) => self.core.storage.lookup(&kind, key).await,
            None => Ok(None),
        }
    }

    /// All objects of a resource in a namespace, or in all when it is empty.
    pub async fn all(&self, resource: &Gvr, namespace: &str) -> Result<Vec<Arc<Stored>>, StatusError> {
        match self.core.registry.find(resource) {
            Some(kind) => self.core.storage.all(&kind, namespace).await,
            None => Ok(Vec::new()),
        }
    }

    /// Random choices, such as generated volume names.
    pub fn chance(&self) -> &orch_store::Chance {
        &self.core.ambient.chance
    }
}

/// The plugins in order.
pub struct Chain(Vec<Arc<dyn Plugin>>);

impl Chain {
    /// The plugins that are on by default, in kube-apiserver's order.
    pub fn default_plugins() -> Vec<Arc<dyn Plugin>> {
        vec![
            Arc::new(NamespaceLifecycle),
            Arc::new(LimitRanger),
            Arc::new(ServiceAccount),
            Arc::new(TaintNodesByCondition),
            Arc::new(Priority),
            Arc::new(DefaultTolerationSeconds),
        ]
    }

    /// A chain of these plugins.
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self(plugins)
    }

    pub(crate) async fn mutate(
        &self,
        core: &Core,
        review: &Review<'_>,
        object: &mut Value,
    ) -> Result<bool, StatusError> {
        let view = View { core };
        let mut changed = false;
        for plugin in self.0.iter().filter(|p| p.handles(review)) {
            changed |= plugin.mutate(&view, review, object).await?;
        }
        Ok(changed)
    }

    pub(crate) async fn validate(&self, core: &Core, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let view = View { core };
        for plugin in self.0.iter().filter(|p| p.handles(review)) {
            plugin.validate(&view, review, object).await?;
        }
        Ok(())
    }
}

pub(crate) const NAMESPACES: Gvr = Gvr::of("", "v1", "namespaces");
pub(crate) const SERVICE_ACCOUNTS: Gvr = Gvr::of("", "v1", "serviceaccounts");
pub(crate) const LIMIT_RANGES: Gvr = Gvr::of("", "v1", "limitranges");
pub(crate) const PRIORITY_CLASSES: Gvr = Gvr::of("scheduling.k8s.io", "v1", "priorityclasses");
