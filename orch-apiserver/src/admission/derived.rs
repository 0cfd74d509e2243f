//! [`Derived`]: something compiled from all objects of a resource.

use crate::core::Core;
use orch_api::Gvr;
use orch_store::cache::{ResourceCache, Snapshot};
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};

/// Something compiled from all objects of a resource, and compiled again by the first who looks after one of them
/// changed. A write is answered when the cache has seen it, so what was written counts for the next request.
pub(crate) struct Derived<T> {
    resource: Gvr,
    /// The cache of the resource, which is served as long as the server is.
    cache: OnceLock<Option<Arc<ResourceCache>>>,
    made: RwLock<Option<Made<T>>>,
}

struct Made<T> {
    version: u64,
    value: Arc<T>,
}

impl<T: Default> Derived<T> {
    /// Nothing yet.
    pub(crate) fn new(resource: Gvr) -> Self {
        Self { resource, cache: OnceLock::new(), made: RwLock::new(None) }
    }

    /// What follows from the objects as the cache has them. `make` is given the last result, from which it may keep
    /// what did not change.
    pub(crate) fn get(&self, core: &Core, make: impl FnOnce(&Snapshot, &T) -> T) -> Arc<T> {
        let found = || core.registry.find(&self.resource).map(|kind| core.storage.resource(&kind));
        let Some(cache) = self.cache.get_or_init(found) else { return Arc::default() };
        let version = cache.version();
        if let Some(made) = self.made.read().as_ref()
            && version.is_none_or(|now| now == made.version)
        {
            return made.value.clone();
        }
        let last = self.made.read().as_ref().map(|made| made.value.clone()).unwrap_or_default();
        let Some((snapshot, version)) = cache.versioned() else { return last };
        let value = Arc::new(make(&snapshot, &last));
        *self.made.write() = Some(Made { version, value: value.clone() });
        value
    }
}
