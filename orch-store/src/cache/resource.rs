//! [`ResourceCache`]: current state and recent history of one resource, for many readers.

use super::{
    Filter, Options, Snapshot, WatchStart, Watcher,
    feed::read,
    kept::Kept,
    progress::Progress,
    state::{State, Update, rewind},
    window::{Record, Window},
};
use crate::{
    Backend, Revision, Stored,
    backend::{BackendError, Range},
    client::ReadAt,
    stored::Fields,
    watched as watch,
};
use orch_api::Key;
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};

/// How the selectable fields of an object are read.
pub type FieldsOf = Arc<dyn Fn(&Stored) -> Fields + Send + Sync>;

/// The cache of all objects under one prefix.
pub struct ResourceCache {
    prefix: Box<str>,
    backend: Arc<dyn Backend>,
    progress: Progress,
    options: Options,
    fields: OnceLock<FieldsOf>,
    state: RwLock<State>,
    kept: Kept,
    status: watch::Sender<Status>,
}

/// What makes waiting readers look again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Status {
    /// Whether the state is complete.
    pub(super) ready: bool,
    /// Whether there will be no more events.
    pub(super) closed: bool,
}

impl ResourceCache {
    pub(super) fn new(prefix: &str, backend: Arc<dyn Backend>, progress: Progress, options: Options) -> Self {
        Self {
            prefix: prefix.into(),
            backend,
            progress,
            options,
            fields: OnceLock::new(),
            state: RwLock::new(State::new()),
            kept: Kept::default(),
            status: watch::Sender::new(Status::default()),
        }
    }

    /// One object. [`ReadAt::Latest`] is linearizable.
    pub async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Arc<Stored>>, BackendError> {
        match at {
            ReadAt::Exact(_) => Ok(self.snapshot(at).await?.get(key).cloned()),
            at => {
                self.fresh(at).await?;
                Ok(self.peek(key))
            }
        }
    }

    /// One object as the cache holds it now, perhaps not the newest: what an update tries first,
    /// since the condition of its write will tell.
    pub fn peek(&self, key: &Key) -> Option<Arc<Stored>> {
        self.state.read().ready().and_then(|(current, _)| current.get(key).cloned())
    }

    /// All objects at one revision.
    ///
    /// # Errors
    /// [`BackendError::Compacted`] for an exact revision that is older than the window (answer 410),
    /// [`BackendError::Future`] for one that the cache does not see in time.
    pub async fn snapshot(&self, at: ReadAt) -> Result<Snapshot, BackendError> {
        if let ReadAt::Exact(revision) = at
            && let Some(kept) = self.kept.find(revision)
        {
            return Ok(kept);
        }
        let known = self.fresh(at).await?;
        let state = self.state.read();
        let (current, window) = state.ready().ok_or_else(reloading)?;
        let ReadAt::Exact(revision) = at else {
            // Nothing of this resource happened between its last change and what the feed has seen.
            return Ok(Snapshot { revision: known.max(current.revision), ..current.clone() });
        };
        let oldest = self.kept.past();
        if revision <= oldest && revision < known {
            return Err(BackendError::Compacted { requested: revision, oldest });
        }
        let past = rewind(current, window, revision)?;
        drop(state);
        self.kept.add(&past);
        Ok(past)
    }

    /// Keeps a snapshot for some minutes, so that its revision can be read again however much happens
    /// meanwhile: for a list that will go on with the next page. Reading an exact revision does the same.
    pub fn keep(&self, snapshot: &Snapshot) {
        self.kept.add(snapshot);
    }

    /// Follows the resource: only a namespace, if one is given, and only what matches the filter.
    /// Objects that begin or cease to match come as ADDED and DELETED. A start after a revision that
    /// the cache has not seen yet waits for it and delivers nothing older.
    ///
    /// # Errors
    /// [`BackendError::Compacted`] when the window does not reach back to the start (answer 410);
    /// the stream ends with the same when its reader is too slow.
    pub fn watch(
        self: &Arc<Self>,
        start: WatchStart,
        namespace: Option<&str>,
        filter: Option<Filter>,
    ) -> Result<Watcher, BackendError> {
        if let (WatchStart::After(revision), Some((_, window))) = (start, self.state.read().ready()) {
            window.after(revision).ok_or_else(|| compacted(revision, window))?;
        }
        Ok(Watcher::new(self.clone(), start, namespace.map(Arc::from), filter, self.options.bookmark_interval))
    }

    /// Says how the selectable fields of this resource are read. The first call wins.
    pub fn register_fields(&self, fields: FieldsOf) {
        let _ = self.fields.set(fields);
    }

    /// The selectable fields of an object of this resource, computed at most once per revision; empty
    /// when nothing was registered.
    pub fn fields<'a>(&self, object: &'a Stored) -> &'a Fields {
        object.fields(|object| self.fields.get().map_or_else(Fields::default, |fields| fields(object)))
    }

    /// Everything up to this revision is in this cache.
    pub fn revision(&self) -> Revision {
        let known = self.progress.revision();
        self.state.read().ready().map_or(Revision::default(), |(current, _)| known.max(current.revision))
    }

    /// A number that moves whenever an object of this resource changes: the same number, the same state. `None` while the
    /// state is being read. Costs no more than a lock, for whoever asks at every request.
    pub fn version(&self) -> Option<u64> {
        self.state.read().ready().map(|(_, window)| window.end())
    }

    /// The state as the cache holds it now, and its version.
    pub fn versioned(&self) -> Option<(Snapshot, u64)> {
        self.begin().ok()
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Waits until the state is complete and as fresh as asked. All of this resource up to the
    /// returned revision is then in the state.
    pub(super) async fn fresh(&self, at: ReadAt) -> Result<Revision, BackendError> {
        let wanted = match at {
            ReadAt::Latest => Some(self.backend.revision().await?),
            ReadAt::NotOlderThan(revision) | ReadAt::Exact(revision) => Some(revision),
            ReadAt::Any => None,
        };
        self.ready().await?;
        if let Some(wanted) = wanted
            && self.revision() < wanted
        {
            self.progress.reached(wanted).await?;
        }
        Ok(self.progress.revision())
    }

    async fn ready(&self) -> Result<(), BackendError> {
        let state = *self.status.borrow();
        if state.ready && !state.closed {
            return Ok(());
        }
        let mut status = self.status.subscribe();
        match status.wait_for(|status| status.ready || status.closed).await {
            Ok(status) if !status.closed => Ok(()),
            _ => Err(BackendError::Closed),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// The state and the position after its last event.
    pub(super) fn begin(&self) -> Result<(Snapshot, u64), BackendError> {
        let state = self.state.read();
        let (current, window) = state.ready().ok_or_else(reloading)?;
        Ok((current.clone(), window.end()))
    }

    /// The position of the first event after a revision.
    pub(super) fn position(&self, after: Revision) -> Result<u64, BackendError> {
        let state = self.state.read();
        let (_, window) = state.ready().ok_or_else(reloading)?;
        window.after(after).ok_or_else(|| compacted(after, window))
    }

    /// Copies the events from a position on. `seen` is what to blame when they are gone.
    pub(super) fn records(
        &self,
        position: u64,
        seen: Revision,
        limit: usize,
        into: &mut Vec<Arc<Record>>,
    ) -> Result<(), BackendError> {
        let state = self.state.read();
        let Some((_, window)) = state.ready() else {
            return Err(BackendError::Compacted { requested: seen, oldest: self.progress.revision() });
        };
        into.extend(window.read(position, limit).ok_or_else(|| compacted(seen, window))?.cloned());
        Ok(())
    }
}

/// The writing side, used by the feed alone.
impl ResourceCache {
    pub(super) fn apply(&self, updates: Vec<Update>) {
        let mut state = self.state.write();
        updates.into_iter().for_each(|update| state.apply(update));
        drop(state);
        self.status.send_modify(|_| {});
        self.kept.expire();
    }

    pub(super) fn ticket(&self) -> Option<u64> {
        if self.status.borrow().closed { None } else { self.state.read().ticket() }
    }

    /// Forgets everything. False when a load is under way already.
    pub(super) fn reset(&self) -> bool {
        let mut state = self.state.write();
        let was_ready = state.ready().is_some();
        state.reset();
        self.kept.clear();
        // Under the lock, so that the status never contradicts the state.
        self.status.send_modify(|status| status.ready = false);
        was_ready
    }

    pub(super) fn loaded(&self, ticket: u64, objects: Vec<Arc<Stored>>, revision: Revision) {
        let mut state = self.state.write();
        state.load(ticket, objects, revision, self.options.window);
        let ready = state.ready().is_some();
        self.status.send_modify(|status| status.ready = ready);
    }

    pub(super) fn close(&self) {
        self.status.send_modify(|status| status.closed = true);
    }

    /// The state as the backend has it.
    pub(super) async fn read(&self) -> Result<(Vec<Arc<Stored>>, Revision), BackendError> {
        let reply = self.backend.range(Range { prefix: self.prefix.to_string(), ..Range::default() }).await?;
        let mut objects = Vec::with_capacity(reply.entries.len());
        for (i, entry) in reply.entries.into_iter().enumerate() {
            if let Some(tail) = entry.key.strip_prefix(&*self.prefix) {
                objects.push(Arc::new(read(tail, entry.revision, entry.value)));
            }
            if i % 256 == 255 {
                tokio::task::yield_now().await;
            }
        }
        Ok((objects, reply.revision))
    }
}

fn compacted(requested: Revision, window: &Window) -> BackendError {
    BackendError::Compacted { requested, oldest: window.floor() }
}

fn reloading() -> BackendError {
    BackendError::Unavailable("the cache is being read anew".into())
}
