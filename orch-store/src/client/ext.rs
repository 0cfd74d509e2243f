//! [`ClientExt`]: the typed calls.

use super::{
    Client, DeleteOptions, ListOptions, Patch, ReadAt, Result, WatchEvent, WatchOptions, WatchStream, WriteOptions,
};
use crate::{backend::Revision, stored::Stored};
use futures::{StreamExt, stream::BoxStream};
use orch_api::{Key, Object, StatusError};
use serde_json::Value;
use std::{future::Future, sync::Arc, time::Duration};

/// How often [`ClientExt::modify`] tries when others write the same object.
const ATTEMPTS: usize = 10;

/// How long [`ClientExt::wait_for`] pauses after a watch that ended.
const PAUSE: Duration = Duration::from_millis(100);

/// The typed calls. Implemented for every [`Client`], whatever is behind it.
///
/// Where a call needs options that are not offered here, call the [`Client`] itself and
/// [`Stored::decode`] the answer.
pub trait ClientExt: Client {
    /// Reads a typed object.
    fn read<K: Object>(&self, key: &Key) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move { self.get(&K::gvr(), key, None).await?.decode() }
    }

    /// Reads a typed object, or `None` if there is none.
    fn find<K: Object>(&self, key: &Key) -> impl Future<Output = Result<Option<Arc<K>>>> + Send {
        async move { optional(self.read(key).await) }
    }

    /// Reads all objects of a namespace, or of all namespaces when it is empty.
    fn read_all<K: Object>(&self, namespace: &str) -> impl Future<Output = Result<Vec<Arc<K>>>> + Send {
        let options = ListOptions { namespace: namespace.into(), ..ListOptions::default() };
        async move { self.select(&options).await }
    }

    /// Reads the objects that the options select, page by page where the options have a limit.
    fn select<K: Object>(&self, options: &ListOptions) -> impl Future<Output = Result<Vec<Arc<K>>>> + Send {
        let mut options = options.clone();
        async move {
            let mut objects = Vec::new();
            loop {
                let page = self.list(&K::gvr(), &options).await?;
                for object in &page.items {
                    objects.push(object.decode()?);
                }
                if page.continue_token.is_empty() {
                    return Ok(objects);
                }
                options.continue_token = page.continue_token;
                options.revision = ReadAt::Latest; // The token says which revision is read.
            }
        }
    }

    /// Creates a typed object in the namespace that its metadata names.
    fn add<K: Object>(&self, object: &K) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move {
            let body = encode(object)?;
            self.create(&K::gvr(), &object.key(), None, body, &WriteOptions::default()).await?.decode()
        }
    }

    /// Replaces a typed object; a conflict if its resourceVersion is set and no longer current.
    fn replace<K: Object>(&self, object: &K) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move {
            let body = encode(object)?;
            self.update(&K::gvr(), &object.key(), None, body, &WriteOptions::default()).await?.decode()
        }
    }

    /// Replaces the status of a typed object.
    fn replace_status<K: Object>(&self, object: &K) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move {
            let body = encode(object)?;
            self.update(&K::gvr(), &object.key(), Some("status"), body, &WriteOptions::default()).await?.decode()
        }
    }

    /// Reads an object, lets `change` edit it, and writes it unless nothing changed; again from a fresh
    /// read when somebody else was faster. Returns the object as it is then.
    fn modify<K, F>(&self, key: &Key, mut change: F) -> impl Future<Output = Result<Arc<K>>> + Send
    where
        K: Object + PartialEq,
        F: FnMut(&mut K) + Send,
    {
        async move {
            let mut attempt = 1;
            loop {
                let current: Arc<K> = self.read(key).await?;
                let mut wanted = K::clone(&current);
                change(&mut wanted);
                if wanted == *current {
                    return Ok(current);
                }
                match self.replace(&wanted).await {
                    Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                    result => return result,
                }
            }
        }
    }

    /// Server-side apply: `object` holds the fields that `manager` wants to own. With `force`, also
    /// those that others own now. A resourceVersion in the object is an optimistic lock.
    fn apply<K: Object>(&self, object: &K, manager: &str, force: bool) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move { apply(self, object, None, manager, force).await }
    }

    /// Server-side apply of the status.
    fn apply_status<K: Object>(
        &self,
        object: &K,
        manager: &str,
        force: bool,
    ) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move { apply(self, object, Some("status"), manager, force).await }
    }

    /// Merges a JSON merge patch (RFC 7396) into an object.
    fn merge<K: Object>(&self, key: &Key, patch: Value) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move { self.patch(&K::gvr(), key, None, Patch::Merge(patch), &WriteOptions::default()).await?.decode() }
    }

    /// Merges a JSON merge patch into the status of an object; the patch has `status` at its top.
    fn merge_status<K: Object>(&self, key: &Key, patch: Value) -> impl Future<Output = Result<Arc<K>>> + Send {
        async move {
            let patch = Patch::Merge(patch);
            self.patch(&K::gvr(), key, Some("status"), patch, &WriteOptions::default()).await?.decode()
        }
    }

    /// Deletes a typed object with the defaults of its kind.
    fn remove<K: Object>(&self, key: &Key) -> impl Future<Output = Result<()>> + Send {
        async move { self.delete(&K::gvr(), key, &DeleteOptions::default()).await.map(drop) }
    }

    /// Deletes a typed object if it is there. Whether it was.
    fn remove_with<K: Object>(&self, key: &Key, options: &DeleteOptions) -> impl Future<Output = Result<bool>> + Send {
        async move { Ok(optional(self.delete(&K::gvr(), key, options).await)?.is_some()) }
    }

    /// Follows typed objects, until the server ends the watch. An informer also resumes.
    fn follow<K: Object>(&self, options: &WatchOptions) -> impl Future<Output = Result<Events<K>>> + Send {
        async move {
            let events = self.watch(&K::gvr(), options).await?;
            Ok(events.map(|event| typed(event?)).boxed())
        }
    }

    /// Waits until a predicate holds of an object, or of its absence (`None`), and returns what it held
    /// of. Sees the state first and then every change, and resumes when a watch ends. Waits for ever:
    /// put a timeout around it.
    fn wait_for<K, F>(&self, key: &Key, mut holds: F) -> impl Future<Output = Result<Option<Arc<K>>>> + Send
    where
        K: Object,
        F: FnMut(Option<&K>) -> bool + Send,
    {
        async move {
            let mut check = move |object: Option<Arc<Stored>>| -> Result<Option<Option<Arc<K>>>> {
                let object: Option<Arc<K>> = object.map(|object| object.decode()).transpose()?;
                Ok(holds(object.as_deref()).then_some(object))
            };
            loop {
                let (object, revision) = now(self, key, &K::gvr()).await?;
                if let Some(found) = check(object)? {
                    return Ok(found);
                }
                let found = match from(self, key, &K::gvr(), revision).await {
                    Ok(events) => later(events, key, &mut check).await,
                    Err(error) => Err(error),
                };
                match found {
                    Ok(Some(found)) => return Ok(found),
                    Err(error) if !error.is_expired() => return Err(error),
                    _ => {}
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl<C: Client + ?Sized> ClientExt for C {}

/// Typed events until the server ends the watch, or the error that ended it.
pub type Events<K> = BoxStream<'static, Result<TypedEvent<K>>>;

/// One event of a typed watch; as [`WatchEvent`].
#[derive(Clone, Debug)]
pub enum TypedEvent<K> {
    /// The object appeared, or began to match the selector.
    Added(Arc<K>),
    /// The object changed.
    Modified(Arc<K>),
    /// The object is gone, or no longer matches.
    Deleted(Arc<K>),
    /// Everything up to this revision has been sent.
    Bookmark {
        /// Up to where.
        revision: Revision,
        /// Whether this ends the initial events.
        initial_events_end: bool,
    },
}

/// The JSON tree of a typed object.
pub fn encode<K: serde::Serialize>(object: &K) -> Result<Value> {
    serde_json::to_value(object).map_err(StatusError::internal)
}

fn typed<K: Object>(event: WatchEvent) -> Result<TypedEvent<K>> {
    Ok(match event {
        WatchEvent::Added(object) => TypedEvent::Added(object.decode()?),
        WatchEvent::Modified(object) => TypedEvent::Modified(object.decode()?),
        WatchEvent::Deleted(object) => TypedEvent::Deleted(object.decode()?),
        WatchEvent::Bookmark { revision, initial_events_end } => TypedEvent::Bookmark { revision, initial_events_end },
    })
}

fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn apply<C: Client + ?Sized, K: Object>(
    client: &C,
    object: &K,
    subresource: Option<&str>,
    manager: &str,
    force: bool,
) -> Result<Arc<K>> {
    let mut body = encode(object)?;
    // An object that was read may be applied; who owned its fields then is not part of it.
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    let options = WriteOptions { field_manager: manager.to_owned(), force, ..WriteOptions::default() };
    client.patch(&K::gvr(), &object.key(), subresource, Patch::Apply(body), &options).await?.decode()
}

/// The object, and the revision at which that is so.
async fn now<C: Client + ?Sized>(
    client: &C,
    key: &Key,
    resource: &orch_api::Gvr,
) -> Result<(Option<Arc<Stored>>, Revision)> {
    let fields = format!("metadata.name={}", key.name);
    let options = ListOptions { namespace: key.namespace.clone(), fields, ..ListOptions::default() };
    let page = client.list(resource, &options).await?;
    Ok((page.items.into_iter().find(|object| object.key == *key), page.revision))
}

/// The changes of one object after a revision.
async fn from<C: Client + ?Sized>(
    client: &C,
    key: &Key,
    resource: &orch_api::Gvr,
    revision: Revision,
) -> Result<WatchStream> {
    let options = WatchOptions {
        namespace: key.namespace.clone(),
        fields: format!("metadata.name={}", key.name),
        after: Some(revision),
        ..WatchOptions::default()
    };
    client.watch(resource, &options).await
}

/// What a check found in the changes of one object; `None` when the watch ended before.
async fn later<T>(
    mut events: WatchStream,
    key: &Key,
    check: &mut (impl FnMut(Option<Arc<Stored>>) -> Result<Option<T>> + Send),
) -> Result<Option<T>> {
    while let Some(event) = events.next().await {
        let state = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) if object.key == *key => Some(object),
            Ok(WatchEvent::Deleted(object)) if object.key == *key => None,
            Ok(_) => continue,
            Err(error) => return Err(error),
        };
        if let Some(found) = check(state)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
