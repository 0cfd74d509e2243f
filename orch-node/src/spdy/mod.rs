//! SPDY/3.1 over any byte stream, as Kubernetes' clients speak it (moby/spdystream): exec, attach and
//! port-forward make a stream for each thing that they carry.
//!
//! ```text
//! bytes ─► frames ─► Connection::next: a new Stream ─► Reader: pieces of data, bounded
//! bytes ◄─ frames ◄─ one queue, bounded  ◄──────────── Writer
//! ```
//!
//! Memory is bounded by [`Limits`] and the sizes of the queues, whatever the other side sends. A stream whose
//! reader is slow holds back the whole connection once its queue is full, as it does in spdystream: SPDY's
//! windows are not used by anybody here.

mod connection;
mod dictionary;
mod driver;
mod frame;
mod headers;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use connection::{Connection, serve};
#[cfg(test)]
pub(crate) use connection::{Role, connect};
pub(crate) use headers::Headers;
pub(crate) use stream::{Reader, Reset, Stream, Writer};

use std::time::Duration;

/// The most streams that are open at a time; more are refused.
const MAX_STREAMS: usize = 512;
/// The longest piece of data, in bytes, in both directions.
const PIECE: usize = 16 << 10;
/// How many pieces of a stream wait for its reader.
const WAITING: usize = 8;

/// How long nothing is sent before a ping is, as client-go has it.
const PING_PERIOD: Duration = Duration::from_secs(5);

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The other side does not speak the protocol.
    #[error("malformed SPDY: {0}")]
    Malformed(String),
    /// The bytes ended, or could not be sent.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
