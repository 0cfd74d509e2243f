//! [`EmbeddedBackend`]: the durable engine that needs nothing but a directory.
//!
//! One thread commits. It takes every transaction that waits, checks their conditions, appends those that
//! hold as one frame to the log, makes the frame durable, applies it to the key space in memory and answers.
//! So one `fsync` serves all that waited (group commit), readers never see what a power loss could take
//! back, and revisions grow in the order of the log. Reads are served from memory.
//!
//! When the log has grown past the size of what it describes, a snapshot is written beside it and the old
//! segments go; commits do not wait for that. `docs/store-format.md` describes the files.

mod disk;
mod format;
mod log;
mod snapshot;
mod writer;

pub use disk::{Directory, Disk, DiskFile};

use super::{
    Backend, BackendError, Batches, Range, RangeReply, Revision, Txn, keyspace::Keyspace, memory::DEFAULT_HISTORY,
};
use async_trait::async_trait;
use parking_lot::RwLock;
use std::{
    fs::{File, TryLockError},
    path::Path,
    sync::{Arc, mpsc},
    thread,
};
use tokio::sync::oneshot;
use writer::{Request, Writer};

/// How the engine trades disk space for work.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many transactions the history holds.
    pub history: usize,
    /// A snapshot is written when the log segment has grown to this many bytes …
    pub snapshot_min_bytes: u64,
    /// … and to this many times the size of the last snapshot.
    pub snapshot_factor: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { history: DEFAULT_HISTORY, snapshot_min_bytes: 64 << 20, snapshot_factor: 2 }
    }
}

/// A durable key space in one directory.
pub struct EmbeddedBackend {
    keyspace: Arc<RwLock<Keyspace>>,
    requests: mpsc::Sender<Request>,
    writer: Option<thread::JoinHandle<()>>,
    /// Held while the engine lives, so that no second process opens the directory.
    _lock: Option<File>,
}

impl EmbeddedBackend {
    /// Opens a directory, creating it if it is missing. Fails with a clear error when another process has
    /// it open, when the disk refuses, and when a file does not hold what was written to it.
    pub fn open(path: &Path, options: Options) -> Result<Self, BackendError> {
        let failed = |why: String| BackendError::Disk { path: path.display().to_string(), why };
        let directory = Directory::open(path).map_err(|e| failed(e.to_string()))?;
        let lock = File::create(path.join("lock")).map_err(|e| failed(e.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(failed("in use by another process".into())),
            Err(TryLockError::Error(e)) => return Err(failed(e.to_string())),
        }
        let mut backend = Self::on_disk(Arc::new(directory), options)?;
        backend._lock = Some(lock);
        Ok(backend)
    }

    /// Opens a store on any disk; the caller sees to it that nobody else uses it.
    pub fn on_disk(disk: Arc<dyn Disk>, options: Options) -> Result<Self, BackendError> {
        let mut keyspace = Keyspace::new(options.history);
        let log = log::Log::recover(disk.clone(), &mut keyspace)?;
        let keyspace = Arc::new(RwLock::new(keyspace));
        let (requests, inbox) = mpsc::channel();
        let committer = Writer::new(keyspace.clone(), log, disk.clone(), requests.clone(), options);
        let writer = thread::Builder::new()
            .name("orch-store".into())
            .spawn(move || committer.run(&inbox))
            .map_err(|e| log::disk_error(&*disk, "", &e))?;
        Ok(Self { keyspace, requests, writer: Some(writer), _lock: None })
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, BackendError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).map_err(|_| BackendError::Closed)?;
        answer.await.map_err(|_| BackendError::Closed)
    }
}

#[async_trait]
impl Backend for EmbeddedBackend {
    async fn commit(&self, txn: Txn) -> Result<Revision, BackendError> {
        self.ask(|reply| Request::Commit(txn, reply)).await?
    }

    async fn range(&self, range: Range) -> Result<RangeReply, BackendError> {
        self.keyspace.read().range(&range)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        self.keyspace.write().watch(prefix, after)
    }

    async fn revision(&self) -> Result<Revision, BackendError> {
        Ok(self.keyspace.read().revision())
    }

    async fn compact(&self, revision: Revision) -> Result<(), BackendError> {
        self.keyspace.write().compact(revision)
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.ask(Request::Close).await?
    }
}

impl Drop for EmbeddedBackend {
    /// Waits until the commit thread has finished what it holds, so that the directory is free afterwards.
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        let _ = self.requests.send(Request::Close(reply));
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}
