//! [`Around`]: a client around another one, without repeating the requests that it only passes on.

use super::{Client, DeleteOptions, ListOptions, Page, Patch, Result, WatchOptions, WatchStream, WriteOptions};
use crate::Stored;
use async_trait::async_trait;
use orch_api::{Gvr, Key};
use serde_json::Value;
use std::sync::Arc;

/// A client that looks at requests on their way to another client. What it does not override it passes on as it is.
/// Whatever implements it is a [`Client`].
#[async_trait]
pub trait Around: Send + Sync + 'static {
    /// The client behind.
    ///
    /// # Errors
    /// What every request meets while there is none.
    fn inner(&self) -> Result<Arc<dyn Client>>;

    /// A read of one object, or of a subresource.
    async fn read(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        self.inner()?.get(resource, key, subresource).await
    }

    /// A read of a collection.
    async fn read_page(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        self.inner()?.list(resource, options).await
    }

    /// A watch.
    async fn begin_watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        self.inner()?.watch(resource, options).await
    }

    /// A write to one object, which [`Write::send`] passes on.
    async fn write(&self, write: Write<'_>) -> Result<Arc<Stored>> {
        write.send(&*self.inner()?).await
    }

    /// The deletion of a collection.
    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.inner()?.delete_collection(resource, select, options).await
    }
}

/// A write to one object, as a value.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Of which resource.
    pub resource: &'a Gvr,
    /// Which object; the name is empty where the server chooses it.
    pub key: &'a Key,
    /// `status`, `scale`, …
    pub subresource: Option<&'a str>,
    /// What is done.
    pub change: Change<'a>,
}

/// What a write does.
#[derive(Clone, Debug)]
pub enum Change<'a> {
    /// As [`Client::create`].
    Create(Value, &'a WriteOptions),
    /// As [`Client::update`].
    Update(Value, &'a WriteOptions),
    /// As [`Client::patch`].
    Patch(Patch, &'a WriteOptions),
    /// As [`Client::delete`].
    Delete(&'a DeleteOptions),
}

impl Write<'_> {
    /// Sends the request.
    pub async fn send(self, client: &dyn Client) -> Result<Arc<Stored>> {
        let Self { resource, key, subresource, change } = self;
        match change {
            Change::Create(body, options) => client.create(resource, key, subresource, body, options).await,
            Change::Update(body, options) => client.update(resource, key, subresource, body, options).await,
            Change::Patch(patch, options) => client.patch(resource, key, subresource, patch, options).await,
            Change::Delete(options) => client.delete(resource, key, options).await,
        }
    }

    /// Its verb, as RBAC names it.
    pub fn verb(&self) -> &'static str {
        match &self.change {
            Change::Create(..) => "create",
            Change::Update(..) => "update",
            Change::Patch(..) => "patch",
            Change::Delete(_) => "delete",
        }
    }

    /// Whether nothing is stored.
    pub fn is_dry(&self) -> bool {
        match &self.change {
            Change::Create(_, options) | Change::Update(_, options) | Change::Patch(_, options) => options.dry_run,
            Change::Delete(options) => options.dry_run,
        }
    }
}

#[async_trait]
impl<A: Around> Client for A {
    async fn get(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        self.read(resource, key, subresource).await
    }

    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        self.read_page(resource, options).await
    }

    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        self.begin_watch(resource, options).await
    }

    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.write(Write { resource, key, subresource, change: Change::Create(body, options) }).await
    }

    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.write(Write { resource, key, subresource, change: Change::Update(body, options) }).await
    }

    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.write(Write { resource, key, subresource, change: Change::Patch(patch, options) }).await
    }

    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        self.write(Write { resource, key, subresource: None, change: Change::Delete(options) }).await
    }

    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.sweep(resource, select, options).await
    }
}
