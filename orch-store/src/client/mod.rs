//! [`Client`]: how everything but the API server itself speaks to an API server, in process or over HTTP.

mod around;
mod ext;
mod options;

pub use around::{Around, Change, Write};
pub use ext::{ClientExt, Events, TypedEvent, encode};
pub use options::{
    DeleteOptions, FieldValidation, ListOptions, Page, Patch, Propagation, ReadAt, WatchEvent, WatchOptions,
    WriteOptions,
};

use crate::stored::Stored;
use async_trait::async_trait;
use futures::stream::BoxStream;
use orch_api::{Gvr, Key, StatusError};
use serde_json::Value;
use std::sync::Arc;

/// The result of a request.
pub type Result<T, E = StatusError> = std::result::Result<T, E>;

/// Events until the server ends the watch, or the error that ended it.
pub type WatchStream = BoxStream<'static, Result<WatchEvent>>;

/// The API of Kubernetes, type-erased. Implementors: the API server in process, HTTP, and wrappers that
/// inject faults. Callers use [`ClientExt`], which adds the types.
///
/// # Laws
///
/// - A returned object is what the store holds: callers share it and never change it.
/// - Refusals are the [`StatusError`]s of kube-apiserver.
/// - A watch ends when the server ends it; resuming is the caller's business (or the informer's).
/// - Where a key's namespace is empty the resource is cluster-scoped (or the list spans all namespaces).
#[async_trait]
pub trait Client: Send + Sync + 'static {
    /// Reads one object, or a subresource such as `scale`.
    async fn get(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>>;

    /// Reads a collection.
    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page>;

    /// Follows a collection.
    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream>;

    /// Creates an object. An empty name asks for `metadata.generateName`. Subresources: `binding`, `eviction`, `token`.
    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>>;

    /// Replaces an object, or the part of it that the subresource (`status`, `scale`) names.
    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>>;

    /// Changes an object.
    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>>;

    /// Deletes an object. The answer is the object when it lives on (finalizers, grace) or as it was last.
    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>>;

    /// Deletes every object that the options select.
    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()>;
}
