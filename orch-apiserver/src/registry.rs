//! [`Registry`]: which kinds the server serves. Built-in kinds stand in it from the start; custom kinds come
//! and go while the server runs.

use crate::core::storage::prefix;
use arc_swap::ArcSwap;
use orch_api::{Gvk, Gvr, Kind, kinds};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The served kinds, readable without a lock.
pub struct Registry {
    table: ArcSwap<Table>,
    changes: AtomicU64,
}

#[derive(Clone, Default)]
struct Table {
    by_resource: HashMap<Gvr, Arc<Kind>>,
    by_kind: HashMap<Gvk, Arc<Kind>>,
    ordered: Vec<Arc<Kind>>,
    /// By where the objects are stored.
    by_place: HashMap<String, Vec<Arc<Kind>>>,
}

impl Registry {
    /// The kinds of Kubernetes itself.
    pub fn builtin() -> Self {
        let mut table = Table::default();
        for kind in kinds::all() {
            table.insert(Arc::new(kind.clone()));
        }
        Self { table: ArcSwap::from_pointee(table), changes: AtomicU64::new(0) }
    }

    /// The kind that a resource serves.
    pub fn find(&self, resource: &Gvr) -> Option<Arc<Kind>> {
        self.table.load().by_resource.get(resource).cloned()
    }

    /// The kind of that group, version and name.
    pub fn by_kind(&self, kind: &Gvk) -> Option<Arc<Kind>> {
        self.table.load().by_kind.get(kind).cloned()
    }

    /// The other kinds that serve the same stored objects: other versions of the resource.
    pub fn equivalents(&self, kind: &Kind) -> Vec<Arc<Kind>> {
        let table = self.table.load();
        let all = table.by_place.get(&prefix(kind)).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|other| other.gvr() != kind.gvr()).cloned().collect()
    }

    /// Every kind, in the order in which it was added.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        self.table.load().ordered.clone()
    }

    /// Serves one more kind, or a new shape of one.
    pub fn insert(&self, kind: Arc<Kind>) {
        self.replace(&[], vec![kind]);
    }

    /// Stops serving a kind.
    pub fn remove(&self, resource: &Gvr) {
        self.replace(std::slice::from_ref(resource), Vec::new());
    }

    /// Serves some kinds in the place of others, in one step.
    pub fn replace(&self, gone: &[Gvr], kinds: Vec<Arc<Kind>>) {
        if gone.is_empty() && kinds.is_empty() {
            return;
        }
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            gone.iter().for_each(|resource| table.remove(resource));
            kinds.iter().cloned().for_each(|kind| table.insert(kind));
            table
        });
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often the table has changed: what is made of it is made anew when this number is another.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

impl Table {
    fn insert(&mut self, kind: Arc<Kind>) {
        self.remove(&kind.gvr());
        self.by_resource.insert(kind.gvr(), kind.clone());
        self.by_kind.insert(kind.gvk(), kind.clone());
        self.by_place.entry(prefix(&kind)).or_default().push(kind.clone());
        self.ordered.push(kind);
    }

    fn remove(&mut self, resource: &Gvr) {
        if let Some(old) = self.by_resource.remove(resource) {
            self.by_kind.remove(&old.gvk());
            if let Some(same) = self.by_place.get_mut(&prefix(&old)) {
                same.retain(|kind| !Arc::ptr_eq(kind, &old));
            }
            self.ordered.retain(|kind| !Arc::ptr_eq(kind, &old));
        }
    }
}
