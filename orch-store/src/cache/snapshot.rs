//! [`Snapshot`]: a resource at one revision.

use crate::{Revision, Stored};
use imbl::OrdMap;
use orch_api::Key;
use std::{
    ops::Bound::{Excluded, Included, Unbounded},
    sync::Arc,
};

/// All objects of a resource at one revision. Cheap to clone: the map is persistent, and whoever
/// holds a snapshot keeps only what has changed since.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The revision at which this holds.
    pub revision: Revision,
    pub(super) objects: OrdMap<Key, Arc<Stored>>,
    /// How many objects each namespace has.
    pub(super) counts: OrdMap<Arc<str>, usize>,
}

/// Where a page of a list ended: what a continue token holds beside the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The last object of the page.
    pub key: Key,
    /// How many objects the pages so far have held.
    pub served: usize,
}

/// A page of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// The objects, in key order.
    pub items: Vec<Arc<Stored>>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Position>,
    /// How many objects follow.
    pub remaining: usize,
}

impl Snapshot {
    /// One object.
    pub fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// The number of objects in a namespace, or in all; looked up, not counted.
    pub fn len(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(namespace) => self.counts.get(namespace).copied().unwrap_or(0),
            None => self.objects.len(),
        }
    }

    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects of a namespace, or all, that come after a key, in key order.
    pub fn iter<'a>(
        &'a self,
        namespace: Option<&'a str>,
        after: Option<&Key>,
    ) -> impl Iterator<Item = &'a Arc<Stored>> + use<'a> {
        let start = match (after, namespace) {
            (Some(key), _) => Excluded(key.clone()),
            (None, Some(namespace)) => Included(Key::new(namespace, "")),
            (None, None) => Unbounded,
        };
        self.objects
            .range((start, Unbounded))
            .map(|(_, object)| object)
            .take_while(move |object| namespace.is_none_or(|n| *object.key.namespace == *n))
    }

    /// A page: up to `limit` objects (0 for all) of a namespace, or of all, after a position.
    pub fn page(&self, namespace: Option<&str>, after: Option<&Position>, limit: usize) -> Slice {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let served = after.map_or(0, |position| position.served);
        let remaining = self.len(namespace).saturating_sub(served);
        let mut items = Vec::with_capacity(limit.min(remaining));
        let mut rest = self.iter(namespace, after.map(|position| &position.key));
        items.extend(rest.by_ref().take(limit).cloned());
        let served = served + items.len();
        let next = match items.last() {
            Some(last) if rest.next().is_some() => Some(Position { key: last.key.clone(), served }),
            _ => None,
        };
        let remaining = if next.is_some() { self.len(namespace).saturating_sub(served).max(1) } else { 0 };
        Slice { items, next, remaining }
    }

    pub(super) fn insert(&mut self, object: Arc<Stored>) -> Option<Arc<Stored>> {
        let old = self.objects.insert(object.key.clone(), object.clone());
        if old.is_none() {
            *self.counts.entry(object.key.namespace.clone()).or_insert(0) += 1;
        }
        old
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Stored>> {
        let old = self.objects.remove(key)?;
        let left = self.len(Some(&key.namespace)).saturating_sub(1);
        match left {
            0 => drop(self.counts.remove(&*key.namespace)),
            left => drop(self.counts.insert(key.namespace.clone(), left)),
        }
        Some(old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Meta;

    fn snapshot(keys: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (namespace, name) in keys {
            let meta = Meta { namespace: (*namespace).into(), name: (*name).into(), ..Meta::default() };
            snapshot.insert(Arc::new(Stored::new(meta, "{}".into())));
        }
        snapshot
    }

    fn names(slice: &Slice) -> String {
        slice.items.iter().map(|o| o.key.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let all = snapshot(&[("a", "1"), ("a", "2"), ("a-b", "1"), ("b", "1"), ("b", "2")]);
        let first = all.page(None, None, 2);
        assert_eq!((names(&first).as_str(), first.remaining), ("a/1 a/2", 3));
        let second = all.page(None, first.next.as_ref(), 2);
        assert_eq!((names(&second).as_str(), second.remaining), ("a-b/1 b/1", 1));
        let third = all.page(None, second.next.as_ref(), 2);
        assert_eq!((names(&third).as_str(), third.remaining, third.next), ("b/2", 0, None));
    }

    #[test]
    fn a_page_of_a_namespace_holds_only_its_objects() {
        let all = snapshot(&[("a", "1"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")]);
        let first = all.page(Some("b"), None, 2);
        assert_eq!((names(&first).as_str(), first.remaining), ("b/1 b/2", 1));
        let second = all.page(Some("b"), first.next.as_ref(), 2);
        assert_eq!((names(&second).as_str(), second.next), ("b/3", None));
        assert_eq!(all.page(Some("none"), None, 2).items.len(), 0);
    }

    #[test]
    fn a_limit_of_zero_or_an_exact_fit_needs_no_second_page() {
        let all = snapshot(&[("", "1"), ("", "2")]);
        assert_eq!(all.page(None, None, 0).next, None);
        assert_eq!(all.page(None, None, 2).next, None);
    }

    #[test]
    fn namespaces_are_counted_as_objects_come_and_go() {
        let mut all = snapshot(&[("a", "1"), ("a", "2")]);
        all.remove(&Key::new("a", "1"));
        all.remove(&Key::new("a", "absent"));
        assert_eq!((all.len(Some("a")), all.len(None)), (1, 1));
        all.remove(&Key::new("a", "2"));
        assert_eq!(all.len(Some("a")), 0);
        assert!(all.is_empty() && all.counts.is_empty());
    }
}
