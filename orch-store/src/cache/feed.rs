//! The feed: one watch of the whole backend, dealt out to the resource caches.

use super::{Options, ResourceCache, progress::Progress, state::Update};
use crate::{
    Ambient, Backend, Revision, Stored,
    backend::{BackendError, Batch, Change},
};
use bytes::Bytes;
use futures::StreamExt;
use orch_api::Key;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How many transactions are applied before readers are told.
const CHUNK: usize = 256;

/// Follows the backend on behalf of all resource caches of a process.
pub(super) struct Feed {
    backend: Arc<dyn Backend>,
    ambient: Ambient,
    options: Options,
    progress: Progress,
    routes: RwLock<Routes>,
}

#[derive(Default)]
struct Routes {
    resources: BTreeMap<Arc<str>, Arc<ResourceCache>>,
    /// Transactions up to here have been dealt out, or are about to be.
    routed: Revision,
    following: bool,
}

impl Feed {
    pub(super) fn new(backend: Arc<dyn Backend>, ambient: Ambient, options: Options) -> Arc<Self> {
        let progress = Progress::new(backend.clone(), options.freshness_timeout);
        Arc::new(Self { backend, ambient, options, progress, routes: RwLock::default() })
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn resource(self: &Arc<Self>, prefix: &str) -> Arc<ResourceCache> {
        if let Some(resource) = self.routes.read().resources.get(prefix) {
            return resource.clone();
        }
        let mut routes = self.routes.write();
        if let Some(resource) = routes.resources.get(prefix) {
            return resource.clone();
        }
        let resource = Arc::new(ResourceCache::new(prefix, self.backend.clone(), self.progress.clone(), self.options));
        routes.resources.insert(prefix.into(), resource.clone());
        if !std::mem::replace(&mut routes.following, true) {
            self.ambient.tasks.spawn(run(self.clone()));
        }
        drop(routes);
        self.ambient.tasks.spawn(load(self.clone(), resource.clone()));
        resource
    }

    pub(super) fn forget(&self, prefix: &str) {
        let resource = self.routes.write().resources.remove(prefix);
        if let Some(resource) = resource {
            resource.close();
        }
    }

    /// Deals out the changes of a chunk and then says how far everything is.
    fn deal(&self, batches: &[Batch]) {
        let Some(last) = batches.last() else { return };
        let touched = {
            let mut routes = self.routes.write();
            routes.routed = routes.routed.max(last.revision);
            route(&routes.resources, batches)
        };
        for (resource, changes) in touched {
            let updates = changes.into_iter().filter_map(|(change, revision)| resource.update(change, revision));
            resource.apply(updates.collect());
        }
        self.progress.advance(last.revision);
    }

    /// History was lost: every resource must be read anew.
    fn restart(self: &Arc<Self>) {
        let resources: Vec<_> = self.routes.read().resources.values().cloned().collect();
        for resource in resources {
            if resource.reset() {
                self.ambient.tasks.spawn(load(self.clone(), resource));
            }
        }
    }

    /// A pause that grows with the number of failures, never the same twice.
    async fn pause(&self, failures: u32) {
        let ceiling = Duration::from_millis(50).saturating_mul(1 << failures.min(7));
        tokio::time::sleep(ceiling.mul_f64(0.5 + self.ambient.chance.fraction() / 2.0)).await;
    }
}

/// The changes of each resource, in the order in which the resources were first touched: the order must
/// not depend on a hash, or a simulation would not repeat itself.
type Touched<'a> = Vec<(Arc<ResourceCache>, Vec<(&'a Change, Revision)>)>;

/// Which changes go where. A prefix ends with a slash, so only those of a key's parents can match.
fn route<'a>(resources: &BTreeMap<Arc<str>, Arc<ResourceCache>>, batches: &'a [Batch]) -> Touched<'a> {
    let mut touched = Touched::new();
    let changes = batches.iter().flat_map(|batch| batch.changes.iter().map(|change| (change, batch.revision)));
    for (change, revision) in changes {
        let parents = change.key.match_indices('/').filter_map(|(i, _)| change.key.get(..=i));
        for resource in parents.filter_map(|prefix| resources.get(prefix)) {
            match touched.iter_mut().find(|(known, _)| Arc::ptr_eq(known, resource)) {
                Some((_, changes)) => changes.push((change, revision)),
                None => touched.push((resource.clone(), vec![(change, revision)])),
            }
        }
    }
    touched
}

/// Follows the backend until it is closed.
async fn run(feed: Arc<Feed>) {
    let mut failures = 0;
    loop {
        let before = feed.progress.revision();
        match follow(&feed).await {
            BackendError::Closed => break feed.progress.close(),
            error => tracing::warn!(%error, "the watch of the store ended"),
        }
        failures = if feed.progress.revision() > before { 0 } else { failures + 1 };
        if failures > 0 {
            feed.pause(failures).await;
        }
    }
    let resources: Vec<_> = feed.routes.read().resources.values().cloned().collect();
    resources.iter().for_each(|resource| resource.close());
}

/// Follows one watch to its end and says why it ended.
async fn follow(feed: &Arc<Feed>) -> BackendError {
    let mut after = feed.progress.revision();
    if after == Revision::default() {
        after = match feed.backend.revision().await {
            Ok(revision) => revision,
            Err(error) => return error,
        };
        feed.progress.advance(after);
    }
    let batches = match feed.backend.watch("", after).await {
        Ok(batches) => batches,
        Err(error) => return lost(feed, error).await,
    };
    let mut chunks = batches.ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let mut good = Vec::with_capacity(chunk.len());
        let mut failed = None;
        for batch in chunk {
            match batch {
                Ok(batch) => good.push(batch),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        feed.deal(&good);
        if let Some(error) = failed {
            return error; // Even one that fell behind may find what it missed in the history.
        }
    }
    BackendError::Unavailable("the watch ended".into())
}

/// Where the history does not reach back, starts anew from the present.
async fn lost(feed: &Arc<Feed>, error: BackendError) -> BackendError {
    if matches!(error, BackendError::Compacted { .. } | BackendError::Future { .. }) {
        match feed.backend.revision().await {
            Ok(revision) => {
                feed.progress.set(revision);
                feed.restart();
            }
            Err(error) => return error,
        }
    }
    error
}

/// Reads the state of a resource and hands it over.
async fn load(feed: Arc<Feed>, resource: Arc<ResourceCache>) {
    let mut failures = 0;
    while let Some(ticket) = resource.ticket() {
        let routed = feed.routes.read().routed;
        match resource.read().await {
            // What was dealt out before this resource was known must be in the state.
            Ok((objects, revision)) if revision >= routed => resource.loaded(ticket, objects, revision),
            Ok(_) => {}
            Err(BackendError::Closed) => return,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, prefix = resource.prefix(), "loading a resource failed");
                feed.pause(failures).await;
            }
        }
    }
}

impl ResourceCache {
    /// The change as this resource sees it; `None` where the key is not one of an object.
    fn update(&self, change: &Change, revision: Revision) -> Option<Update> {
        let tail = change.key.strip_prefix(self.prefix())?;
        match &change.value {
            Some(json) => Some(Update::Put(Arc::new(read(tail, revision, json.clone())))),
            None => Some(Update::Delete(key(tail), revision)),
        }
    }
}

/// Namespace and name from the end of a key.
pub(super) fn key(tail: &str) -> Key {
    let (namespace, name) = tail.split_once('/').unwrap_or(("", tail));
    Key::new(namespace, name)
}

/// An object from its value. One that cannot be read is kept with its bytes alone, so that it can
/// still be seen and deleted.
pub(super) fn read(tail: &str, revision: Revision, json: Bytes) -> Stored {
    let object = Stored::from_json(json.clone()).unwrap_or_else(|error| {
        tracing::error!(%error, tail, %revision, "a stored value is not an object");
        Stored::new(Default::default(), json)
    });
    let (namespace, name) = tail.split_once('/').unwrap_or(("", tail));
    let same = *object.key.namespace == *namespace && *object.key.name == *name;
    let object = if same { object } else { object.with_key(key(tail)) };
    object.with_revision(revision)
}
