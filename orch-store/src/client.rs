//! [`Client`]: how everything but the API server itself speaks to an API server, in process or over HTTP.

use crate::{backend::Revision, stored::Stored};
use async_trait::async_trait;
use futures::stream::BoxStream;
use orch_api::{Gvr, Key, Object, StatusError};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The result of a request.
pub type Result<T, E = StatusError> = std::result::Result<T, E>;

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

/// Which objects a list reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// Only this namespace; empty for all.
    pub namespace: Arc<str>,
    /// A label selector, empty for everything.
    pub labels: String,
    /// A field selector, empty for everything.
    pub fields: String,
    /// At most this many objects; 0 for all.
    pub limit: usize,
    /// Where the previous page ended.
    pub continue_token: String,
    /// `resourceVersion` with `resourceVersionMatch`.
    pub revision: ReadAt,
    /// Only `metadata` is wanted. A server over HTTP then sends only that (`PartialObjectMetadata`); one
    /// in process shares the whole object, which costs nothing.
    pub metadata_only: bool,
}

/// How fresh, or which, a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadAt {
    /// The newest there is (`resourceVersion` unset).
    #[default]
    Latest,
    /// Whatever the cache holds (`resourceVersion=0`).
    Any,
    /// At least this revision.
    NotOlderThan(Revision),
    /// Exactly this revision.
    Exact(Revision),
}

/// Which objects a watch follows, and from where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchOptions {
    /// Only this namespace; empty for all.
    pub namespace: Arc<str>,
    /// A label selector, empty for everything.
    pub labels: String,
    /// A field selector, empty for everything.
    pub fields: String,
    /// Events after this revision; `None` for the current state as ADDED events and then what follows.
    pub after: Option<Revision>,
    /// Whether to begin with the current state, not older than `after`, and a bookmark that ends it
    /// (`sendInitialEvents`).
    pub initial_events: bool,
    /// Whether bookmarks may be sent.
    pub bookmarks: bool,
    /// When the server should end the watch. Where bookmarks were asked for, the last event before that
    /// end is a bookmark that covers everything the server had seen by then.
    pub timeout: Option<Duration>,
    /// Only `metadata` is wanted, as in [`ListOptions::metadata_only`].
    pub metadata_only: bool,
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects, in key order.
    pub items: Vec<Arc<Stored>>,
    /// The revision at which the list holds.
    pub revision: Revision,
    /// Where the next page begins; empty when there is none.
    pub continue_token: String,
    /// How many objects follow this page, when that is known.
    pub remaining: Option<u64>,
}

/// One event of a watch.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The object appeared, or began to match the selector.
    Added(Arc<Stored>),
    /// The object changed.
    Modified(Arc<Stored>),
    /// The object is gone, or no longer matches: its last state, at the revision that removed it.
    Deleted(Arc<Stored>),
    /// Everything up to this revision has been sent.
    Bookmark {
        /// Up to where.
        revision: Revision,
        /// Whether this ends the initial events.
        initial_events_end: bool,
    },
}

/// Events until the server ends the watch, or the error that ended it.
pub type WatchStream = BoxStream<'static, Result<WatchEvent>>;

/// Options of create, update and patch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteOptions {
    /// Who owns the fields that this write sets; the server falls back to the client's name.
    pub field_manager: String,
    /// Decide everything, store nothing.
    pub dry_run: bool,
    /// What to do about unknown and duplicate fields.
    pub field_validation: FieldValidation,
    /// For apply: take over fields that others own.
    pub force: bool,
}

/// What to do about unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and say so in a warning.
    #[default]
    Warn,
    /// Refuse the request.
    Strict,
}

/// A change to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7396.
    Merge(Value),
    /// Kubernetes' strategic merge patch.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

/// Options of delete.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteOptions {
    /// Delete only the object with this UID.
    pub uid: Option<Arc<str>>,
    /// Delete only at this revision.
    pub revision: Option<Revision>,
    /// Seconds to wait for a graceful end; the kind's default when unset.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; the kind's default when unset.
    pub propagation: Option<Propagation>,
    /// Decide everything, delete nothing.
    pub dry_run: bool,
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They live on without an owner.
    Orphan,
    /// The garbage collector deletes them afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// The typed calls. Implemented for every [`Client`], whatever is behind it.
#[allow(async_fn_in_trait)]
pub trait ClientExt: Client {
    /// Reads a typed object.
    async fn read<K: Object>(&self, key: &Key) -> Result<Arc<K>> {
        self.get(&K::gvr(), key, None).await?.decode()
    }

    /// Reads a typed object, or `None` if there is none.
    async fn find<K: Object>(&self, key: &Key) -> Result<Option<Arc<K>>> {
        match self.read(key).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a namespace, or of all namespaces when it is empty.
    async fn read_all<K: Object>(&self, namespace: &str) -> Result<Vec<Arc<K>>> {
        let options = ListOptions { namespace: namespace.into(), ..ListOptions::default() };
        self.list(&K::gvr(), &options).await?.items.iter().map(|o| o.decode()).collect()
    }

    /// Creates a typed object in the namespace that its metadata names.
    async fn add<K: Object>(&self, object: &K) -> Result<Arc<K>> {
        let body = encode(object)?;
        self.create(&K::gvr(), &object.key(), None, body, &WriteOptions::default()).await?.decode()
    }

    /// Replaces a typed object; a conflict if its resourceVersion is set and no longer current.
    async fn replace<K: Object>(&self, object: &K) -> Result<Arc<K>> {
        let body = encode(object)?;
        self.update(&K::gvr(), &object.key(), None, body, &WriteOptions::default()).await?.decode()
    }

    /// Replaces the status of a typed object.
    async fn replace_status<K: Object>(&self, object: &K) -> Result<Arc<K>> {
        let body = encode(object)?;
        self.update(&K::gvr(), &object.key(), Some("status"), body, &WriteOptions::default()).await?.decode()
    }

    /// Deletes a typed object with the defaults of its kind.
    async fn remove<K: Object>(&self, key: &Key) -> Result<()> {
        self.delete(&K::gvr(), key, &DeleteOptions::default()).await.map(drop)
    }
}

impl<C: Client + ?Sized> ClientExt for C {}

/// The JSON tree of a typed object.
pub fn encode<K: serde::Serialize>(object: &K) -> Result<Value> {
    serde_json::to_value(object).map_err(StatusError::internal)
}
