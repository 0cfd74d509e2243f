//! Snapshots that are kept for lists that go on page by page.

use super::Snapshot;
use crate::Revision;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How many snapshots a resource keeps at most.
const CAPACITY: usize = 8;

/// How long a continue token is good for, from the beginning of its list: upstream's compaction interval. It does not
/// begin anew with each page: a client that goes on for ever would hold the past for ever.
const LIFETIME: Duration = Duration::from_secs(300);

/// The snapshots of lists that are under way. Each holds only what has changed since.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    snapshots: VecDeque<(Instant, Snapshot)>,
    /// The newest revision whose time is over.
    past: Revision,
}

impl Inner {
    fn expire(&mut self) {
        let past = &mut self.past;
        self.snapshots.retain(|(since, snapshot)| {
            let is_young = since.elapsed() <= LIFETIME;
            if !is_young {
                *past = snapshot.revision.max(*past);
            }
            is_young
        });
    }
}

impl Kept {
    pub(super) fn add(&self, snapshot: &Snapshot) {
        let kept = &mut self.0.lock().snapshots;
        if kept.iter().any(|(_, known)| known.revision == snapshot.revision) {
            return;
        }
        kept.push_back((Instant::now(), snapshot.clone()));
        if kept.len() > CAPACITY {
            kept.pop_front();
        }
    }

    /// The snapshot of a revision. Of those that are kept it is the last to make room for others.
    pub(super) fn find(&self, revision: Revision) -> Option<Snapshot> {
        let mut inner = self.0.lock();
        inner.expire();
        let kept = &mut inner.snapshots;
        let at = kept.iter().position(|(_, known)| known.revision == revision)?;
        let found = kept.remove(at)?;
        kept.push_back(found.clone());
        Some(found.1)
    }

    /// Up to where exact revisions are not to be had any more, because the time of a list there is over; what a compaction
    /// is to etcd.
    pub(super) fn past(&self) -> Revision {
        self.0.lock().past
    }

    /// Lets go of everything: the history has another past now.
    pub(super) fn clear(&self) {
        *self.0.lock() = Inner::default();
    }

    /// Lets go of what has become too old. Called with every change, which is what a kept snapshot costs memory for.
    pub(super) fn expire(&self) {
        self.0.lock().expire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: u64) -> Snapshot {
        Snapshot { revision: Revision(revision), ..Snapshot::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_goes_on_ends_with_its_time_all_the_same() {
        let kept = Kept::default();
        kept.add(&at(1));
        for _ in 0..2 {
            tokio::time::advance(LIFETIME / 2).await;
            assert!(kept.find(Revision(1)).is_some());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(kept.find(Revision(1)).is_none());
        assert_eq!(kept.past(), Revision(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_that_was_read_last_makes_room_last() {
        let kept = Kept::default();
        kept.add(&at(1));
        kept.add(&at(2));
        assert!(kept.find(Revision(1)).is_some());
        (3..2 + CAPACITY as u64).for_each(|revision| kept.add(&at(revision)));
        assert!(kept.find(Revision(1)).is_some() && kept.find(Revision(2)).is_none());
    }
}
