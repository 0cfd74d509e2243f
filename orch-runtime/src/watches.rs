//! [`Watches`]: which changes ask for which keys.

use crate::{
    Priority,
    discovery::Served,
    joined::{self, Joined, Wakes},
    view::View,
};
use futures::{Stream, StreamExt, stream::BoxStream};
use k8s_openapi::ClusterResourceScope;
use orch_api::{Gvk, Gvr, Key, Object};
use orch_store::{Informer, Informers, Stored, informer::Delta};
use parking_lot::Mutex;
use std::{any::TypeId, sync::Arc, time::Duration};

/// The keys that a change asks for.
pub type Mapper = Arc<dyn Fn(&Delta, &View<'_>) -> Vec<Key> + Send + Sync>;
/// Whether a change matters.
pub type Predicate = Arc<dyn Fn(&Delta) -> bool + Send + Sync>;
/// The values under which an index files an object.
pub type IndexFn = fn(&Stored) -> Vec<Arc<str>>;
/// Says which resources are followed.
pub(crate) type Wanted = Arc<dyn Fn(&View<'_>) -> Vec<Served> + Send + Sync>;

/// Which changes ask for which keys of the root kind.
#[derive(Clone)]
pub struct Watches {
    /// The kind whose objects are reconciled.
    pub root: Gvk,
    /// Every watched resource; the first is the root's.
    pub sources: Vec<Source>,
    /// Indexes that the observer uses.
    pub indexes: Vec<(Gvr, &'static str, IndexFn)>,
    /// Keys that come from elsewhere.
    pub streams: Vec<External>,
    /// Indexes over several kinds whose changes ask for keys.
    pub(crate) joints: Vec<Wakes>,
    /// Resources of which it is known only while the loop runs which they are.
    pub(crate) discovered: Vec<Discovered>,
    cluster_scoped: bool,
}

/// One watched resource.
#[derive(Clone)]
pub struct Source {
    /// What is watched.
    pub gvr: Gvr,
    /// Its kind.
    pub kind: Gvk,
    /// How it relates to the root.
    pub relation: Relation,
    /// Changes that matter; all of them when unset.
    pub only: Option<Predicate>,
    /// Whether the caches need only hold the metadata of its objects.
    pub metadata_only: bool,
    /// How long a key waits for more changes before it is worked on.
    pub debounce: Option<Duration>,
    /// How urgent its changes are; unset for what [`Watches::priority`] says.
    pub priority: Option<Priority>,
}

impl Source {
    /// The informer that feeds it.
    pub fn informer(&self, informers: &Informers) -> Informer {
        if self.metadata_only { informers.metadata(&self.gvr) } else { informers.get(&self.gvr) }
    }
}

/// Keys of the root kind that come from elsewhere than the API: a message bus, a cloud, a timer.
#[derive(Clone)]
pub struct External {
    /// For the logs.
    pub name: &'static str,
    /// Taken by the loop that runs first.
    pub(crate) keys: Arc<Mutex<Option<BoxStream<'static, Key>>>>,
}

/// Resources of which it is known only while the loop runs which they are.
#[derive(Clone)]
pub(crate) struct Discovered {
    /// Which they are now.
    pub(crate) wanted: Wanted,
    /// The keys that a change of one asks for.
    pub(crate) keys: Mapper,
    /// How long a key waits for more changes before it is worked on.
    pub(crate) debounce: Duration,
}

/// How a watched resource leads to keys of the root kind.
#[derive(Clone)]
pub enum Relation {
    /// It is the root kind.
    Root,
    /// Its controller reference names the root object.
    Owned,
    /// A function finds the keys.
    Mapped(Mapper),
    /// It is only read: its changes ask for nothing, but the caches must hold it.
    Read,
}

impl Watches {
    /// Watches the root kind itself.
    pub fn root<K: Object>() -> Self
    where
        K::Scope: 'static,
    {
        let watches = Self {
            root: K::gvk(),
            sources: Vec::new(),
            indexes: Vec::new(),
            streams: Vec::new(),
            joints: Vec::new(),
            discovered: Vec::new(),
            cluster_scoped: TypeId::of::<K::Scope>() == TypeId::of::<ClusterResourceScope>(),
        };
        watches.with::<K>(Relation::Root)
    }

    /// Watches a kind whose controller owner reference names the root object.
    #[must_use]
    pub fn owns<K: Object>(self) -> Self {
        self.with::<K>(Relation::Owned)
    }

    /// Watches another kind; the function finds the keys of the root kind.
    #[must_use]
    pub fn maps<K: Object>(self, keys: impl Fn(&Delta, &View<'_>) -> Vec<Key> + Send + Sync + 'static) -> Self {
        self.with::<K>(Relation::Mapped(Arc::new(keys)))
    }

    /// Keeps another kind in the caches without reacting to it.
    #[must_use]
    pub fn reads<K: Object>(self) -> Self {
        self.with::<K>(Relation::Read)
    }

    /// Lets only these changes of the last named kind through.
    #[must_use]
    pub fn only(mut self, matters: impl Fn(&Delta) -> bool + Send + Sync + 'static) -> Self {
        if let Some(source) = self.sources.last_mut() {
            source.only = Some(Arc::new(matters));
        }
        self
    }

    /// Lets the caches hold only the metadata of the last named kind: for kinds that are many or large, of which the loop
    /// reads nothing else. `View::stored` then has metadata, and typed reads have nothing else. Where somebody else in the
    /// process needs whole objects, those are shared.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        if let Some(source) = self.sources.last_mut() {
            source.metadata_only = true;
        }
        self
    }

    /// Holds keys that the last named kind asks for back for so long, so that a burst of changes is one reconcile. The
    /// time runs from the first change, so that a kind which never rests starves nobody.
    #[must_use]
    pub fn debounce(mut self, delay: Duration) -> Self {
        if let Some(source) = self.sources.last_mut() {
            source.debounce = Some(delay);
        }
        self
    }

    /// Makes all changes of the last named kind this urgent, those of the first list included. Unless this is said the
    /// first list is [`Priority::Low`], a change [`Priority::Normal`], and a new generation or a deletion of a root object
    /// [`Priority::High`].
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        if let Some(source) = self.sources.last_mut() {
            source.priority = Some(priority);
        }
        self
    }

    /// Reacts to an index over several kinds, and keeps those kinds in the caches. Observers read it by
    /// [`View::joined`](crate::View::joined).
    #[must_use]
    pub fn joins<I: Joined>(mut self) -> Self {
        for kind in I::kinds() {
            if self.sources.iter().all(|source| source.gvr != kind.gvr || source.metadata_only) {
                self = self.source(kind.gvr, kind.gvk, Relation::Read);
            }
        }
        self.joints.push(joined::wakes::<I>);
        self
    }

    /// Takes keys from a stream as well. A stream has one reader: the loop that runs first.
    #[must_use]
    pub fn stream(mut self, name: &'static str, keys: impl Stream<Item = Key> + Send + 'static) -> Self {
        self.streams.push(External { name, keys: Arc::new(Mutex::new(Some(keys.boxed()))) });
        self
    }

    /// Watches the metadata of resources of which it is known only while the loop runs which they are: custom ones, or those
    /// that root objects name. The first function is asked which again whenever a custom resource definition, or what is
    /// wanted of a root object, changes; the second one finds the keys, which wait for `debounce`.
    #[must_use]
    pub fn discovers(
        mut self,
        wanted: impl Fn(&View<'_>) -> Vec<Served> + Send + Sync + 'static,
        keys: impl Fn(&Delta, &View<'_>) -> Vec<Key> + Send + Sync + 'static,
        debounce: Duration,
    ) -> Self {
        self.discovered.push(Discovered { wanted: Arc::new(wanted), keys: Arc::new(keys), debounce });
        self
    }

    /// Adds an index to the last named kind.
    #[must_use]
    pub fn index(mut self, name: &'static str, values: IndexFn) -> Self {
        if let Some(source) = self.sources.last() {
            self.indexes.push((source.gvr.clone(), name, values));
        }
        self
    }

    /// The keys that a change of a source asks for.
    pub fn keys(&self, source: &Source, delta: &Delta, view: &View<'_>) -> Vec<Key> {
        if source.only.as_ref().is_some_and(|matters| !matters(delta)) {
            return Vec::new();
        }
        match &source.relation {
            Relation::Root => delta.new.iter().chain(&delta.old).take(1).map(|s| s.key.clone()).collect(),
            Relation::Owned => {
                let mut keys: Vec<Key> =
                    delta.old.iter().chain(&delta.new).filter_map(|stored| self.owner(stored)).collect();
                keys.dedup();
                keys
            }
            Relation::Mapped(keys) => keys(delta, view),
            Relation::Read => Vec::new(),
        }
    }

    fn with<K: Object>(self, relation: Relation) -> Self {
        self.source(K::gvr(), K::gvk(), relation)
    }

    fn source(mut self, gvr: Gvr, kind: Gvk, relation: Relation) -> Self {
        let source = Source { gvr, kind, relation, only: None, metadata_only: false, debounce: None, priority: None };
        self.sources.push(source);
        self
    }

    fn owner(&self, stored: &Stored) -> Option<Key> {
        let owner = stored.controller()?;
        let gvk = Gvk::parse(&owner.api_version, &owner.kind);
        if gvk.group != self.root.group || gvk.kind != self.root.kind {
            return None;
        }
        let namespace = if self.cluster_scoped { Arc::from("") } else { stored.key.namespace.clone() };
        Some(Key { namespace, name: owner.name.clone() })
    }
}

/// Whether a change is more than one of status: the generation, the labels, the owners or the deletion
/// differ, or the object is new or gone.
pub fn spec_changed(delta: &Delta) -> bool {
    let (Some(old), Some(new)) = (&delta.old, &delta.new) else { return true };
    let (old, new) = (&old.meta, &new.meta);
    old.generation != new.generation
        || old.labels != new.labels
        || old.owner_references != new.owner_references
        || old.deletion_timestamp != new.deletion_timestamp
        || old.uid != new.uid
}
