//! The synchronous core: what an informer knows, and the deltas of what it learns.

use crate::{Revision, Stored, panics::caught};
use orch_api::Key;
use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tokio::sync::mpsc;

/// One change as the cache saw it: the object before and after.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The object before; `None` when it is new.
    pub old: Option<Arc<Stored>>,
    /// The object after; `None` when it is gone.
    pub new: Option<Arc<Stored>>,
}

impl Delta {
    /// What the object is called; `None` only for a delta of nothing.
    pub fn key(&self) -> Option<&Key> {
        self.new.as_ref().or(self.old.as_ref()).map(|object| &object.key)
    }
}

/// What a watch says, reduced to what matters to a cache.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The object is so now.
    Put(Arc<Stored>),
    /// The object is gone; its revision is that of the deletion.
    Gone(Arc<Stored>),
    /// Nothing else happened up to here.
    Bookmark(Revision),
}

/// A projected value of any type.
pub(super) type Erased = Arc<dyn Any + Send + Sync>;

/// How a projection is computed. Two requests for the same function share one slot.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) id: (TypeId, usize),
    pub(super) compute: Arc<dyn Fn(&Stored) -> Erased + Send + Sync>,
}

/// What stands in place of a value whose function panicked: it is of no type that anybody asks for.
struct Panicked;

impl Slot {
    fn of(&self, object: &Stored) -> Erased {
        caught(|| (self.compute)(object)).unwrap_or_else(|why| {
            tracing::error!(key = %object.key, why, "a projection panicked; it does not have this object");
            Arc::new(Panicked)
        })
    }
}

/// The values of an object in each slot, in the order of the slots.
pub(super) type Projected = Box<[Erased]>;

/// Computes what the slots want of an object, outside of any lock.
pub(super) fn project(slots: &[Slot], object: &Stored) -> Projected {
    slots.iter().map(|slot| slot.of(object)).collect()
}

/// The objects, and what is derived from them.
#[derive(Default)]
pub(super) struct State {
    objects: BTreeMap<Key, Entry>,
    owners: Index,
    indexes: Vec<NamedIndex>,
    slots: Arc<[Slot]>,
    subscribers: Vec<mpsc::UnboundedSender<Delta>>,
    revision: Revision,
}

struct Entry {
    object: Arc<Stored>,
    projected: Projected,
}

/// Which objects have a value; flat, since most values have few objects.
type Index = BTreeSet<(Arc<str>, Key)>;

struct NamedIndex {
    name: &'static str,
    values: fn(&Stored) -> Vec<Arc<str>>,
    index: Index,
}

/// Writing.
impl State {
    /// Takes one change; those that are known already, or older than what is known, are ignored.
    pub(super) fn apply(&mut self, change: Change, projected: Projected) {
        match change {
            Change::Put(object) if object.revision >= self.revision => {
                self.revision = object.revision;
                self.put(object, projected);
            }
            Change::Gone(object) if object.revision >= self.revision => {
                self.revision = object.revision;
                if self.get(&object.key).is_some_and(|known| known.revision <= object.revision) {
                    self.remove(&object.key);
                }
            }
            Change::Bookmark(revision) => self.revision = self.revision.max(revision),
            Change::Put(_) | Change::Gone(_) => {}
        }
    }

    /// Takes the state at a revision in place of what was known.
    pub(super) fn replace(&mut self, objects: Vec<(Arc<Stored>, Projected)>, revision: Revision) {
        let kept: BTreeSet<&Key> = objects.iter().map(|(object, _)| &object.key).collect();
        let gone: Vec<Key> = self.objects.keys().filter(|key| !kept.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
        for (object, projected) in objects {
            if self.get(&object.key).is_none_or(|known| known.revision != object.revision) {
                self.set(object, projected);
            }
        }
        self.revision = revision;
    }

    fn put(&mut self, object: Arc<Stored>, projected: Projected) {
        if self.get(&object.key).is_none_or(|known| known.revision < object.revision) {
            self.set(object, projected);
        }
    }

    fn set(&mut self, object: Arc<Stored>, projected: Projected) {
        let mut projected = projected;
        if projected.len() != self.slots.len() {
            projected = project(&self.slots, &object); // A projection was added meanwhile.
        }
        let entry = Entry { object: object.clone(), projected };
        let old = self.objects.insert(object.key.clone(), entry).map(|entry| entry.object);
        self.reindex(old.as_deref(), Some(&object));
        self.tell(&Delta { old, new: Some(object) });
    }

    fn remove(&mut self, key: &Key) {
        let Some(Entry { object, .. }) = self.objects.remove(key) else { return };
        self.reindex(Some(&object), None);
        self.tell(&Delta { old: Some(object), new: None });
    }

    fn reindex(&mut self, old: Option<&Stored>, new: Option<&Stored>) {
        update(&mut self.owners, owners, old, new);
        for NamedIndex { name, values, index } in &mut self.indexes {
            update(index, |object| guarded(name, *values, object), old, new);
        }
    }

    fn tell(&mut self, delta: &Delta) {
        self.subscribers.retain(|subscriber| subscriber.send(delta.clone()).is_ok());
    }

    pub(super) fn subscribe(&mut self) -> mpsc::UnboundedReceiver<Delta> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for Entry { object, .. } in self.objects.values() {
            let _ = sender.send(Delta { old: None, new: Some(object.clone()) });
        }
        self.subscribers.push(sender);
        receiver
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: fn(&Stored) -> Vec<Arc<str>>) {
        if self.indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index::new();
        for Entry { object, .. } in self.objects.values() {
            update(&mut index, |object| guarded(name, values, object), None, Some(object));
        }
        self.indexes.push(NamedIndex { name, values, index });
    }

    /// The position of a slot, which is added unless it is there.
    pub(super) fn add_slot(&mut self, slot: Slot) -> usize {
        if let Some(position) = self.slots.iter().position(|known| known.id == slot.id) {
            return position;
        }
        for entry in self.objects.values_mut() {
            let value = slot.of(&entry.object);
            entry.projected = entry.projected.iter().cloned().chain([value]).collect();
        }
        self.slots = self.slots.iter().cloned().chain([slot]).collect();
        self.slots.len() - 1
    }
}

/// Reading.
impl State {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn slots(&self) -> Arc<[Slot]> {
        self.slots.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key).map(|entry| &entry.object)
    }

    pub(super) fn projected(&self, key: &Key, slot: usize) -> Option<&Erased> {
        self.objects.get(key)?.projected.get(slot)
    }

    /// The keys of a namespace, or all, in order.
    pub(super) fn list<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Stored>> {
        let start = Key::new(namespace, "");
        self.objects
            .range(start..)
            .map(|(_, entry)| &entry.object)
            .take_while(move |object| namespace.is_empty() || *object.key.namespace == *namespace)
    }

    pub(super) fn owned_by<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a Key> {
        find(&self.owners, uid)
    }

    pub(super) fn by_index<'a>(&'a self, name: &str, value: &'a str) -> impl Iterator<Item = &'a Key> {
        let index = self.indexes.iter().find(|index| index.name == name);
        index.into_iter().flat_map(move |index| find(&index.index, value))
    }
}

fn owners(object: &Stored) -> Vec<Arc<str>> {
    object.meta.owner_references.iter().map(|owner| owner.uid.clone()).collect()
}

fn find<'a>(index: &'a Index, value: &'a str) -> impl Iterator<Item = &'a Key> {
    let start = (Arc::from(value), Key::new("", ""));
    index.range(start..).take_while(move |(found, _)| **found == *value).map(|(_, key)| key)
}

/// The values of an object; none where the function panics, so that one bad index harms nobody else.
fn guarded(name: &str, values: fn(&Stored) -> Vec<Arc<str>>, object: &Stored) -> Vec<Arc<str>> {
    caught(|| values(object)).unwrap_or_else(|why| {
        tracing::error!(index = name, key = %object.key, why, "an index panicked; it does not have this object");
        Vec::new()
    })
}

fn update(index: &mut Index, values: impl Fn(&Stored) -> Vec<Arc<str>>, old: Option<&Stored>, new: Option<&Stored>) {
    let before = old.map(&values).unwrap_or_default();
    let after = new.map(&values).unwrap_or_default();
    if before == after {
        return;
    }
    if let Some(old) = old {
        for value in before {
            index.remove(&(value, old.key.clone()));
        }
    }
    if let Some(new) = new {
        index.extend(after.into_iter().map(|value| (value, new.key.clone())));
    }
}
