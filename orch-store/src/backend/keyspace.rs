//! [`Keyspace`]: the current entries, the recent history and the watchers of a local backend. Synchronous;
//! the engines around it decide when a transaction may be applied.

use super::{BackendError, Batch, Batches, Change, Condition, Entry, Range, RangeReply, Revision, Txn};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};
use tokio::sync::mpsc;

/// How many batches a watcher may lie behind before it is cut off.
const WATCH_BUFFER: usize = 1 << 16;

/// Current entries, recent history, watchers.
#[derive(Debug)]
pub(crate) struct Keyspace {
    revision: Revision,
    /// Everything up to here has been forgotten.
    compacted: Revision,
    /// Reads of the past are exact from here on.
    readable: Revision,
    entries: BTreeMap<Arc<str>, Stamped>,
    /// Batches after `compacted`, oldest first, with what they replaced.
    history: VecDeque<Past>,
    history_limit: usize,
    watchers: Watchers,
}

/// A value and the revision that wrote it.
#[derive(Clone, Debug)]
pub(crate) struct Stamped {
    pub(crate) revision: Revision,
    pub(crate) value: Bytes,
}

#[derive(Debug)]
struct Past {
    batch: Batch,
    replaced: Vec<Option<Stamped>>,
}

impl Keyspace {
    /// An empty key space that remembers at most this many batches.
    pub(crate) fn new(history_limit: usize) -> Self {
        Self {
            revision: Revision(0),
            compacted: Revision(0),
            readable: Revision(0),
            entries: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit: history_limit.max(1),
            watchers: Watchers::default(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The revision that wrote a key, if it exists.
    pub(crate) fn written_at(&self, key: &str) -> Option<Revision> {
        self.entries.get(key).map(|e| e.revision)
    }

    /// Current entries in key order, for snapshots taken a piece at a time.
    pub(crate) fn chunk(&self, after: Option<&str>, limit: usize) -> Vec<Entry> {
        self.above("", after).take(limit).map(|(k, e)| entry(k, e)).collect()
    }

    /// Puts an entry that a snapshot holds. The history begins after the snapshot's revision.
    pub(crate) fn restore(&mut self, entry: Entry) {
        self.entries.insert(entry.key, Stamped { revision: entry.revision, value: entry.value });
    }

    /// Declares that a snapshot was restored: its history begins after `begin`, and because it was made
    /// while commits went on, its entries only hold together from `end` on.
    pub(crate) fn restored(&mut self, begin: Revision, end: Revision) {
        self.revision = begin;
        self.compacted = begin;
        self.readable = end;
    }

    /// Applies a committed batch, remembers it and tells the watchers. Its revision must be the next.
    pub(crate) fn apply(&mut self, batch: Batch) {
        debug_assert_eq!(batch.revision.0, self.revision.0 + 1);
        self.revision = batch.revision;
        let replaced = batch
            .changes
            .iter()
            .map(|change| match &change.value {
                Some(value) => {
                    self.entries.insert(change.key.clone(), Stamped { revision: batch.revision, value: value.clone() })
                }
                None => self.entries.remove(&change.key),
            })
            .collect();
        self.watchers.publish(&batch);
        self.history.push_back(Past { batch, replaced });
        if self.history.len() > self.history_limit
            && let Some(past) = self.history.pop_front()
        {
            self.compacted = past.batch.revision;
        }
    }

    /// Forgets history up to and including a revision.
    pub(crate) fn compact(&mut self, revision: Revision) -> Result<(), BackendError> {
        if revision > self.revision {
            return Err(BackendError::Future { requested: revision, current: self.revision });
        }
        while self.history.front().is_some_and(|p| p.batch.revision <= revision) {
            self.history.pop_front();
        }
        self.compacted = self.compacted.max(revision);
        Ok(())
    }

    /// Entries in key order, now or as of a remembered revision.
    pub(crate) fn range(&self, range: &Range) -> Result<RangeReply, BackendError> {
        let revision = range.at.unwrap_or(self.revision);
        if revision > self.revision {
            return Err(BackendError::Future { requested: revision, current: self.revision });
        }
        let oldest = self.compacted.max(self.readable);
        if revision < oldest {
            return Err(BackendError::Compacted { requested: revision, oldest });
        }
        let limit = if range.limit == 0 { usize::MAX } else { range.limit };
        let after = range.after.as_deref();
        let mut entries: Vec<Entry> = if revision == self.revision {
            self.above(&range.prefix, after).take(limit.saturating_add(1)).map(|(k, e)| entry(k, e)).collect()
        } else {
            self.as_of(&range.prefix, after, revision, limit.saturating_add(1))
        };
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(RangeReply { entries, more, revision })
    }

    /// Every batch after a revision that touches the prefix; what is remembered comes first.
    pub(crate) fn watch(&mut self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        if after < self.compacted {
            return Err(BackendError::Compacted { requested: after, oldest: self.compacted });
        }
        if after > self.revision {
            return Err(BackendError::Future { requested: after, current: self.revision });
        }
        let skip = self.history.partition_point(|p| p.batch.revision <= after);
        let past: Vec<Batch> = self.history.range(skip..).filter_map(|p| touching(&p.batch, prefix)).collect();
        let receiver = self.watchers.add(prefix);
        Ok(follow(past, receiver))
    }

    /// Ends all watches.
    pub(crate) fn close(&mut self) {
        self.watchers = Watchers::default();
    }

    fn above<'a>(&'a self, prefix: &'a str, after: Option<&str>) -> impl Iterator<Item = (&'a Arc<str>, &'a Stamped)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.entries.range::<str, _>((start, Bound::Unbounded)).take_while(move |(k, _)| k.starts_with(prefix))
    }

    /// Undoes, over the matching entries, every batch that is newer than the revision.
    fn as_of(&self, prefix: &str, after: Option<&str>, revision: Revision, limit: usize) -> Vec<Entry> {
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|a| key > a);
        let mut undone: BTreeMap<&Arc<str>, Option<&Stamped>> =
            self.above(prefix, after).map(|(k, e)| (k, Some(e))).collect();
        for past in self.history.iter().rev().take_while(|p| p.batch.revision > revision) {
            for (change, old) in past.batch.changes.iter().zip(&past.replaced) {
                if wanted(&change.key) {
                    undone.insert(&change.key, old.as_ref());
                }
            }
        }
        undone.into_iter().filter_map(|(k, e)| Some(entry(k, e?))).take(limit).collect()
    }
}

/// Whether the conditions of a transaction hold, given where each key was last written.
pub(crate) fn check(txn: &Txn, written_at: impl Fn(&str) -> Option<Revision>) -> Result<(), BackendError> {
    for write in &txn.writes {
        let actual = written_at(&write.key);
        let holds = match write.condition {
            Condition::Any => true,
            Condition::Absent => actual.is_none(),
            Condition::At(revision) => actual == Some(revision),
        };
        if !holds {
            return Err(BackendError::Conflict { key: write.key.clone(), actual });
        }
    }
    Ok(())
}

/// What a transaction changes when a revision commits it. A deletion of an absent key changes nothing.
pub(crate) fn batch(txn: Txn, revision: Revision) -> Batch {
    let changes =
        txn.writes.into_iter().map(|w| Change { value: w.value.map(|v| v.at(revision)), key: w.key }).collect();
    Batch { revision, changes }
}

fn entry(key: &Arc<str>, stamped: &Stamped) -> Entry {
    Entry { key: key.clone(), revision: stamped.revision, value: stamped.value.clone() }
}

fn touching(batch: &Batch, prefix: &str) -> Option<Batch> {
    let changes: Vec<Change> = batch.changes.iter().filter(|c| c.key.starts_with(prefix)).cloned().collect();
    (!changes.is_empty()).then_some(Batch { revision: batch.revision, changes })
}

fn follow(past: Vec<Batch>, receiver: Receiver) -> Batches {
    let live = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(batch)) => Some((Ok(batch), Some(receiver))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(BackendError::Closed), None)),
        }
    });
    stream::iter(past.into_iter().map(Ok)).chain(live).boxed()
}

type Receiver = mpsc::Receiver<Result<Batch, BackendError>>;
type Sender = mpsc::Sender<Result<Batch, BackendError>>;

/// Watchers by prefix, so that a commit only meets those that it concerns.
#[derive(Debug, Default)]
struct Watchers {
    /// Prefixes that end with a slash (or are empty): found by looking at each slash of a key.
    directories: HashMap<Box<str>, Vec<Sender>>,
    /// Prefixes that end anywhere else: found by comparing.
    others: BTreeMap<Box<str>, Vec<Sender>>,
}

impl Watchers {
    fn add(&mut self, prefix: &str) -> Receiver {
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        if prefix.is_empty() || prefix.ends_with('/') {
            self.directories.entry(prefix.into()).or_default().push(sender);
        } else {
            self.others.entry(prefix.into()).or_default().push(sender);
        }
        receiver
    }

    fn publish(&mut self, batch: &Batch) {
        let mut concerned = BTreeSet::new();
        for change in &batch.changes {
            let directories = (0..=change.key.len()).filter(|end| *end == 0 || change.key.as_bytes()[end - 1] == b'/');
            concerned.extend(directories.map(|end| &change.key[..end]).filter(|p| self.directories.contains_key(*p)));
        }
        for prefix in concerned {
            if let Some(senders) = self.directories.get_mut(prefix) {
                send(senders, batch, prefix);
            }
        }
        for (prefix, senders) in &mut self.others {
            send(senders, batch, prefix);
        }
        self.directories.retain(|_, senders| !senders.is_empty());
        self.others.retain(|_, senders| !senders.is_empty());
    }
}

/// Hands the part of a batch below the prefix to each watcher. Whoever has no room left is told so with
/// the last place and dropped: a watcher never holds a writer back.
fn send(senders: &mut Vec<Sender>, batch: &Batch, prefix: &str) {
    let Some(part) = touching(batch, prefix) else { return };
    senders.retain(|sender| match sender.capacity() {
        0 => false,
        1 => {
            let lost = BackendError::Compacted { requested: batch.revision, oldest: batch.revision };
            let _ = sender.try_send(Err(lost));
            false
        }
        _ => sender.try_send(Ok(part.clone())).is_ok(),
    });
}
