//! [`Cursor`]: a position in the events of a resource, and how a reader moves it.

use super::{
    Filter, ResourceCache, Snapshot, WatchStart,
    resource::Status,
    window::{After, Record},
};
use crate::{
    Revision, Stored,
    backend::BackendError,
    client::{ReadAt, WatchEvent},
    watched as watch,
};
use orch_api::Key;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How many events are taken from the window, or objects from the initial state, at a time.
const CHUNK: usize = 256;

/// A position in the events of a resource, and what this reader wants of them.
pub(super) struct Cursor {
    cache: Arc<ResourceCache>,
    status: watch::Receiver<Status>,
    phase: Phase,
    wants: Wants,
    /// Nothing up to this revision is delivered.
    after: Revision,
    /// The newest revision that the reader knows of.
    sent: Revision,
    queue: VecDeque<WatchEvent>,
    /// A buffer that is kept between reads.
    records: Vec<Arc<Record>>,
    bookmark_interval: Duration,
    bookmark_at: Option<Instant>,
    ends_at: Option<Instant>,
    /// A timer that has rung and waits until the window is read to its end.
    due: Option<Ring>,
}

enum Phase {
    /// Nothing was read yet.
    Starting(WatchStart),
    /// The objects of the snapshot after a key are still to be sent; events follow from `position`.
    Initial { snapshot: Snapshot, last: Option<Key>, end_bookmark: bool, position: u64 },
    /// Events follow from a position.
    Following { position: u64 },
    /// The last bookmark has been sent.
    Ended,
}

/// A timer that rang.
#[derive(Clone, Copy)]
enum Ring {
    Bookmark,
    End,
}

impl Cursor {
    pub(super) fn new(cache: Arc<ResourceCache>, start: WatchStart, wants: Wants, bookmark_interval: Duration) -> Self {
        let sent = if let WatchStart::After(revision) = start { revision } else { Revision::default() };
        Self {
            status: cache.subscribe(),
            cache,
            phase: Phase::Starting(start),
            wants,
            after: sent,
            sent,
            queue: VecDeque::new(),
            records: Vec::new(),
            bookmark_interval,
            bookmark_at: None,
            ends_at: None,
            due: None,
        }
    }

    pub(super) fn send_bookmarks(&mut self) {
        self.bookmark_at = Some(Instant::now() + self.bookmark_interval);
    }

    pub(super) fn end_after(&mut self, timeout: Duration) {
        self.ends_at = Some(Instant::now() + timeout);
    }

    /// Takes the state that the watch begins with, if it begins with the newest.
    pub(super) async fn begin(&mut self) -> Result<(), BackendError> {
        if let Phase::Starting(start @ (WatchStart::State(ReadAt::Latest) | WatchStart::Initial(ReadAt::Latest))) =
            self.phase
        {
            self.phase = self.start(start).await?;
        }
        Ok(())
    }

    /// The next event; `None` when the watch has ended.
    pub(super) async fn next(&mut self) -> Result<Option<WatchEvent>, BackendError> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.sent = self.sent.max(event.revision());
                return Ok(Some(event));
            }
            match &mut self.phase {
                Phase::Starting(start) => {
                    let start = *start;
                    self.phase = self.start(start).await?;
                }
                Phase::Initial { .. } => self.send_state(),
                Phase::Following { position } => {
                    let position = *position;
                    // Everything up to here is in the window already, so that a bookmark which says
                    // so after the window was read to its end is never ahead of an event.
                    let known = self.cache.revision();
                    self.status.mark_unchanged();
                    if self.read(position)? > 0 {
                        continue;
                    }
                    match self.due.take() {
                        Some(ring) => self.ring(ring, known),
                        None => self.due = self.wait().await?,
                    }
                }
                Phase::Ended => return Ok(None),
            }
        }
    }

    async fn start(&mut self, start: WatchStart) -> Result<Phase, BackendError> {
        let (at, end_bookmark) = match start {
            WatchStart::After(revision) => {
                self.cache.fresh(ReadAt::Any).await?;
                return Ok(Phase::Following { position: self.cache.position(revision)? });
            }
            WatchStart::State(at) => (at, false),
            WatchStart::Initial(at) => (at, true),
        };
        let known = self.cache.fresh(at).await?;
        let (mut snapshot, position) = self.cache.begin()?;
        snapshot.revision = snapshot.revision.max(known);
        Ok(Phase::Initial { snapshot, last: None, end_bookmark, position })
    }

    /// Queues the next objects of the initial state, and what ends it.
    fn send_state(&mut self) {
        let Phase::Initial { snapshot, last, end_bookmark, position } = &mut self.phase else { return };
        let namespace = self.wants.namespace.as_deref();
        let mut scanned = None;
        let mut count = 0;
        for object in snapshot.iter(namespace, last.as_ref()).take(CHUNK) {
            scanned = Some(&object.key);
            count += 1;
            if self.wants.object(object) {
                self.queue.push_back(WatchEvent::Added(object.clone()));
            }
        }
        if count == CHUNK {
            *last = scanned.cloned();
            return;
        }
        if *end_bookmark {
            let revision = snapshot.revision;
            self.queue.push_back(WatchEvent::Bookmark { revision, initial_events_end: true });
        }
        self.phase = Phase::Following { position: *position };
    }

    /// Queues the events from a position on and moves it. Returns how many there were, wanted or not.
    fn read(&mut self, position: u64) -> Result<usize, BackendError> {
        self.records.clear();
        self.cache.records(position, self.sent, CHUNK, &mut self.records)?;
        let count = self.records.len();
        let wants = &self.wants;
        let fresh = self.records.iter().filter(|record| record.revision() > self.after);
        self.queue.extend(fresh.filter_map(|record| wants.event(record)));
        self.records.clear();
        self.phase = Phase::Following { position: position + count as u64 };
        Ok(count)
    }

    /// Waits for an event, which is `None`, or a timer.
    async fn wait(&mut self) -> Result<Option<Ring>, BackendError> {
        if self.status.borrow().closed {
            return Err(BackendError::Closed);
        }
        let (bookmark_at, ends_at) = (self.bookmark_at, self.ends_at);
        tokio::select! {
            biased;
            changed = self.status.changed() => changed.map(|()| None).map_err(|_| BackendError::Closed),
            () = sleep_until(ends_at) => Ok(Some(Ring::End)),
            () = sleep_until(bookmark_at) => Ok(Some(Ring::Bookmark)),
        }
    }

    fn ring(&mut self, ring: Ring, known: Revision) {
        if self.bookmark_at.is_some() {
            self.bookmark(known);
        }
        if let Ring::End = ring {
            self.phase = Phase::Ended;
        }
    }

    /// Queues a bookmark, unless the reader asked for a start that still lies ahead.
    fn bookmark(&mut self, known: Revision) {
        if let Some(at) = &mut self.bookmark_at {
            *at = Instant::now() + self.bookmark_interval;
        }
        if known >= self.sent {
            self.queue.push_back(WatchEvent::Bookmark { revision: known, initial_events_end: false });
        }
    }
}

/// Which objects a reader wants.
pub(super) struct Wants {
    pub(super) namespace: Option<Arc<str>>,
    pub(super) filter: Option<Filter>,
}

impl Wants {
    fn object(&self, object: &Stored) -> bool {
        self.namespace.as_ref().is_none_or(|n| *n == object.key.namespace)
            && self.filter.as_ref().is_none_or(|f| f.matches(object))
    }

    /// The event as this reader sees it: objects that begin or cease to match come and go.
    fn event(&self, record: &Record) -> Option<WatchEvent> {
        if self.namespace.as_ref().is_some_and(|n| *n != record.object().key.namespace) {
            return None;
        }
        let old = record.old.as_ref().filter(|old| self.object(old));
        match (&record.new, old) {
            (After::Put(new), Some(_)) if self.object(new) => Some(WatchEvent::Modified(new.clone())),
            (After::Put(_), Some(old)) => Some(WatchEvent::Deleted(record.left(old))),
            (After::Put(new), None) => self.object(new).then(|| WatchEvent::Added(new.clone())),
            (After::Gone(last), old) => old.map(|_| WatchEvent::Deleted(last.clone())),
        }
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
