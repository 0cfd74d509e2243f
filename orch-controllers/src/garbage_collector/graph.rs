//! [`Graph`]: who owns whom.

use super::{Uid, absent::Absent};
use orch_api::{Gvk, Gvr, Key, key::Name};
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
    pub(super) absent: Absent,
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

/// Which object an owner reference means. The version is not in it: all versions of a kind are the same objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The group of its kind.
    pub group: Name,
    /// Its kind.
    pub kind: Name,
    /// Its namespace: that of the object which holds the reference, as long as nobody says that the kind is cluster-scoped.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its UID.
    pub uid: Uid,
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

    /// What one of its references means.
    pub(super) fn means(&self, owner: &Owner) -> Identity {
        let Gvk { group, kind, .. } = Gvk::parse(&owner.api_version, &owner.kind);
        let namespace = self.key().namespace.clone();
        Identity { group, kind, namespace, name: owner.name.clone(), uid: owner.uid.clone() }
    }

    fn identity(&self) -> Identity {
        let Key { namespace, name } = self.key().clone();
        let Gvk { group, kind, .. } = self.kind.clone();
        Identity { group, kind, namespace, name, uid: self.stored.meta.uid.clone() }
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
                examine.extend(self.end(&old.meta.uid));
            }
        }
        if let Some(new) = &delta.new {
            let (gvr, kind, namespaced) = (served.gvr.clone(), served.kind.clone(), served.namespaced);
            examine.extend(self.put(Item { gvr, kind, namespaced, stored: new.clone() }, delta.old.as_deref()));
        }
        let named = delta.old.iter().flat_map(|old| &old.meta.owner_references);
        for owner in named.filter(|owner| !self.dependents.contains_key(&owner.uid)) {
            self.absent.forget(&owner.uid);
        }
        examine
    }

    /// Takes in what the API server said of owners.
    pub fn learn(&mut self, absent: impl IntoIterator<Item = Identity>) {
        for identity in absent {
            if self.dependents.contains_key(&identity.uid) {
                self.absent.insert(identity);
            }
        }
    }

    /// Lets go of the objects of a resource that is no longer served, and returns the objects that must be examined because
    /// of it. Nobody saw them deleted, so they are not absent: nobody can say.
    pub fn forget(&mut self, gvr: &Gvr) -> BTreeSet<Uid> {
        let lost: Vec<Item> = self.items.values().filter(|item| item.gvr == *gvr).cloned().collect();
        let mut examine = BTreeSet::new();
        for item in &lost {
            self.items.remove(&item.stored.meta.uid);
            examine.extend(self.waiting_owners(&item.stored));
            self.unlink(&item.stored);
        }
        examine.extend(lost.iter().flat_map(|item| self.dependents_of(&item.stored.meta.uid)));
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

    /// Puts an object in. A change of it matters only if its references change; its owners' changes ask for it themselves.
    fn put(&mut self, item: Item, old: Option<&Stored>) -> BTreeSet<Uid> {
        let (stored, mut examine) = (item.stored.clone(), BTreeSet::new());
        let uid = &stored.meta.uid;
        let same_references =
            old.is_some_and(|old| old.meta.uid == *uid && old.meta.owner_references == stored.meta.owner_references);
        let waits = item.waits_for_dependents();
        if waits || item.is_orphaning() || !same_references && self.has_doubtful_owner(&item) {
            examine.insert(uid.clone());
        }
        let unseen = self.items.insert(uid.clone(), item).is_none();
        for owner in &stored.meta.owner_references {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        // Those that were judged before it was seen may mean something else by its UID.
        let dependents = if waits || unseen { self.dependents_of(uid) } else { BTreeSet::new() };
        examine.extend(dependents.into_iter().filter(|dependent| waits || self.means_another(dependent, uid)));
        examine.extend(self.waiting_owners(&stored));
        examine
    }

    /// Ends an object, and returns its dependents.
    fn end(&mut self, uid: &Uid) -> BTreeSet<Uid> {
        let dependents = self.dependents_of(uid);
        if let Some(item) = self.items.remove(uid).filter(|_| !dependents.is_empty()) {
            self.absent.insert(item.identity());
        }
        dependents
    }

    fn has_doubtful_owner(&self, item: &Item) -> bool {
        item.owners().iter().any(|o| self.owner_of(item, o).is_none_or(Item::waits_for_dependents))
    }

    /// Whether a dependent names this UID without meaning the object that has it.
    fn means_another(&self, dependent: &Uid, uid: &Uid) -> bool {
        let Some(item) = self.items.get(dependent) else { return false };
        item.owners().iter().any(|o| o.uid == *uid && self.owner_of(item, o).is_none())
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
