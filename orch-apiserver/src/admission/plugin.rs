//! [`Plugin`]: what changes or refuses writes, and [`View`]: what it can look up.

use super::{Review, round::Round};
use crate::{
    authz::{Attributes, Decision},
    core::Core,
};
use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use orch_api::{Gvr, Key, StatusError};
use orch_store::{
    Stored,
    client::{WatchEvent, WatchOptions},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

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

    /// Changes the object; says whether it did. On deletions the object is null and stays so.
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
    pub(crate) core: &'a Core,
    pub(crate) round: &'a Round,
}

impl View<'_> {
    /// An object, from the cache where that has it.
    pub async fn find(&self, resource: &Gvr, key: &Key) -> Result<Option<Arc<Stored>>, StatusError> {
        match self.core.registry.find(resource) {
            Some(kind) => self.core.storage.lookup(&kind, key).await,
            None => Ok(None),
        }
    }

    /// [`View::find`], for what somebody is about to make: waits for it, but not longer than that.
    pub async fn await_one(
        &self,
        resource: &Gvr,
        key: &Key,
        patience: Duration,
    ) -> Result<Option<Arc<Stored>>, StatusError> {
        let found = self.find(resource, key).await?;
        let Some(kind) = self.core.registry.find(resource).filter(|_| found.is_none()) else { return Ok(found) };
        let options = WatchOptions {
            namespace: key.namespace.clone(),
            fields: format!("metadata.name={}", key.name),
            timeout: Some(patience),
            ..WatchOptions::default()
        };
        let mut events = self.core.storage.watch(&kind, &options).await?;
        while let Some(event) = events.next().await {
            if let WatchEvent::Added(object) = event? {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    /// All objects of a resource in a namespace, or in all when it is empty.
    pub async fn all(&self, resource: &Gvr, namespace: &str) -> Result<Vec<Arc<Stored>>, StatusError> {
        match self.core.registry.find(resource) {
            Some(kind) => self.core.storage.all(&kind, namespace).await,
            None => Ok(Vec::new()),
        }
    }

    /// The same as the cache holds them, without asking the store whether it is the newest.
    pub async fn known(&self, resource: &Gvr, namespace: &str) -> Result<Vec<Arc<Stored>>, StatusError> {
        match self.core.registry.find(resource) {
            Some(kind) => self.core.storage.known(&kind, namespace).await,
            None => Ok(Vec::new()),
        }
    }

    /// Whether somebody may do something.
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.in_group(crate::authn::User::MASTERS) {
            return Decision::allow("");
        }
        self.core.authorizer.authorize(attributes)
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.core.ambient.clock.now()
    }

    /// Random choices, such as generated volume names.
    pub fn chance(&self) -> &orch_store::Chance {
        &self.core.ambient.chance
    }
}
