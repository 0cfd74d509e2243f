//! [`Projection`]: a few fields of each object, read once per revision.

use super::{Informer, state::Erased};
use crate::Stored;
use orch_api::Key;
use std::{marker::PhantomData, sync::Arc};

/// What a projection computed for each object of an informer. Cheap to clone.
pub struct Projection<T> {
    informer: Informer,
    slot: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Projection<T> {
    fn clone(&self) -> Self {
        Self { informer: self.informer.clone(), slot: self.slot, value: PhantomData }
    }
}

impl<T: Send + Sync + 'static> Projection<T> {
    pub(super) fn new(informer: Informer, slot: usize) -> Self {
        Self { informer, slot, value: PhantomData }
    }

    /// The informer whose objects are projected.
    pub fn informer(&self) -> &Informer {
        &self.informer
    }

    /// The projection of one object.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.informer.read(|state| state.projected(key, self.slot).and_then(typed))
    }

    /// The projections of a namespace, or of all objects when it is empty, in key order.
    pub fn list(&self, namespace: &str) -> Vec<(Key, Arc<T>)> {
        self.informer.read(|state| self.collect(state, state.list(namespace).map(|object| &object.key)))
    }

    /// The projections of objects that name this UID among their owners.
    pub fn owned_by(&self, uid: &str) -> Vec<(Key, Arc<T>)> {
        self.informer.read(|state| self.collect(state, state.owned_by(uid)))
    }

    /// The projections of objects that an index files under a value.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<(Key, Arc<T>)> {
        self.informer.read(|state| self.collect(state, state.by_index(name, value)))
    }

    /// One object with its projection, both of the same revision.
    pub fn with_object(&self, key: &Key) -> Option<(Arc<Stored>, Arc<T>)> {
        self.informer.read(|state| Some((state.get(key)?.clone(), state.projected(key, self.slot).and_then(typed)?)))
    }

    fn collect<'a>(&self, state: &super::state::State, keys: impl Iterator<Item = &'a Key>) -> Vec<(Key, Arc<T>)> {
        keys.filter_map(|key| Some((key.clone(), state.projected(key, self.slot).and_then(typed)?))).collect()
    }
}

fn typed<T: Send + Sync + 'static>(value: &Erased) -> Option<Arc<T>> {
    value.clone().downcast().ok()
}
