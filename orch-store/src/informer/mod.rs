//! Shared informers: one watch and one cache per resource and process, however many look.

use crate::{Ambient, Client, Revision, Stored};
use orch_api::{Gvr, Key, Object};
use std::sync::Arc;
use tokio::sync::mpsc;

/// All informers of a process over one client. Cheap to clone.
#[derive(Clone)]
pub struct Informers {}

/// The cache of one resource and the feed of its changes. Cheap to clone.
#[derive(Clone)]
pub struct Informer {}

/// One change as the cache saw it: the object before and after.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The object before; `None` when it is new.
    pub old: Option<Arc<Stored>>,
    /// The object after; `None` when it is gone.
    pub new: Option<Arc<Stored>>,
}

#[allow(unused_variables)]
impl Informers {
    /// Informers over a client; the watches are tasks of the ambience.
    pub fn new(client: Arc<dyn Client>, ambient: Ambient) -> Self {
        todo!()
    }
    /// The shared informer of a resource; its watch begins with the first call.
    pub fn get(&self, resource: &Gvr) -> Informer {
        todo!()
    }
    /// The shared informer of a typed resource.
    pub fn of<K: Object>(&self) -> Informer {
        self.get(&K::gvr())
    }
    /// The client that all informers share.
    pub fn client(&self) -> &Arc<dyn Client> {
        todo!()
    }
}

#[allow(unused_variables)]
impl Informer {
    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        todo!()
    }
    /// All objects of a namespace, or of all when it is empty, in key order.
    pub fn list(&self, namespace: &str) -> Vec<Arc<Stored>> {
        todo!()
    }
    /// Objects that name this UID among their owners (always indexed).
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<Stored>> {
        todo!()
    }
    /// Adds an index: objects are found by each value that the function returns. Idempotent by name.
    pub fn index(&self, name: &'static str, values: fn(&Stored) -> Vec<Arc<str>>) {
        todo!()
    }
    /// Objects that an index files under a value.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<Stored>> {
        todo!()
    }
    /// A projection computed once per revision and kept beside the object.
    pub fn project<T: Send + Sync + 'static>(&self, compute: fn(&Stored) -> T) -> Projection<T> {
        todo!()
    }
    /// Changes from now on; the current objects come first, as deltas without `old`.
    /// The feed is unbounded: whoever subscribes must keep reading.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Delta> {
        todo!()
    }
    /// Resolves when the initial list is in the cache.
    pub async fn synced(&self) {
        todo!()
    }
    /// Whether the initial list is in the cache.
    pub fn has_synced(&self) -> bool {
        todo!()
    }
    /// The newest revision that the cache has seen.
    pub fn revision(&self) -> Revision {
        todo!()
    }
    /// Resolves when the cache has seen this revision.
    pub async fn caught_up(&self, revision: Revision) {
        todo!()
    }
}

/// What a projection computed for each object of an informer.
pub struct Projection<T> {
    _t: std::marker::PhantomData<T>,
}

#[allow(unused_variables)]
impl<T: Send + Sync + 'static> Projection<T> {
    /// The projection of one object.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        todo!()
    }
    /// The projections of objects that name this UID among their owners.
    pub fn owned_by(&self, uid: &str) -> Vec<(Key, Arc<T>)> {
        todo!()
    }
}
