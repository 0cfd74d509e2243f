//! [`Writer`]: the commit thread.

use super::{
    Options,
    disk::Disk,
    log::{self, Log},
    snapshot::Snapshots,
};
use crate::backend::{
    BackendError, Batch, Durability, Revision, Txn,
    keyspace::{self, Keyspace},
};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// The most transactions that one frame holds.
const GROUP: usize = 512;
/// How long a buffered write may wait for the disk.
const BUFFERED_FOR: Duration = Duration::from_secs(1);

type Reply<T> = oneshot::Sender<Result<T, BackendError>>;

/// What the commit thread is asked to do.
pub(super) enum Request {
    /// Commit a transaction.
    Commit(Txn, Reply<Revision>),
    /// A snapshot of (at least) the revision was written to its temporary file.
    Snapshot(Revision, Result<(), BackendError>),
    /// Make everything durable and end.
    Close(Reply<()>),
}

pub(super) struct Writer {
    keyspace: Arc<RwLock<Keyspace>>,
    log: Log,
    disk: Arc<dyn Disk>,
    requests: Sender<Request>,
    options: Options,
    /// Size of the segment that the last snapshot replaced: about the size of the live data.
    snapshot_bytes: u64,
    snapshot: Option<RunningSnapshot>,
    /// The disk's first error. Nothing is acknowledged after it: what a failed fsync lost is unknown.
    broken: Option<BackendError>,
}

/// A snapshot thread, which stops at its next chunk when told to.
struct RunningSnapshot {
    thread: thread::JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// The transactions of one frame, not yet durable.
#[derive(Default)]
struct Group {
    commits: Vec<(Batch, Reply<Revision>)>,
    /// Refusals. They tell of the writes before them, which a crash may still undo: they are answered after those.
    refused: Vec<(BackendError, Reply<Revision>)>,
    /// Where the group's own writes leave the keys.
    written_at: HashMap<Arc<str>, Option<Revision>>,
    sync: bool,
}

impl Writer {
    pub(super) fn new(
        keyspace: Arc<RwLock<Keyspace>>,
        log: Log,
        disk: Arc<dyn Disk>,
        requests: Sender<Request>,
        options: Options,
    ) -> Self {
        Self { keyspace, log, disk, requests, options, snapshot_bytes: 0, snapshot: None, broken: None }
    }

    /// Serves requests until the engine is closed or dropped.
    pub(super) fn run(mut self, inbox: &Receiver<Request>) {
        loop {
            let first = if self.log.is_dirty() && self.broken.is_none() {
                match inbox.recv_timeout(BUFFERED_FOR) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        let synced = self.log.sync();
                        self.note(synced);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match inbox.recv() {
                    Ok(request) => request,
                    Err(_) => return,
                }
            };
            if !self.serve(first, inbox) {
                return;
            }
        }
    }

    /// Serves one request and, if it is a commit, those that wait behind it. False ends the thread.
    fn serve(&mut self, first: Request, inbox: &Receiver<Request>) -> bool {
        let mut group = Group::default();
        let mut next = Some(first);
        let mut other = None;
        while let Some(request) = next.take() {
            match request {
                Request::Commit(txn, reply) => self.stage(&mut group, txn, reply),
                request => {
                    other = Some(request);
                    break;
                }
            }
            next = (group.commits.len() < GROUP).then(|| inbox.try_recv().ok()).flatten();
        }
        self.commit(group);
        match other {
            Some(Request::Close(reply)) => {
                if let Some(snapshot) = self.snapshot.take() {
                    snapshot.stop.store(true, Ordering::Relaxed);
                    let _ = snapshot.thread.join();
                }
                let result = self.log.sync();
                self.keyspace.write().close();
                let _ = reply.send(result);
                return false;
            }
            Some(Request::Snapshot(revision, written)) => self.finish_snapshot(revision, written),
            _ => {}
        }
        self.snapshot_if_due();
        true
    }

    fn stage(&self, group: &mut Group, txn: Txn, reply: Reply<Revision>) {
        if let Some(error) = &self.broken {
            let _ = reply.send(Err(error.clone()));
            return;
        }
        let keyspace = self.keyspace.read();
        let written_at = |key: &str| group.written_at.get(key).copied().unwrap_or_else(|| keyspace.written_at(key));
        if let Err(conflict) = keyspace::check(&txn, written_at) {
            return group.refused.push((conflict, reply));
        }
        let revision = Revision(keyspace.revision().0 + group.commits.len() as u64 + 1);
        group.sync |= txn.writes.iter().any(|w| w.durability == Durability::Synced);
        let batch = keyspace::batch(txn, revision);
        for change in &batch.changes {
            group.written_at.insert(change.key.clone(), change.value.as_ref().map(|_| revision));
        }
        group.commits.push((batch, reply));
    }

    fn commit(&mut self, group: Group) {
        if let Err(error) = self.make_durable(&group) {
            let replies = group.commits.into_iter().map(|(_, reply)| reply);
            for reply in replies.chain(group.refused.into_iter().map(|(_, reply)| reply)) {
                let _ = reply.send(Err(error.clone()));
            }
            return;
        }
        for (batch, reply) in group.commits {
            let revision = batch.revision;
            self.keyspace.write().apply(batch);
            let _ = reply.send(Ok(revision));
        }
        for (conflict, reply) in group.refused {
            let _ = reply.send(Err(conflict));
        }
    }

    fn make_durable(&mut self, group: &Group) -> Result<(), BackendError> {
        if group.commits.is_empty() {
            return Ok(());
        }
        let appended = self.log.append(group.commits.iter().map(|(batch, _)| batch));
        let durable = appended.is_ok() && group.sync;
        let synced = if durable { self.log.sync() } else { Ok(()) };
        let result = appended.clone().and(synced.clone());
        if result.is_err() {
            // What a failed append left behind can be cut off; what a failed fsync lost cannot be known.
            let repaired = if appended.is_err() { self.log.undo() } else { synced };
            self.note(repaired);
        }
        result
    }

    fn snapshot_if_due(&mut self) {
        let due = self.options.snapshot_min_bytes.max(self.snapshot_bytes * self.options.snapshot_factor);
        if self.snapshot.is_some() || self.broken.is_some() || self.log.length() < due {
            return;
        }
        let revision = self.keyspace.read().revision();
        self.snapshot_bytes = self.log.length();
        if let Err(error) = self.log.rotate(revision.next()) {
            return self.note(Err(error));
        }
        let (disk, keyspace, requests) = (self.disk.clone(), self.keyspace.clone(), self.requests.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let started = thread::Builder::new().name("orch-store-snapshot".into()).spawn(move || {
            let written = Snapshots::new(disk).write(&keyspace, &stopped);
            let _ = requests.send(Request::Snapshot(revision, written));
        });
        self.snapshot = started.ok().map(|thread| RunningSnapshot { thread, stop });
    }

    /// A failed snapshot is no failed commit: the log still holds everything, and the next one may succeed.
    fn finish_snapshot(&mut self, revision: Revision, written: Result<(), BackendError>) {
        self.snapshot = None;
        let finished = written
            .and_then(|()| self.log.sync())
            .and_then(|()| Snapshots::new(self.disk.clone()).publish(revision))
            .and_then(|()| log::remove_through(&*self.disk, revision));
        if let Err(error) = finished {
            tracing::warn!(%error, "the store could not write a snapshot");
        }
    }

    fn note(&mut self, result: Result<(), BackendError>) {
        if let Err(error) = result {
            tracing::error!(%error, "the store refuses writes until it is restarted");
            self.broken = Some(error);
        }
    }
}
