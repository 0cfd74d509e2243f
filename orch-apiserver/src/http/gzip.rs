//! Compressed answers, for those that are large enough (`endpoints/handlers/responsewriters/writers.go`).

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};
use std::io::Write;

/// Smaller bodies are not worth the work: 128 KiB.
pub const WORTH_IT: usize = 128 << 10;

/// Packs a body piece by piece.
pub struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    /// An empty pack.
    pub fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::new(1)))
    }

    /// Adds a piece; what is ready to be sent comes back.
    pub fn push(&mut self, piece: &[u8]) -> Option<Bytes> {
        let _written = self.0.write_all(piece); // A vector takes everything.
        let ready = std::mem::take(self.0.get_mut());
        (!ready.is_empty()).then(|| ready.into())
    }

    /// The end of the pack.
    pub fn finish(self) -> Bytes {
        self.0.finish().unwrap_or_default().into()
    }

    /// A whole body at once.
    pub fn whole(body: &[u8]) -> Bytes {
        let mut pack = Self::new();
        let mut out = pack.push(body).map(Vec::from).unwrap_or_default();
        out.extend_from_slice(&pack.finish());
        out.into()
    }
}

impl Default for Gzip {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a client takes gzip.
pub fn accepted(headers: &HeaderMap) -> bool {
    super::media::header_text(headers, header::ACCEPT_ENCODING)
        .split(',')
        .any(|word| word.trim().split(';').next() == Some("gzip"))
}
