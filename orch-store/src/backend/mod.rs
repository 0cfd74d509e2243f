//! [`Backend`]: a revisioned key space, the plug point under the watch cache.

mod around;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod embedded;
mod keyspace;
pub mod memory;

pub use around::Around;
pub use embedded::EmbeddedBackend;
pub use memory::MemoryBackend;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{fmt, sync::Arc};

/// A point in the history of the whole store. Grows by one with every committed transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a watch delivers.
pub type Batches = BoxStream<'static, Result<Batch, BackendError>>;

/// A revisioned key space, such as etcd's. [`Around`] makes one around another.
///
/// # Laws
///
/// - **Order.** Every committed transaction gets the next revision; all its writes share it.
/// - **Conditions.** A transaction commits if and only if every condition holds at that moment.
/// - **Durability.** When `commit` returns, a [`Durability::Synced`] write survives power loss. After an
///   error of the disk nothing is acknowledged any more.
/// - **Reads** are linearizable: they see every transaction that was acknowledged before they began.
/// - **Watches** deliver every transaction after the given revision once, whole, in order, without gaps,
///   or end with [`BackendError::Compacted`]. They never hold a writer back.
/// - **Compaction** never blocks reads or writes.
///
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Commits the writes together, or none of them.
    async fn commit(&self, txn: Txn) -> Result<Revision, BackendError>;

    /// Entries in key order, with the revision at which the answer holds.
    async fn range(&self, range: Range) -> Result<RangeReply, BackendError>;

    /// Every transaction after `after` that touches a key with the prefix.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError>;

    /// The newest committed revision.
    async fn revision(&self) -> Result<Revision, BackendError>;

    /// Forgets history up to and including `revision`; current values stay.
    async fn compact(&self, revision: Revision) -> Result<(), BackendError>;

    /// Flushes buffered writes and releases files. Later calls fail with [`BackendError::Closed`].
    async fn close(&self) -> Result<(), BackendError>;
}

/// A set of conditional writes to distinct keys.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// The writes.
    pub writes: Vec<Write>,
}

/// One conditional write.
#[derive(Clone, Debug)]
pub struct Write {
    /// Full key, such as `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// What must hold of the key.
    pub condition: Condition,
    /// The new value, or `None` to delete the key.
    pub value: Option<Value>,
    /// When the write counts as acknowledged.
    pub durability: Durability,
}

/// What must hold of a key for its write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// The key does not exist.
    Absent,
    /// The key was last written by this revision.
    At(Revision),
}

/// How safe a write must be before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk, past every cache.
    #[default]
    Synced,
    /// Handed to the log; a power loss may take the last moments. For Leases and Events.
    Buffered,
}

/// JSON with a slot for the revision that will write it: an object says its own revision, which is
/// only known at the commit. [`Value::at`] is called once per commit; everyone shares the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// JSON without the revision.
    pub json: Bytes,
    /// Byte offset at which the decimal revision is inserted (between the quotes of
    /// `"resourceVersion":""`), or `None` for values that do not carry one.
    pub slot: Option<u32>,
}

impl Value {
    /// The value as written by a revision.
    pub fn at(&self, revision: Revision) -> Bytes {
        let Some(slot) = self.slot.map(|s| s as usize).filter(|s| *s <= self.json.len()) else {
            return self.json.clone();
        };
        let digits = revision.to_string();
        let mut out = Vec::with_capacity(self.json.len() + digits.len());
        out.extend_from_slice(&self.json[..slot]);
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(&self.json[slot..]);
        out.into()
    }
}

/// What to read: keys with a prefix, from a start, up to a limit, now or as of a revision.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Keys must begin with this. A whole key reads that key and those below it.
    pub prefix: String,
    /// Keys must be greater than this.
    pub after: Option<String>,
    /// At most this many entries; 0 for all.
    pub limit: usize,
    /// The revision to read at; `None` for now.
    pub at: Option<Revision>,
}

/// The answer to a [`Range`].
#[derive(Clone, Debug)]
pub struct RangeReply {
    /// Entries in key order.
    pub entries: Vec<Entry>,
    /// Whether more entries follow.
    pub more: bool,
    /// The revision at which this answer holds.
    pub revision: Revision,
}

/// A key's current value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Full key.
    pub key: Arc<str>,
    /// The revision that wrote it.
    pub revision: Revision,
    /// JSON with the revision in its slot.
    pub value: Bytes,
}

/// What one transaction changed.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The transaction's revision.
    pub revision: Revision,
    /// Its changes, in the order of the writes.
    pub changes: Vec<Change>,
}

/// One changed key.
#[derive(Clone, Debug)]
pub struct Change {
    /// Full key.
    pub key: Arc<str>,
    /// The new value, or `None` when the key was deleted.
    pub value: Option<Bytes>,
}

/// Why a backend refused. Each variant says what the caller should do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BackendError {
    /// A condition did not hold; read again and decide anew.
    #[error("the condition on {key} does not hold (now at {actual:?})")]
    Conflict {
        /// The first key whose condition failed.
        key: Arc<str>,
        /// The revision that wrote it, or `None` when it does not exist.
        actual: Option<Revision>,
    },
    /// The revision is no longer in the history; list again.
    #[error("revision {requested} has been compacted; the oldest is {oldest}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// What can be had.
        oldest: Revision,
    },
    /// The revision lies in the future; wait or list again.
    #[error("revision {requested} is newer than the current {current}")]
    Future {
        /// What was asked for.
        requested: Revision,
        /// The newest there is.
        current: Revision,
    },
    /// The disk failed; nothing is acknowledged until a restart.
    #[error("{path}: {why}")]
    Disk {
        /// The file or directory.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// A file does not hold what was written to it.
    #[error("{path} is corrupt at byte {offset}: {why}")]
    Corrupt {
        /// The file.
        path: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// The backend was closed.
    #[error("the store is closed")]
    Closed,
    /// The store cannot be reached; try again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
