//! [`Informer`]: the handle through which everybody reads.

use super::{
    Delta, Projection,
    state::{Change, Erased, Projected, Slot, State, project},
};
use crate::{Revision, Stored, watched as watch};
use orch_api::{Gvr, Key};
use parking_lot::RwLock;
use std::{any::TypeId, fmt, sync::Arc};
use tokio::sync::mpsc;

/// The cache of one resource and the feed of its changes. Cheap to clone.
#[derive(Clone)]
pub struct Informer(Arc<Shared>);

struct Shared {
    resource: Gvr,
    state: RwLock<State>,
    status: watch::Sender<Status>,
    wanted: watch::Sender<Wanted>,
}

/// What readers wait for.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted {
    /// The newest revision that anybody waits for.
    pub(super) revision: Revision,
    /// How many wait.
    readers: usize,
}

#[derive(Clone, Copy, Default)]
struct Status {
    synced: bool,
    revision: Revision,
}

/// What everybody reads.
impl Informer {
    /// The resource that this informer follows.
    pub fn resource(&self) -> &Gvr {
        &self.0.resource
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<Stored>> {
        self.read(|state| state.get(key).cloned())
    }

    /// All objects of a namespace, or of all when it is empty, in key order.
    pub fn list(&self, namespace: &str) -> Vec<Arc<Stored>> {
        self.read(|state| state.list(namespace).cloned().collect())
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.read(State::len)
    }

    /// The bytes of JSON that the objects have. In the process of the server they are the server's own.
    pub fn bytes(&self) -> usize {
        self.read(|state| state.list("").map(|object| object.json.len()).sum())
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Objects that name this UID among their owners (always indexed).
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<Stored>> {
        self.read(|state| state.owned_by(uid).filter_map(|key| state.get(key).cloned()).collect())
    }

    /// Adds an index: objects are found by each value that the function returns, which must depend on
    /// the object alone. Idempotent by name; the first function of a name wins.
    pub fn index(&self, name: &'static str, values: fn(&Stored) -> Vec<Arc<str>>) {
        self.0.state.write().add_index(name, values);
    }

    /// Objects that an index files under a value.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<Stored>> {
        self.read(|state| state.by_index(name, value).filter_map(|key| state.get(key).cloned()).collect())
    }

    /// A projection, computed once per revision ([`Stored::memo`]) and kept beside the object. Asking for the same
    /// function again shares what is there.
    pub fn project<T: Send + Sync + 'static>(&self, compute: fn(&Stored) -> T) -> Projection<T> {
        let erased = move |object: &Stored| -> Erased { object.memo::<T>(compute) };
        let slot = Slot { id: (TypeId::of::<T>(), compute as usize), compute: Arc::new(erased) };
        let slot = self.0.state.write().add_slot(slot);
        Projection::new(self.clone(), slot)
    }

    /// Changes from now on; the current objects come first, as deltas without `old`.
    /// The feed is unbounded: whoever subscribes must keep reading, or drop it.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Delta> {
        self.0.state.write().subscribe()
    }

    /// Resolves when the initial list is in the cache.
    pub async fn synced(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.status.subscribe().wait_for(|status| status.synced).await;
    }

    /// Whether the initial list is in the cache.
    pub fn has_synced(&self) -> bool {
        self.0.status.borrow().synced
    }

    /// The newest revision that the cache has seen: everything up to it is in the cache.
    pub fn revision(&self) -> Revision {
        self.0.status.borrow().revision
    }

    /// Resolves when the cache has seen this revision, also when the resource is quiet.
    pub async fn caught_up(&self, revision: Revision) {
        self.wait(revision, || false).await;
    }

    /// Resolves when the cache has seen what a write returned: the key at this revision or a later one,
    /// or that it is gone. This is how one reads one's own writes.
    pub async fn seen(&self, key: &Key, revision: Revision) {
        let here = || self.read(|state| state.get(key).is_some_and(|object| object.revision >= revision));
        self.wait(revision, here).await;
    }

    async fn wait(&self, revision: Revision, done: impl Fn() -> bool) {
        let mut status = self.0.status.subscribe();
        let reached = |status: &Status| status.synced && status.revision >= revision;
        if reached(&status.borrow_and_update()) || done() {
            return;
        }
        let _waiting = Waiting::new(&self.0.wanted, revision);
        // The sender lives in `self`, so waiting cannot fail.
        while status.changed().await.is_ok() {
            if reached(&status.borrow_and_update()) || done() {
                return;
            }
        }
    }

    pub(super) fn read<T>(&self, reader: impl FnOnce(&State) -> T) -> T {
        reader(&self.0.state.read())
    }
}

/// What the reflector writes.
impl Informer {
    pub(super) fn new(resource: Gvr) -> Self {
        Self(Arc::new(Shared {
            resource,
            state: RwLock::default(),
            status: watch::Sender::default(),
            wanted: watch::Sender::default(),
        }))
    }

    /// The revision that is waited for, whenever it grows.
    pub(super) fn wanted(&self) -> watch::Receiver<Wanted> {
        self.0.wanted.subscribe()
    }

    /// Takes changes in one step. Projections are computed before readers are kept out.
    pub(super) fn apply(&self, changes: Vec<Change>) {
        let slots = self.read(State::slots);
        let projected = changes.into_iter().map(|change| {
            let projected =
                if let Change::Put(object) = &change { project(&slots, object) } else { Projected::default() };
            (change, projected)
        });
        let projected: Vec<_> = projected.collect();
        let mut state = self.0.state.write();
        projected.into_iter().for_each(|(change, projected)| state.apply(change, projected));
        let revision = state.revision();
        drop(state);
        self.publish(revision);
    }

    /// Takes the state at a revision in place of what was known.
    pub(super) fn replace(&self, objects: Vec<Arc<Stored>>, revision: Revision) {
        let slots = self.read(State::slots);
        let projected = objects.into_iter().map(|object| {
            let projected = project(&slots, &object);
            (object, projected)
        });
        let projected = projected.collect();
        self.0.state.write().replace(projected, revision);
        self.0.status.send_modify(|status| status.synced = true);
        self.publish(revision);
    }

    fn publish(&self, revision: Revision) {
        self.0.status.send_modify(|status| status.revision = revision);
    }
}

/// Somebody who waits, until dropped; when the last one leaves, nothing is wanted any more.
struct Waiting<'a>(&'a watch::Sender<Wanted>);

impl<'a> Waiting<'a> {
    fn new(wanted: &'a watch::Sender<Wanted>, revision: Revision) -> Self {
        wanted.send_modify(|wanted| {
            wanted.readers += 1;
            wanted.revision = wanted.revision.max(revision);
        });
        Self(wanted)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|wanted| {
            wanted.readers -= 1;
            if wanted.readers == 0 {
                wanted.revision = Revision::default();
            }
            wanted.readers == 0
        });
    }
}

impl fmt::Debug for Informer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Informer({} at {})", self.0.resource.group_resource(), self.revision())
    }
}
