//! [`Log`]: the append-only segments and how they are read back.

use super::{
    disk::{Disk, DiskFile},
    format,
    snapshot::Snapshots,
};
use crate::backend::{BackendError, Batch, Revision, keyspace::Keyspace};
use std::{io, sync::Arc};

/// The open segment of the log.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    name: String,
    file: Box<dyn DiskFile>,
    length: u64,
    durable: u64,
    frame: Vec<u8>,
}

impl Log {
    /// Reads the newest snapshot and the segments after it into the key space, cuts a torn tail off and
    /// opens the last segment.
    pub(super) fn recover(disk: Arc<dyn Disk>, keyspace: &mut Keyspace) -> Result<Self, BackendError> {
        Snapshots::new(disk.clone()).restore(keyspace)?;
        let segments = segments(&*disk)?;
        let mut last = None;
        for (i, name) in segments.iter().enumerate() {
            let is_last = i + 1 == segments.len();
            let intact = replay(&*disk, name, is_last, keyspace)?;
            last = Some((name.clone(), intact));
        }
        match last {
            Some((name, length)) => {
                let file = disk.open(&name, length).map_err(|e| disk_error(&*disk, &name, &e))?;
                Ok(Self { disk, name, file, length, durable: length, frame: Vec::new() })
            }
            None => Self::start(disk, keyspace.revision().next()),
        }
    }

    /// Begins a new segment whose first revision will be `first`.
    pub(super) fn start(disk: Arc<dyn Disk>, first: Revision) -> Result<Self, BackendError> {
        let name = format!("{:020}.log", first.0);
        let file = disk
            .create(&name)
            .and_then(|file| disk.sync_directory().map(|()| file))
            .map_err(|e| disk_error(&*disk, &name, &e))?;
        Ok(Self { disk, name, file, length: 0, durable: 0, frame: Vec::new() })
    }

    /// Closes this segment and begins the next.
    pub(super) fn rotate(&mut self, first: Revision) -> Result<(), BackendError> {
        self.sync()?;
        *self = Self::start(self.disk.clone(), first)?;
        Ok(())
    }

    /// Appends the batches as one frame. After an error call [`Log::undo`].
    pub(super) fn append<'a>(&mut self, batches: impl Iterator<Item = &'a Batch>) -> Result<(), BackendError> {
        format::begin(&mut self.frame);
        for batch in batches {
            format::put_batch(&mut self.frame, batch);
        }
        format::seal(&mut self.frame, self.durable);
        self.file.append(&self.frame).map_err(|e| disk_error(&*self.disk, &self.name, &e))?;
        self.length += self.frame.len() as u64;
        Ok(())
    }

    /// Cuts off what a failed append left behind.
    pub(super) fn undo(&mut self) -> Result<(), BackendError> {
        let reopened = self.disk.open(&self.name, self.length);
        self.file = reopened.map_err(|e| disk_error(&*self.disk, &self.name, &e))?;
        self.durable = self.length;
        Ok(())
    }

    /// Makes everything appended durable.
    pub(super) fn sync(&mut self) -> Result<(), BackendError> {
        if self.durable < self.length {
            self.file.sync().map_err(|e| disk_error(&*self.disk, &self.name, &e))?;
            self.durable = self.length;
        }
        Ok(())
    }

    /// Bytes in the open segment.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether something appended is not durable yet.
    pub(super) fn is_dirty(&self) -> bool {
        self.durable < self.length
    }
}

/// Removes the segments that hold nothing newer than the revision. The segment that begins right after it
/// must exist.
pub(super) fn remove_through(disk: &dyn Disk, revision: Revision) -> Result<(), BackendError> {
    for name in segments(disk)?.iter().filter(|n| first_revision(n).is_some_and(|r| r <= revision)) {
        disk.remove(name).map_err(|e| disk_error(disk, name, &e))?;
    }
    Ok(())
}

fn replay(disk: &dyn Disk, name: &str, is_last: bool, keyspace: &mut Keyspace) -> Result<u64, BackendError> {
    let bytes = disk.read(name).map_err(|e| disk_error(disk, name, &e))?.into();
    let scan = format::scan(&bytes);
    if scan.corrupt || (!is_last && scan.intact < bytes.len() as u64) {
        return Err(corrupt(disk, name, scan.intact, "a record does not match its checksum, and later ones do"));
    }
    for payload in scan.payloads {
        let batches = format::batches(payload).map_err(|why| corrupt(disk, name, scan.intact, why))?;
        for batch in batches {
            let next = keyspace.revision().next();
            if batch.revision == next {
                keyspace.apply(batch);
            } else if batch.revision > next {
                let why = format!("revision {} follows {}", batch.revision, keyspace.revision());
                return Err(corrupt(disk, name, scan.intact, &why));
            }
        }
    }
    Ok(scan.intact)
}

fn segments(disk: &dyn Disk) -> Result<Vec<String>, BackendError> {
    let names = disk.list().map_err(|e| disk_error(disk, "", &e))?;
    Ok(names.into_iter().filter(|n| first_revision(n).is_some()).collect())
}

fn first_revision(name: &str) -> Option<Revision> {
    name.strip_suffix(".log")?.parse().ok().map(Revision)
}

pub(super) fn disk_error(disk: &dyn Disk, name: &str, error: &io::Error) -> BackendError {
    BackendError::Disk { path: path(disk, name), why: error.to_string() }
}

pub(super) fn corrupt(disk: &dyn Disk, name: &str, offset: u64, why: &str) -> BackendError {
    BackendError::Corrupt { path: path(disk, name), offset, why: why.to_owned() }
}

fn path(disk: &dyn Disk, name: &str) -> String {
    if name.is_empty() { disk.location() } else { format!("{}/{name}", disk.location()) }
}
