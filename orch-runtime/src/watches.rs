//! [`Watches`]: which changes ask for which keys.

use crate::view::View;
use k8s_openapi::ClusterResourceScope;
use orch_api::{Gvk, Gvr, Key, Object};
use orch_store::{Stored, informer::Delta};
use std::{any::TypeId, sync::Arc};

/// The keys that a change asks for.
pub type Mapper = Arc<dyn Fn(&Delta, &View<'_>) -> Vec<Key> + Send + Sync>;
/// Whether a change matters.
pub type Predicate = Arc<dyn Fn(&Delta) -> bool + Send + Sync>;
/// The values under which an index files an object.
pub type IndexFn = fn(&Stored) -> Vec<Arc<str>>;

/// Which changes ask for which keys of the root kind.
#[derive(Clone)]
pub struct Watches {
    /// The kind whose objects are reconciled.
    pub root: Gvk,
    /// Every watched resource; the first is the root's.
    pub sources: Vec<Source>,
    /// Indexes that the observer uses.
    pub indexes: Vec<(Gvr, &'static str, IndexFn)>,
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

    fn with<K: Object>(mut self, relation: Relation) -> Self {
        self.sources.push(Source { gvr: K::gvr(), kind: K::gvk(), relation, only: None });
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
