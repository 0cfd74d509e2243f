//! Frames of SPDY/3.1 as they are on the wire.
//!
//! ```text
//! control: |1| version 15 | type 16 | flags 8 | length 24 | …
//! data:    |0| stream 31            | flags 8 | length 24 | …
//! ```

use super::Error;
use bytes::Bytes;

/// Bytes in front of each frame.
pub(super) const HEAD: usize = 8;
/// No control frame is longer, in bytes: header blocks of streams are a few hundred.
pub(super) const MAX_CONTROL: usize = 64 << 10;

const VERSION: u16 = 3;
const FIN: u8 = 1;
const MASK: u32 = 0x7fff_ffff;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// Why a stream was reset.
pub(super) const PROTOCOL_ERROR: u32 = 1;
/// Why a stream was reset.
pub(super) const REFUSED_STREAM: u32 = 3;
/// Why a stream was reset.
pub(super) const CANCEL: u32 = 5;

/// The first eight bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Data { stream: u32, fin: bool, length: usize },
    Control { kind: u16, flags: u8, length: usize },
}

/// A control frame. Header blocks are still compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    SynStream {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    SynReply {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    Headers {
        stream: u32,
        fin: bool,
        block: Bytes,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    Ping(u32),
    GoAway {
        last: u32,
    },
    /// Nobody who speaks this protocol to Kubernetes sends any that has a meaning: streams are not
    /// limited by windows (moby/spdystream neither counts nor grants them).
    Ignored,
}

impl Head {
    pub(super) fn parse(bytes: [u8; HEAD]) -> Result<Self, Error> {
        let [a, b, c, d, flags, x, y, z] = bytes;
        let length = usize::try_from(u32::from_be_bytes([0, x, y, z])).unwrap_or(usize::MAX);
        let word = u32::from_be_bytes([a, b, c, d]);
        if word & !MASK == 0 {
            return Ok(Self::Data { stream: word, fin: flags & FIN != 0, length });
        }
        let version = u16::from_be_bytes([a & 0x7f, b]);
        if version != VERSION {
            return Err(Error::Malformed(format!("version {version}")));
        }
        if length > MAX_CONTROL {
            return Err(Error::Malformed(format!("a control frame of {length} bytes")));
        }
        Ok(Self::Control { kind: u16::from_be_bytes([c, d]), flags, length })
    }
}

impl Control {
    /// Reads what follows the head of a control frame.
    pub(super) fn parse(kind: u16, flags: u8, body: &Bytes) -> Result<Self, Error> {
        let fin = flags & FIN != 0;
        let word = |at: usize| -> Result<u32, Error> {
            let bytes = body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            let bytes = bytes.ok_or_else(|| Error::Malformed(format!("a frame of type {kind} is too short")))?;
            Ok(u32::from_be_bytes(bytes))
        };
        let rest = |at: usize| match body.len() >= at {
            true => Ok(body.slice(at..)),
            false => Err(Error::Malformed(format!("a frame of type {kind} is too short"))),
        };
        Ok(match kind {
            // Behind the stream's number: the one that it belongs to, and its priority.
            SYN_STREAM => Self::SynStream { stream: word(0)? & MASK, fin, block: rest(10)? },
            SYN_REPLY => Self::SynReply { stream: word(0)? & MASK, fin, block: rest(4)? },
            HEADERS => Self::Headers { stream: word(0)? & MASK, fin, block: rest(4)? },
            RST_STREAM => Self::Reset { stream: word(0)? & MASK, status: word(4)? },
            PING => Self::Ping(word(0)?),
            GOAWAY => Self::GoAway { last: word(0)? & MASK },
            _ => Self::Ignored,
        })
    }

    /// The whole frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |fin: &bool| if *fin { FIN } else { 0 };
        match self {
            Self::SynStream { stream, fin, block } => control(SYN_STREAM, flag(fin), &[*stream, 0], &[0, 0], block),
            Self::SynReply { stream, fin, block } => control(SYN_REPLY, flag(fin), &[*stream], &[], block),
            Self::Headers { stream, fin, block } => control(HEADERS, flag(fin), &[*stream], &[], block),
            Self::Reset { stream, status } => control(RST_STREAM, 0, &[*stream, *status], &[], &[]),
            Self::Ping(id) => control(PING, 0, &[*id], &[], &[]),
            Self::GoAway { last } => control(GOAWAY, 0, &[*last, 0], &[], &[]),
            Self::Ignored => control(WINDOW_UPDATE, 0, &[0, 0], &[], &[]),
        }
    }
}

/// The head of a data frame. `length` must fit 24 bits.
pub(super) fn data(stream: u32, fin: bool, length: usize) -> [u8; HEAD] {
    head(stream & MASK, if fin { FIN } else { 0 }, length)
}

fn control(kind: u16, flags: u8, words: &[u32], extra: &[u8], block: &[u8]) -> Vec<u8> {
    let length = words.len() * 4 + extra.len() + block.len();
    let mut out = Vec::with_capacity(HEAD + length);
    out.extend_from_slice(&head(!MASK | u32::from(VERSION) << 16 | u32::from(kind), flags, length));
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    out.extend_from_slice(extra);
    out.extend_from_slice(block);
    out
}

fn head(word: u32, flags: u8, length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = word.to_be_bytes();
    let [_, x, y, z] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c, d, flags, x, y, z]
}
