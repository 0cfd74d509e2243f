//! Snapshots that are kept for lists that go on page by page.

use super::Snapshot;
use crate::Revision;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How many snapshots a resource keeps at most.
const CAPACITY: usize = 8;

/// How long a continue token is good for: upstream's compaction interval.
const LIFETIME: Duration = Duration::from_secs(300);

/// The snapshots of lists that are under way. Each holds only what has changed since.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<VecDeque<(Instant, Snapshot)>>);

impl Kept {
    pub(super) fn add(&self, snapshot: &Snapshot) {
        let mut kept = self.0.lock();
        kept.retain(|(_, known)| known.revision != snapshot.revision);
        kept.push_back((Instant::now(), snapshot.clone()));
        if kept.len() > CAPACITY {
            kept.pop_front();
        }
    }

    /// The snapshot of a revision; its time begins anew.
    pub(super) fn find(&self, revision: Revision) -> Option<Snapshot> {
        let found = self.0.lock().iter().find(|(_, known)| known.revision == revision).map(|(_, s)| s.clone())?;
        self.add(&found);
        Some(found)
    }

    /// Lets go of everything: the history has another past now.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Lets go of what nobody has asked for lately. Called with every change, which is what a kept
    /// snapshot costs memory for.
    pub(super) fn expire(&self) {
        let mut kept = self.0.lock();
        while kept.front().is_some_and(|(since, _)| since.elapsed() > LIFETIME) {
            kept.pop_front();
        }
    }
}
