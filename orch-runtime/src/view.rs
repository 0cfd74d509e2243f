//! [`View`]: what a controller may look at while it observes: the caches, and nothing else.

use crate::{
    Watches,
    joined::{self, Joined, Joint},
    testing::Objects,
};
use dashmap::DashMap;
use orch_api::{Gvr, Key, Object, label_selector::Selector};
use orch_store::{Client, Informer, Informers, Stored, informer::Projection};
use std::{
    any::{Any, TypeId},
    collections::BTreeSet,
    sync::Arc,
};

/// A few facts of an object, computed once per revision by the shared informer and shared by all who
/// look. One type of facts belongs to one resource.
pub trait Facts: Send + Sync + 'static {
    /// The resource whose objects have these facts.
    fn gvr() -> Gvr;
    /// Reads them.
    fn of(stored: &Stored) -> Self;
}

/// An object with its facts.
pub struct Known<T> {
    /// The object as stored: metadata and JSON.
    pub stored: Arc<Stored>,
    /// Its facts.
    pub facts: Arc<T>,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { stored: self.stored.clone(), facts: self.facts.clone() }
    }
}

impl<T> std::fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stored.fmt(f)
    }
}

/// Why the last plan for a key could not be performed, for controllers that report it in a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// CamelCase, such as `FailedCreate`.
    pub reason: String,
    /// The words of the refusal.
    pub message: String,
}

/// The shared informers of a process, with the projections and joined indexes that were asked for.
#[derive(Clone)]
pub struct Caches {
    informers: Informers,
    projections: Arc<DashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    joints: Arc<DashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    /// The resources of which whoever reads needs only metadata.
    metadata_only: Arc<BTreeSet<Gvr>>,
}

impl Caches {
    /// Caches over informers.
    pub fn new(informers: Informers) -> Self {
        Self { informers, projections: Arc::default(), joints: Arc::default(), metadata_only: Arc::default() }
    }

    /// The same caches as a loop with these watches reads them: from the informers that wake it, and from no others. Two
    /// informers of one resource, of whole objects and of metadata, are not equally far.
    #[must_use]
    pub fn of(&self, watches: &Watches) -> Self {
        let metadata_only = watches.sources.iter().filter(|s| s.metadata_only).map(|s| s.gvr.clone());
        Self { metadata_only: Arc::new(metadata_only.collect()), ..self.clone() }
    }

    /// The same caches, whose users write through another client, as [`Informers::with_client`] says.
    #[must_use]
    pub fn with_client(&self, client: Arc<dyn Client>) -> Self {
        Self { informers: self.informers.with_client(client), ..self.clone() }
    }

    /// The informers themselves.
    pub fn informers(&self) -> &Informers {
        &self.informers
    }

    /// The informer that is read for a resource.
    pub fn informer(&self, gvr: &Gvr) -> Informer {
        if self.metadata_only.contains(gvr) { self.informers.metadata(gvr) } else { self.informers.held(gvr) }
    }

    /// The index over several kinds that all who ask for it share.
    pub(crate) fn joint<I: Joined>(&self) -> Arc<Joint<I>> {
        let make = || Arc::new(Joint::<I>::new(&self.informers)) as Arc<dyn Any + Send + Sync>;
        let slot = self.joints.entry(TypeId::of::<I>()).or_insert_with(make).clone();
        slot.downcast().unwrap_or_else(|_| Arc::new(Joint::new(&self.informers)))
    }

    fn projection<T: Facts>(&self) -> Arc<Projection<T>> {
        let slot = self
            .projections
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(self.informers.get(&T::gvr()).project(T::of)))
            .clone();
        slot.downcast().unwrap_or_else(|_| Arc::new(self.informers.get(&T::gvr()).project(T::of)))
    }
}

/// Reads from the caches. Every list is in key order.
#[derive(Clone, Copy)]
pub struct View<'a> {
    source: Source<'a>,
    failure: Option<&'a Failure>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Live(&'a Caches),
    Fixed(&'a Objects),
}

impl<'a> View<'a> {
    /// A view of the shared informers.
    pub fn live(caches: &'a Caches) -> Self {
        Self { source: Source::Live(caches), failure: None }
    }

    /// A view of objects that a test holds.
    pub fn fixed(objects: &'a Objects) -> Self {
        Self { source: Source::Fixed(objects), failure: None }
    }

    /// The same view, with why the key's last plan failed.
    #[must_use]
    pub fn after(self, failure: Option<&'a Failure>) -> Self {
        Self { failure, ..self }
    }

    /// Why the last plan for the key under observation failed, if it did.
    pub fn failure(&self) -> Option<&'a Failure> {
        self.failure
    }

    /// One typed object.
    pub fn get<K: Object>(&self, key: &Key) -> Option<Arc<K>> {
        typed(&self.stored(&K::gvr(), key)?)
    }

    /// The typed objects of a namespace, or of all when it is empty.
    pub fn list<K: Object>(&self, namespace: &str) -> Vec<Arc<K>> {
        self.list_stored(&K::gvr(), namespace).iter().filter_map(typed).collect()
    }

    /// The typed objects of a namespace, or of all when it is empty, whose labels match. No others are decoded.
    pub fn selected<K: Object>(&self, namespace: &str, selector: &Selector) -> Vec<Arc<K>> {
        let all = self.list_stored(&K::gvr(), namespace);
        all.iter().filter(|stored| selector.matches(&stored.meta.labels)).filter_map(typed).collect()
    }

    /// The typed objects that name this UID among their owners.
    pub fn owned<K: Object>(&self, uid: &str) -> Vec<Arc<K>> {
        self.owned_stored(&K::gvr(), uid).iter().filter_map(typed).collect()
    }

    /// The typed objects that an index files under a value.
    pub fn by_index<K: Object>(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.by_index_stored(&K::gvr(), index, value).iter().filter_map(typed).collect()
    }

    /// One object as stored.
    pub fn stored(&self, gvr: &Gvr, key: &Key) -> Option<Arc<Stored>> {
        match self.source {
            Source::Live(caches) => caches.informer(gvr).get(key),
            Source::Fixed(objects) => objects.get(gvr, key),
        }
    }

    /// The objects of a namespace, or of all when it is empty, as stored.
    pub fn list_stored(&self, gvr: &Gvr, namespace: &str) -> Vec<Arc<Stored>> {
        match self.source {
            Source::Live(caches) => caches.informer(gvr).list(namespace),
            Source::Fixed(objects) => objects.list(gvr, namespace),
        }
    }

    /// The objects that name this UID among their owners, as stored.
    pub fn owned_stored(&self, gvr: &Gvr, uid: &str) -> Vec<Arc<Stored>> {
        match self.source {
            Source::Live(caches) => caches.informer(gvr).owned_by(uid),
            Source::Fixed(objects) => objects.owned_by(gvr, uid),
        }
    }

    /// The objects that an index files under a value, as stored.
    pub fn by_index_stored(&self, gvr: &Gvr, index: &str, value: &str) -> Vec<Arc<Stored>> {
        match self.source {
            Source::Live(caches) => caches.informer(gvr).by_index(index, value),
            Source::Fixed(objects) => objects.by_index(gvr, index, value),
        }
    }

    /// Reads an index over several kinds, which has everything that the caches of its kinds have. Others wait meanwhile:
    /// take out what is needed, and no more.
    pub fn joined<I: Joined, R>(&self, read: impl FnOnce(&I) -> R) -> R {
        match self.source {
            Source::Live(caches) => caches.joint::<I>().read(read),
            Source::Fixed(objects) => read(&joined::of_objects(objects)),
        }
    }

    /// One object with its facts.
    pub fn known<T: Facts>(&self, key: &Key) -> Option<Known<T>> {
        self.with_facts(self.stored(&T::gvr(), key)?)
    }

    /// The objects of a namespace, or of all when it is empty, with their facts.
    pub fn list_known<T: Facts>(&self, namespace: &str) -> Vec<Known<T>> {
        self.all_with_facts(self.list_stored(&T::gvr(), namespace))
    }

    /// The objects that name this UID among their owners, with their facts.
    pub fn owned_known<T: Facts>(&self, uid: &str) -> Vec<Known<T>> {
        self.all_with_facts(self.owned_stored(&T::gvr(), uid))
    }

    /// The objects that an index files under a value, with their facts.
    pub fn known_by_index<T: Facts>(&self, index: &str, value: &str) -> Vec<Known<T>> {
        self.all_with_facts(self.by_index_stored(&T::gvr(), index, value))
    }

    fn all_with_facts<T: Facts>(&self, stored: Vec<Arc<Stored>>) -> Vec<Known<T>> {
        stored.into_iter().filter_map(|s| self.with_facts(s)).collect()
    }

    fn with_facts<T: Facts>(&self, stored: Arc<Stored>) -> Option<Known<T>> {
        let facts = match self.source {
            // The informer has computed them, unless it was not asked to yet: then the projection is begun.
            Source::Live(caches) => match stored.remembered(T::of) {
                Some(facts) => facts,
                None => caches.projection::<T>().get(&stored.key)?,
            },
            Source::Fixed(_) => Arc::new(T::of(&stored)),
        };
        Some(Known { stored, facts })
    }
}

fn typed<K: Object>(stored: &Arc<Stored>) -> Option<Arc<K>> {
    stored.decode().inspect_err(|error| tracing::error!(%error, "a cached object does not decode")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn objects_are_selected_by_their_labels_within_a_namespace() {
        let map = |name: &str, namespace: &str, tier: &str| {
            let mut map = ConfigMap::default();
            (map.metadata.name, map.metadata.namespace) = (Some(name.into()), Some(namespace.into()));
            map.metadata.labels = Some([("tier".to_owned(), tier.to_owned())].into());
            map
        };
        let objects = [map("a", "x", "web"), map("b", "x", "store"), map("c", "y", "web")];
        let objects = objects.iter().fold(Objects::default(), |all, map| all.with(map));
        let names = |namespace: &str, selector: &str| -> Vec<String> {
            let found = View::fixed(&objects).selected::<ConfigMap>(namespace, &Selector::parse(selector).unwrap());
            found.iter().map(|map| map.key().name.to_string()).collect()
        };
        assert_eq!(names("", "tier=web"), ["a", "c"]);
        assert_eq!(names("x", "tier in (web, store)"), ["a", "b"]);
        assert_eq!(names("y", "tier!=web"), [""; 0]);
    }
}
