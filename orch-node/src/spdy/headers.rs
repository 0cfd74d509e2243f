//! Header blocks: one zlib stream per direction for the whole connection, so that a block can only be read
//! by whoever has read all before it.

use super::{Error, dictionary::dictionary};
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The most that a block may unfold to, in bytes.
const MAX_BLOCK: usize = 64 << 10;
/// The most headers of a stream.
const MAX_HEADERS: usize = 64;

/// Headers of a stream; names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    /// These headers.
    #[cfg(test)]
    pub(crate) fn new(headers: &[(&str, &str)]) -> Self {
        Self(headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect())
    }

    /// The value of a header, whatever the case of its name; `None` when it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Writes blocks.
pub(super) struct Deflater(Compress);

impl Deflater {
    pub(super) fn new() -> Result<Self, Error> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(&dictionary()).map_err(|error| Error::Malformed(error.to_string()))?;
        Ok(Self(compress))
    }

    pub(super) fn block(&mut self, headers: &Headers) -> Result<Bytes, Error> {
        let mut plain = length(headers.0.len()).to_vec();
        for (name, value) in &headers.0 {
            for text in [name, value] {
                plain.extend_from_slice(&length(text.len()));
                plain.extend_from_slice(text.as_bytes());
            }
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let mut rest = plain.as_slice();
        loop {
            let before = self.0.total_in();
            let status = self.0.compress_vec(rest, &mut out, FlushCompress::Sync);
            status.map_err(|error| Error::Malformed(error.to_string()))?;
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            // Room that is left means that everything has come out.
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out.into());
            }
            out.reserve(256);
        }
    }
}

/// Reads blocks.
pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn headers(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let plain = self.inflate(block)?;
        let mut reader = Reader(&plain);
        let count = reader.number()?;
        if count > MAX_HEADERS {
            return Err(Error::Malformed(format!("{count} headers")));
        }
        let mut headers = Vec::new();
        for _ in 0..count {
            let (name, value) = (reader.text()?.to_ascii_lowercase(), reader.text()?);
            headers.push((name, value));
        }
        Ok(Headers(headers))
    }

    fn inflate(&mut self, mut rest: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(1024);
        loop {
            let (before, length) = (self.0.total_in(), out.len());
            let result = self.0.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            match result {
                Err(error) if error.needs_dictionary().is_some() => {
                    let set = self.0.set_dictionary(&dictionary());
                    set.map_err(|_| Error::Malformed("another compression dictionary".into()))?;
                    continue;
                }
                Err(error) => return Err(Error::Malformed(error.to_string())),
                Ok(Status::StreamEnd) => return Err(Error::Malformed("the compression ended".into())),
                Ok(_) => {}
            }
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            if taken == 0 && out.len() == length && out.len() < out.capacity() {
                return Err(Error::Malformed("a header block cannot be read".into()));
            }
            if out.len() > MAX_BLOCK {
                return Err(Error::Malformed("a header block is too long".into()));
            }
            out.reserve(1024);
        }
    }
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Result<usize, Error> {
        let (number, rest) = self.0.split_first_chunk::<4>().ok_or_else(short)?;
        self.0 = rest;
        usize::try_from(u32::from_be_bytes(*number)).map_err(|_| short())
    }

    fn text(&mut self) -> Result<String, Error> {
        let length = self.number()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn short() -> Error {
    Error::Malformed("a header block is too short".into())
}
