//! The bytes on disk. `docs/store-format.md` draws them.
//!
//! Both the log and the snapshot are sequences of frames:
//!
//! ```text
//! frame    = magic "orF1" | length u32 | crc32 u32 | durable u64 | payload (length bytes)
//! log      : payload = batch*          batch = revision u64 | count u32 | change*
//! snapshot : payload = entry*          entry = revision u64 | change
//!            the last payload is the revision (u64) at which the snapshot was complete
//! change   = key length u32 | key | value length u32 (u32::MAX: deleted) | value
//! ```
//!
//! Integers are little-endian. The checksum covers `durable` and the payload. `durable` is the length of
//! this file that was known to be on disk when the frame was written: a broken frame is a torn tail unless
//! a later intact frame says that it had been durable, which means corruption.

use super::super::{Batch, Change, Entry, Revision};
use bytes::{Buf, Bytes};
use std::sync::Arc;

const MAGIC: &[u8; 4] = b"orF1";
pub(super) const HEADER: usize = 4 + 4 + 4 + 8;
const DELETED: u32 = u32::MAX;

/// Starts a frame in `out`; [`seal`] completes it.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.resize(HEADER, 0);
}

/// Fills in the header of a frame that [`begin`] started.
pub(super) fn seal(out: &mut [u8], durable: u64) {
    let (header, payload) = out.split_at_mut(HEADER);
    header[..4].copy_from_slice(MAGIC);
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[12..20].copy_from_slice(&durable.to_le_bytes());
    let crc = checksum(durable, payload);
    header[8..12].copy_from_slice(&crc.to_le_bytes());
}

pub(super) fn put_batch(out: &mut Vec<u8>, batch: &Batch) {
    out.extend_from_slice(&batch.revision.0.to_le_bytes());
    out.extend_from_slice(&(batch.changes.len() as u32).to_le_bytes());
    for change in &batch.changes {
        put_change(out, &change.key, change.value.as_deref());
    }
}

pub(super) fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(&entry.revision.0.to_le_bytes());
    put_change(out, &entry.key, Some(&entry.value));
}

fn put_change(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&value.map_or(DELETED, |v| v.len() as u32).to_le_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// The batches of a log frame.
pub(super) fn batches(mut payload: Bytes) -> Result<Vec<Batch>, &'static str> {
    let mut batches = Vec::new();
    while payload.has_remaining() {
        let revision = Revision(number(&mut payload)?);
        let count = length(&mut payload)?;
        let changes = (0..count).map(|_| change(&mut payload)).collect::<Result<_, _>>()?;
        batches.push(Batch { revision, changes });
    }
    Ok(batches)
}

/// The entries of a snapshot frame.
pub(super) fn entries(mut payload: Bytes) -> Result<Vec<Entry>, &'static str> {
    let mut entries = Vec::new();
    while payload.has_remaining() {
        let revision = Revision(number(&mut payload)?);
        let Change { key, value } = change(&mut payload)?;
        entries.push(Entry { key, revision, value: value.ok_or("a deleted entry in a snapshot")? });
    }
    Ok(entries)
}

fn change(payload: &mut Bytes) -> Result<Change, &'static str> {
    let key_length = length(payload)? as usize;
    let key = text(payload, key_length)?;
    let value = match length(payload)? {
        DELETED => None,
        n => Some(take(payload, n as usize)?),
    };
    Ok(Change { key, value })
}

fn text(payload: &mut Bytes, n: usize) -> Result<Arc<str>, &'static str> {
    let bytes = take(payload, n)?;
    std::str::from_utf8(&bytes).map(Arc::from).map_err(|_| "a key that is not UTF-8")
}

fn take(payload: &mut Bytes, n: usize) -> Result<Bytes, &'static str> {
    if payload.remaining() < n { Err("a length beyond the frame") } else { Ok(payload.split_to(n)) }
}

fn number(payload: &mut Bytes) -> Result<u64, &'static str> {
    payload.try_get_u64_le().map_err(|_| "a frame that ends in the middle of a record")
}

fn length(payload: &mut Bytes) -> Result<u32, &'static str> {
    payload.try_get_u32_le().map_err(|_| "a frame that ends in the middle of a record")
}

/// What a file holds.
pub(super) struct Scan {
    /// Payloads of the intact frames from the start.
    pub(super) payloads: Vec<Bytes>,
    /// Length of the intact part.
    pub(super) intact: u64,
    /// Whether bytes behind the intact part had been durable once: the file is corrupt.
    pub(super) corrupt: bool,
}

/// Reads the frames of a file. Never fails: the caller judges by `intact` and `corrupt`.
pub(super) fn scan(bytes: &Bytes) -> Scan {
    let mut payloads = Vec::new();
    let mut at = 0;
    while let Some((_, payload)) = frame(bytes, at) {
        at += HEADER + payload.len();
        payloads.push(payload);
    }
    let corrupt = (at + 1..bytes.len())
        .filter(|i| bytes[*i..].starts_with(MAGIC))
        .filter_map(|i| frame(bytes, i))
        .any(|(durable, _)| durable > at as u64);
    Scan { payloads, intact: at as u64, corrupt }
}

/// The intact frame at an offset: its `durable` and its payload.
fn frame(bytes: &Bytes, at: usize) -> Option<(u64, Bytes)> {
    let header = bytes.get(at..at + HEADER)?;
    let (magic, mut rest) = header.split_at(4);
    if magic != MAGIC {
        return None;
    }
    let length = rest.get_u32_le() as usize;
    let crc = rest.get_u32_le();
    let durable = rest.get_u64_le();
    let start = at + HEADER;
    let payload = bytes.get(start..start.checked_add(length)?)?;
    (checksum(durable, payload) == crc).then(|| (durable, bytes.slice(start..start + length)))
}

fn checksum(durable: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&durable.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}
