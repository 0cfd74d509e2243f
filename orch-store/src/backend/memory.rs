//! [`MemoryBackend`]: a key space in memory, for tests and for clusters that need not outlive their process.

use super::{
    Backend, BackendError, Batches, Range, RangeReply, Revision, Txn,
    keyspace::{self, Keyspace},
};
use async_trait::async_trait;
use parking_lot::RwLock;

/// How many transactions the history holds by default.
pub const DEFAULT_HISTORY: usize = 100_000;

/// A key space in memory. Commits are synchronous: nothing is awaited.
#[derive(Debug)]
pub struct MemoryBackend {
    /// `None` once closed.
    keyspace: RwLock<Option<Keyspace>>,
}

impl MemoryBackend {
    /// An empty store with the default history.
    pub fn new() -> Self {
        Self::with_history(DEFAULT_HISTORY)
    }

    /// An empty store that remembers at most this many transactions.
    pub fn with_history(limit: usize) -> Self {
        Self { keyspace: RwLock::new(Some(Keyspace::new(limit))) }
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn commit(&self, txn: Txn) -> Result<Revision, BackendError> {
        let mut guard = self.keyspace.write();
        let keyspace = guard.as_mut().ok_or(BackendError::Closed)?;
        keyspace::check(&txn, |key| keyspace.written_at(key))?;
        let revision = keyspace.revision().next();
        keyspace.apply(keyspace::batch(txn, revision));
        Ok(revision)
    }

    async fn range(&self, range: Range) -> Result<RangeReply, BackendError> {
        self.keyspace.read().as_ref().ok_or(BackendError::Closed)?.range(&range)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        self.keyspace.write().as_mut().ok_or(BackendError::Closed)?.watch(prefix, after)
    }

    async fn revision(&self) -> Result<Revision, BackendError> {
        self.keyspace.read().as_ref().map(Keyspace::revision).ok_or(BackendError::Closed)
    }

    async fn compact(&self, revision: Revision) -> Result<(), BackendError> {
        self.keyspace.write().as_mut().ok_or(BackendError::Closed)?.compact(revision)
    }

    async fn close(&self) -> Result<(), BackendError> {
        // Dropping the watchers' senders ends their streams.
        self.keyspace.write().take();
        Ok(())
    }
}
