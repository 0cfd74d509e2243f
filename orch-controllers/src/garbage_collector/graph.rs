//! [`Graph`]: who owns whom.

use super::Uid;
use orch_api::{Gvk, Gvr, Key};
use orch_runtime::discovery::Served;
use orch_store::{Stored, informer::Delta, stored::Owner};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

pub(super) const FOREGROUND: &str = "foregroundDeletion";
pub(super) const ORPHAN: &str = "orphan";

/// Every object with its owners, and for each UID the objects that name it as an owner.
#[derive(Debug, Default)]
pub struct Graph {
    pub(super) items: HashMap<Uid, Item>,
    dependents: HashMap<Uid, BTreeSet<Uid>>,
}

/// An object.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its resource.
    pub gvr: Gvr,
    /// Its kind.
    pub kind: Gvk,
    /// Whether it lives in a namespace.
    pub namespaced: bool,
    /// The object as stored.
    pub stored: Arc<Stored>,
}

impl Item {
    /// Its name.
    pub fn key(&self) -> &Key {
        &self.stored.key
    }

    pub(super) fn owners(&self) -> &[Owner] {
        &self.stored.meta.owner_references
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.stored.meta.is_deleting()
    }

    /// Whether it is deleted only after its dependents.
    pub(super) fn waits_for_dependents(&self) -> bool {
        self.is_deleting() && self.stored.meta.has_finalizer(FOREGROUND)
    }

    pub(super) fn is_orphaning(&self) -> bool {
        self.is_deleting() && self.stored.meta.has_finalizer(ORPHAN)
    }
}

impl Graph {
    /// Takes in a change, and returns the objects that must be examined because of it.
    pub fn apply(&mut self, served: &Served, delta: &Delta) -> BTreeSet<Uid> {
        let mut examine = BTreeSet::new();
        if let Some(old) = &delta.old {
            let replaced = delta.new.as_ref().is_none_or(|new| new.meta.uid != old.meta.uid);
            examine.extend(self.waiting_owners(old));
            self.unlink(old);
            if replaced {
                self.items.remove(&old.meta.uid);
                examine.extend(self.dependents_of(&old.meta.uid));
            }
        }
        if let Some(new) = &delta.new {
            let (gvr, kind, namespaced) = (served.gvr.clone(), served.kind.clone(), served.namespaced);
            let item = Item { gvr, kind, namespaced, stored: new.clone() };
            if item.waits_for_dependents() {
                examine.extend(self.dependents_of(&new.meta.uid));
            }
            if item.waits_for_dependents() || item.is_orphaning() || self.has_doubtful_owner(&item) {
                examine.insert(new.meta.uid.clone());
            }
            self.items.insert(new.meta.uid.clone(), item);
            for owner in &new.meta.owner_references {
                self.dependents.entry(owner.uid.clone()).or_default().insert(new.meta.uid.clone());
            }
            examine.extend(self.waiting_owners(new));
        }
        examine
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The objects that name this UID as an owner.
    pub(super) fn dependents_of(&self, uid: &Uid) -> BTreeSet<Uid> {
        self.dependents.get(uid).cloned().unwrap_or_default()
    }

    /// The owner as the graph knows it, if it is the object that the reference names: same kind, and a
    /// namespace from which it may own.
    pub(super) fn owner_of(&self, item: &Item, owner: &Owner) -> Option<&Item> {
        let found = self.items.get(&owner.uid)?;
        let named = Gvk::parse(&owner.api_version, &owner.kind);
        let same = found.kind.group == named.group && found.kind.kind == named.kind && found.key().name == owner.name;
        let near = !found.namespaced || found.key().namespace == item.key().namespace;
        (same && near).then_some(found)
    }

    fn has_doubtful_owner(&self, item: &Item) -> bool {
        item.owners().iter().any(|o| self.owner_of(item, o).is_none_or(Item::waits_for_dependents))
    }

    fn waiting_owners(&self, stored: &Stored) -> Vec<Uid> {
        let owners = stored.meta.owner_references.iter().filter_map(|o| self.items.get(&o.uid));
        owners.filter(|o| o.waits_for_dependents()).map(|o| o.stored.meta.uid.clone()).collect()
    }

    fn unlink(&mut self, old: &Stored) {
        for owner in &old.meta.owner_references {
            if let Some(dependents) = self.dependents.get_mut(&owner.uid) {
                dependents.remove(&old.meta.uid);
                if dependents.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }
}
