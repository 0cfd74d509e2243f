//! The window: the last events of a resource, read by position.

use crate::{Revision, Stored};
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

/// How much history a resource keeps. Whichever limit is reached first evicts the oldest event.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At most this many events.
    pub events: usize,
    /// At most this many bytes of JSON, the newest event excepted.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 4096, bytes: 64 << 20 }
    }
}

/// One event: what a key held before and after.
#[derive(Debug)]
pub(super) struct Record {
    /// The object before.
    pub(super) old: Option<Arc<Stored>>,
    /// The object after.
    pub(super) new: After,
    /// The object before, at this event's revision: what a watcher sees whose selector it left.
    left: OnceLock<Arc<Stored>>,
}

/// What an event left behind.
#[derive(Debug)]
pub(super) enum After {
    /// The new object.
    Put(Arc<Stored>),
    /// Nothing; the last state at the deletion's revision.
    Gone(Arc<Stored>),
}

impl Record {
    pub(super) fn put(old: Option<Arc<Stored>>, new: Arc<Stored>) -> Self {
        Self { old, new: After::Put(new), left: OnceLock::new() }
    }

    pub(super) fn gone(old: Arc<Stored>, revision: Revision) -> Self {
        let last = Arc::new(old.at_revision(revision));
        Self { old: Some(old), new: After::Gone(last), left: OnceLock::new() }
    }

    /// The object of the event: new, or deleted.
    pub(super) fn object(&self) -> &Arc<Stored> {
        match &self.new {
            After::Put(object) | After::Gone(object) => object,
        }
    }

    pub(super) fn revision(&self) -> Revision {
        self.object().revision
    }

    /// The old object at the revision of this event; computed once for all watchers.
    pub(super) fn left(&self, old: &Stored) -> Arc<Stored> {
        self.left.get_or_init(|| Arc::new(old.at_revision(self.revision()))).clone()
    }

    fn bytes(&self) -> usize {
        self.object().json.len()
    }
}

/// A ring of records. Each has a position that never changes and grows by one.
#[derive(Debug)]
pub(super) struct Window {
    records: VecDeque<Arc<Record>>,
    /// The position of the oldest record.
    first: u64,
    /// All events after this revision are here.
    floor: Revision,
    bytes: usize,
    limits: Limits,
}

impl Window {
    /// An empty window: nothing before `floor` is known.
    pub(super) fn new(floor: Revision, first: u64, limits: Limits) -> Self {
        Self { records: VecDeque::new(), first, floor, bytes: 0, limits }
    }

    pub(super) fn push(&mut self, record: Arc<Record>) {
        self.bytes += record.bytes();
        self.records.push_back(record);
        while self.records.len() > self.limits.events.max(1)
            || (self.bytes > self.limits.bytes && self.records.len() > 1)
        {
            let Some(evicted) = self.records.pop_front() else { break };
            self.bytes -= evicted.bytes();
            self.floor = evicted.revision();
            self.first += 1;
        }
    }

    /// The position after the newest record.
    pub(super) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// All events after this revision are here.
    pub(super) fn floor(&self) -> Revision {
        self.floor
    }

    /// The position of the first event after a revision, or `None` when the window does not reach back.
    pub(super) fn after(&self, revision: Revision) -> Option<u64> {
        (revision >= self.floor).then(|| self.first + self.records.partition_point(|r| r.revision() <= revision) as u64)
    }

    /// Up to `limit` records from a position on, or `None` when that fell out of the window.
    pub(super) fn read(&self, position: u64, limit: usize) -> Option<impl Iterator<Item = &Arc<Record>>> {
        let skip = usize::try_from(position.checked_sub(self.first)?).ok()?;
        Some(self.records.range(skip.min(self.records.len())..).take(limit))
    }

    /// The records after a revision, newest first; the caller has checked the floor.
    pub(super) fn undo(&self, revision: Revision) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter().rev().take_while(move |r| r.revision() > revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Meta;

    fn record(revision: u64, bytes: usize) -> Arc<Record> {
        let meta = Meta { resource_version: Revision(revision), ..Meta::default() };
        Arc::new(Record::put(None, Arc::new(Stored::new(meta, vec![b' '; bytes].into()))))
    }

    fn window(limits: Limits, revisions: &[u64]) -> Window {
        let mut window = Window::new(Revision(0), 0, limits);
        revisions.iter().for_each(|r| window.push(record(*r, 10)));
        window
    }

    #[test]
    fn positions_survive_eviction() {
        let window = window(Limits { events: 2, bytes: 1 << 20 }, &[1, 3, 5]);
        assert_eq!((window.floor(), window.end()), (Revision(1), 3));
        assert_eq!(window.after(Revision(0)), None);
        assert_eq!(window.after(Revision(1)), Some(1));
        assert_eq!(window.after(Revision(3)), Some(2));
        assert_eq!(window.after(Revision(99)), Some(3));
        assert!(window.read(0, 9).is_none());
        assert_eq!(window.read(1, 9).unwrap().map(|r| r.revision().0).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(window.read(3, 9).unwrap().count(), 0);
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_event_always_fits() {
        let mut window = window(Limits { events: 100, bytes: 25 }, &[1, 2, 3]);
        assert_eq!(window.floor(), Revision(1));
        window.push(record(4, 1000));
        assert_eq!((window.floor(), window.end()), (Revision(3), 4));
    }
}
