//! [`BareClient`]: the store spoken to as an API server would, for tests and benchmarks of this crate.

use crate::{
    Ambient, Backend, Client, Revision, Stored,
    backend::{BackendError, Condition, Durability, Txn, Value, Write},
    cache::{Options, WatchCache, WatchStart},
    client::{DeleteOptions, ListOptions, Page, Patch, ReadAt, Result, WatchOptions, WatchStream, WriteOptions},
    stored::revision_span,
};
use async_trait::async_trait;
use futures::StreamExt;
use orch_api::{Gvr, Key, Reason, StatusError};
use serde_json::json;
use std::sync::Arc;

/// A [`Client`] straight onto a watch cache. It stores whatever it is given: no defaults, no
/// validation, no selectors, no finalizers. Whoever tests more than this crate wants a real API server.
#[derive(Clone)]
pub struct BareClient {
    cache: WatchCache,
    ambient: Ambient,
}

impl BareClient {
    /// A client over a backend.
    pub fn new(backend: Arc<dyn Backend>, ambient: Ambient) -> Self {
        Self::with_options(backend, ambient, Options::default())
    }

    /// The same with other limits of the cache.
    pub fn with_options(backend: Arc<dyn Backend>, ambient: Ambient, options: Options) -> Self {
        Self { cache: WatchCache::with_options(backend, ambient.clone(), options), ambient }
    }

    /// The cache that answers reads.
    pub fn cache(&self) -> &WatchCache {
        &self.cache
    }

    /// What the keys of a resource begin with.
    pub fn prefix(resource: &Gvr) -> String {
        match &*resource.group {
            "" => format!("/registry/{}/", resource.resource),
            group => format!("/registry/{group}/{}/", resource.resource),
        }
    }

    async fn commit(&self, resource: &Gvr, key: &Key, condition: Condition, value: Option<Value>) -> Result<Revision> {
        let key_path = format!("{}{key}", Self::prefix(resource)).into();
        let write = Write { key: key_path, condition, value, durability: Durability::Synced };
        match self.cache.backend().commit(Txn { writes: vec![write] }).await {
            Ok(revision) => Ok(revision),
            Err(BackendError::Conflict { actual: None, .. }) => Err(StatusError::not_found(resource, &key.name)),
            Err(BackendError::Conflict { .. }) if condition == Condition::Absent => {
                Err(StatusError::already_exists(resource, &key.name))
            }
            Err(BackendError::Conflict { .. }) => Err(StatusError::stale(resource, &key.name)),
            Err(error) => Err(refuse(&error)),
        }
    }

    async fn put(
        &self,
        resource: &Gvr,
        key: &Key,
        condition: Condition,
        body: serde_json::Value,
    ) -> Result<Arc<Stored>> {
        let value = encode(body)?;
        let revision = self.commit(resource, key, condition, Some(value.clone())).await?;
        Stored::from_json(value.at(revision)).map(Arc::new).map_err(StatusError::internal)
    }
}

#[async_trait]
impl Client for BareClient {
    async fn get(&self, resource: &Gvr, key: &Key, _: Option<&str>) -> Result<Arc<Stored>> {
        let cache = self.cache.resource(&Self::prefix(resource));
        let found = cache.get(key, ReadAt::Latest).await.map_err(|e| refuse(&e))?;
        found.ok_or_else(|| StatusError::not_found(resource, &key.name))
    }

    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        let cache = self.cache.resource(&Self::prefix(resource));
        let snapshot = cache.snapshot(options.revision).await.map_err(|e| refuse(&e))?;
        let slice = snapshot.page(namespace(&options.namespace), None, 0);
        Ok(Page { items: slice.items, revision: snapshot.revision, ..Page::default() })
    }

    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let start = match (options.initial_events, options.after) {
            (true, None) => WatchStart::Initial(ReadAt::Latest),
            (true, Some(revision)) => WatchStart::Initial(ReadAt::NotOlderThan(revision)),
            (false, None) => WatchStart::State(ReadAt::Latest),
            (false, Some(revision)) => WatchStart::After(revision),
        };
        let cache = self.cache.resource(&Self::prefix(resource));
        let mut watcher = cache.watch(start, namespace(&options.namespace), None).map_err(|e| refuse(&e))?;
        if options.bookmarks {
            watcher = watcher.with_bookmarks();
        }
        if let Some(timeout) = options.timeout {
            watcher = watcher.with_timeout(timeout);
        }
        Ok(watcher.map(|event| event.map_err(|e| refuse(&e))).boxed())
    }

    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        _: Option<&str>,
        mut body: serde_json::Value,
        _: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        body["metadata"]["uid"] = json!(self.ambient.chance.uid());
        self.put(resource, key, Condition::Absent, body).await
    }

    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        _: Option<&str>,
        body: serde_json::Value,
        _: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let stated = body["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok()).map(Revision);
        let revision = match stated {
            Some(revision) => revision,
            None => self.get(resource, key, None).await?.revision,
        };
        self.put(resource, key, Condition::At(revision), body).await
    }

    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        _: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        let mut body = self.get(resource, key, None).await?.parse()?;
        match patch {
            Patch::Merge(patch) => merge(&mut body, patch),
            Patch::Json(operations) => {
                operations.as_array().into_iter().flatten().try_for_each(|o| set(&mut body, o))?
            }
            _ => return Err(StatusError::new(Reason::UnsupportedMediaType, "only merge patches and JSON patches")),
        }
        self.update(resource, key, None, body, options).await
    }

    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        let last = self.get(resource, key, None).await?;
        let condition = Condition::At(options.revision.unwrap_or(last.revision));
        let revision = self.commit(resource, key, condition, None).await?;
        Ok(Arc::new(last.at_revision(revision)))
    }

    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        for object in self.list(resource, select).await?.items {
            self.delete(resource, &object.key, options).await?;
        }
        Ok(())
    }
}

/// A JSON object as a value with a slot for its revision.
pub fn encode(mut body: serde_json::Value) -> Result<Value> {
    body["metadata"]["resourceVersion"] = json!("");
    let json = serde_json::to_vec(&body).map_err(StatusError::internal)?;
    let slot = revision_span(&json).and_then(|span| u32::try_from(span.start + 1).ok());
    Ok(Value { json: json.into(), slot })
}

fn namespace(namespace: &str) -> Option<&str> {
    (!namespace.is_empty()).then_some(namespace)
}

/// Applies a merge patch, or a JSON patch that sets members of objects.
pub fn apply(body: &mut serde_json::Value, patch: Patch) -> Result<()> {
    match patch {
        Patch::Merge(patch) => merge(body, patch),
        Patch::Json(operations) => operations.as_array().into_iter().flatten().try_for_each(|o| set(body, o))?,
        _ => return Err(StatusError::new(Reason::UnsupportedMediaType, "only merge patches and JSON patches")),
    }
    Ok(())
}

/// RFC 7396.
pub fn merge(target: &mut serde_json::Value, patch: serde_json::Value) {
    let serde_json::Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        match value {
            serde_json::Value::Null => drop(target.as_object_mut().and_then(|t| t.remove(&name))),
            value => merge(&mut target[name], value),
        }
    }
}

/// Of RFC 6902: to add or replace a member of an object.
fn set(target: &mut serde_json::Value, operation: &serde_json::Value) -> Result<()> {
    let is_set = matches!(operation["op"].as_str(), Some("add" | "replace"));
    let place = operation["path"].as_str().and_then(|path| path.rsplit_once('/')).filter(|_| is_set);
    let known = place.and_then(|(parent, name)| Some((target.pointer_mut(parent)?.as_object_mut()?, name)));
    let (parent, name) = known.ok_or_else(|| StatusError::bad_request(format!("cannot do {operation}")))?;
    parent.insert(name.to_owned(), operation["value"].clone());
    Ok(())
}

fn refuse(error: &BackendError) -> StatusError {
    match error {
        BackendError::Compacted { .. } => StatusError::expired(error.to_string()),
        BackendError::Future { .. } => StatusError::new(Reason::Timeout, error.to_string()),
        error => StatusError::new(Reason::ServiceUnavailable, error.to_string()),
    }
}
