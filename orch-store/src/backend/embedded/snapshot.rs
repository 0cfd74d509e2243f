//! [`Snapshots`]: the current entries in one file, so that the log stays short.

use super::{
    disk::Disk,
    format,
    log::{corrupt, disk_error},
};
use crate::backend::{BackendError, Entry, Revision, keyspace::Keyspace};
use parking_lot::RwLock;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Entries per frame, and per turn of the key space's lock.
const CHUNK: usize = 256;
const TEMPORARY: &str = "snapshot.tmp";

/// Writes and reads snapshot files. A snapshot named for revision R holds every entry that R left behind;
/// entries written while it was being made may be newer, which replaying the log after R repairs.
pub(super) struct Snapshots {
    disk: Arc<dyn Disk>,
}

impl Snapshots {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// Writes the temporary file while commits go on: the lock is taken for one chunk at a time. Ends with an
    /// error soon after `stop` is set.
    pub(super) fn write(&self, keyspace: &RwLock<Keyspace>, stop: &AtomicBool) -> Result<(), BackendError> {
        let fail = |e: std::io::Error| disk_error(&*self.disk, TEMPORARY, &e);
        let mut file = self.disk.create(TEMPORARY).map_err(fail)?;
        let mut frame = Vec::new();
        let mut last: Option<Arc<str>> = None;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(BackendError::Closed);
            }
            let chunk = keyspace.read().chunk(last.as_deref(), CHUNK);
            let Some(newest) = chunk.last() else { break };
            last = Some(newest.key.clone());
            format::begin(&mut frame);
            chunk.iter().for_each(|entry| format::put_entry(&mut frame, entry));
            format::seal(&mut frame, 0);
            file.append(&frame).map_err(fail)?;
        }
        format::begin(&mut frame);
        frame.extend_from_slice(&keyspace.read().revision().0.to_le_bytes());
        format::seal(&mut frame, 0);
        file.append(&frame).map_err(fail)?;
        file.sync().map_err(fail)
    }

    /// Gives the temporary file its name. The log must be durable by now: the snapshot may hold entries that
    /// were written after `revision`. The log must go on after `revision` in a segment of its own.
    pub(super) fn publish(&self, revision: Revision) -> Result<(), BackendError> {
        let name = format!("{:020}.snapshot", revision.0);
        let fail = |e: std::io::Error| disk_error(&*self.disk, &name, &e);
        self.disk.rename(TEMPORARY, &name).map_err(fail)?;
        self.disk.sync_directory().map_err(fail)?;
        self.remove_before(revision)
    }

    /// Reads the newest snapshot, if there is one.
    pub(super) fn restore(&self, keyspace: &mut Keyspace) -> Result<(), BackendError> {
        let Some((name, revision)) = self.all()?.pop() else { return Ok(()) };
        let bytes = self.disk.read(&name).map_err(|e| disk_error(&*self.disk, &name, &e))?.into();
        let scan = format::scan(&bytes);
        let damaged = |why| corrupt(&*self.disk, &name, scan.intact, why);
        let whole = scan.intact == bytes.len() as u64;
        let Some((footer, frames)) = scan.payloads.split_last().filter(|_| whole) else {
            return Err(damaged("the snapshot is not whole"));
        };
        let end = <[u8; 8]>::try_from(&footer[..]).map_err(|_| damaged("the snapshot has no end"))?;
        for payload in frames {
            // Values are copied out of the file's buffer so that one live entry does not hold all of it.
            for Entry { key, revision, value } in format::entries(payload.clone()).map_err(damaged)? {
                keyspace.restore(Entry { key, revision, value: value.to_vec().into() });
            }
        }
        keyspace.restored(revision, Revision(u64::from_le_bytes(end)));
        Ok(())
    }

    fn remove_before(&self, revision: Revision) -> Result<(), BackendError> {
        for (name, _) in self.all()?.into_iter().filter(|(_, r)| *r < revision) {
            self.disk.remove(&name).map_err(|e| disk_error(&*self.disk, &name, &e))?;
        }
        Ok(())
    }

    fn all(&self) -> Result<Vec<(String, Revision)>, BackendError> {
        let names = self.disk.list().map_err(|e| disk_error(&*self.disk, "", &e))?;
        Ok(names
            .into_iter()
            .filter_map(|n| Some((n.strip_suffix(".snapshot")?.parse().ok().map(Revision)?, n)).map(|(r, n)| (n, r)))
            .collect())
    }
}
