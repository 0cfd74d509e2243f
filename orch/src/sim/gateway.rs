//! [`Gateway`]: the address of the API server. Behind it one server can end and another begin.

use super::injector::unreachable;
use async_trait::async_trait;
use futures::StreamExt;
use orch_api::{Gvr, Key};
use orch_store::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Page, Patch, Result, WatchOptions, WatchStream, WriteOptions},
    watched,
};
use serde_json::Value;
use std::sync::Arc;

/// A client of whichever server there is.
#[derive(Default)]
pub(super) struct Gateway {
    current: watched::Sender<Option<Arc<dyn Client>>>,
}

impl Gateway {
    /// Another server, or none. Connections to the one before end.
    pub(super) fn set(&self, server: Option<Arc<dyn Client>>) {
        self.current.send_replace(server);
    }

    fn server(&self) -> Result<Arc<dyn Client>> {
        self.current.borrow().clone().ok_or_else(unreachable)
    }
}

#[async_trait]
impl Client for Gateway {
    async fn get(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        self.server()?.get(resource, key, subresource).await
    }

    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        self.server()?.list(resource, options).await
    }

    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let mut changed = self.current.subscribe();
        let events = self.server()?.watch(resource, options).await?;
        let ended = async move {
            let _either = changed.changed().await;
        };
        Ok(events.take_until(Box::pin(ended)).boxed())
    }

    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.server()?.create(resource, key, subresource, body, options).await
    }

    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.server()?.update(resource, key, subresource, body, options).await
    }

    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.server()?.patch(resource, key, subresource, patch, options).await
    }

    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        self.server()?.delete(resource, key, options).await
    }

    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.server()?.delete_collection(resource, select, options).await
    }
}
