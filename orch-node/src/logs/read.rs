//! Reading a log: tail, since, limits, and following it while it grows (`cri-client/pkg/logs/logs.go`).

use super::{line, rotate::numbered};
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, BufReader},
    sync::watch,
};

/// Which streams are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Both.
    #[default]
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only the last so many lines.
    pub tail: Option<usize>,
    /// Only what was written then or later.
    pub since: Option<Timestamp>,
    /// Each line begins with its time.
    pub timestamps: bool,
    /// At most so many bytes.
    pub limit_bytes: Option<usize>,
    /// Which streams.
    pub streams: Streams,
}

/// Copies a log. With `follow`, goes on until the receiver says that the container has ended and all is
/// read; the receiver must report something whenever the file may have grown.
pub async fn read(
    log: &Path,
    options: &LogOptions,
    mut follow: Option<watch::Receiver<bool>>,
    out: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut files = Vec::new();
    for number in (1..10).rev() {
        let file = numbered(log, number);
        if tokio::fs::try_exists(&file).await? {
            files.push(file);
        }
    }
    let skip = match options.tail {
        Some(tail) => Some(tail_position(&files, log, tail).await?),
        None => None,
    };
    let mut copy = Copy { options, out, left: options.limit_bytes };
    let (first, offset) = skip.unwrap_or((0, 0));
    for (index, file) in files.iter().enumerate().skip(first) {
        let mut reader = BufReader::new(tokio::fs::File::open(file).await?);
        if index == first {
            reader.seek(io::SeekFrom::Start(offset)).await?;
        }
        if !copy.rest(&mut reader, &mut Vec::new()).await? {
            return Ok(());
        }
    }
    let current = tokio::fs::File::open(log).await?;
    let mut reader = BufReader::new(current);
    if first == files.len() {
        reader.seek(io::SeekFrom::Start(offset)).await?;
    }
    let mut pending = Vec::new();
    loop {
        let ended = follow.as_mut().is_none_or(|f| *f.borrow_and_update());
        if !copy.rest(&mut reader, &mut pending).await? || ended {
            break;
        }
        copy.out.flush().await?;
        let Some(changes) = follow.as_mut() else { break };
        if changes.changed().await.is_err() {
            follow = None;
            continue;
        }
        if replaced(&mut reader, log).await? {
            if !copy.rest(&mut reader, &mut pending).await? {
                break;
            }
            reader = BufReader::new(tokio::fs::File::open(log).await?);
        }
    }
    copy.out.flush().await
}

/// The last lines of a log without times, at most so many bytes: for termination messages.
pub async fn last_lines(log: &Path, lines: usize, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let options = LogOptions { tail: Some(lines), ..LogOptions::default() };
    if read(log, &options, None, &mut out).await.is_err() {
        return Vec::new();
    }
    let from = out.len().saturating_sub(bytes);
    out.split_off(from)
}

struct Copy<'a, W> {
    options: &'a LogOptions,
    out: &'a mut W,
    left: Option<usize>,
}

impl<W: AsyncWrite + Unpin> Copy<'_, W> {
    /// Copies whole lines until the end of the file; whether more is wanted. An unfinished line waits in `pending`.
    async fn rest(&mut self, reader: &mut BufReader<tokio::fs::File>, pending: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            if reader.read_until(b'\n', pending).await? == 0 {
                return Ok(true);
            }
            if pending.last() != Some(&b'\n') {
                continue;
            }
            pending.pop();
            let more = self.line(pending).await?;
            pending.clear();
            if !more {
                return Ok(false);
            }
        }
    }

    async fn line(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(line) = line::parse(bytes) else { return Ok(true) };
        let wanted = match self.options.streams {
            Streams::All => true,
            Streams::Stdout => !line.stderr,
            Streams::Stderr => line.stderr,
        };
        if !wanted || self.options.since.is_some_and(|since| line.at < since) {
            return Ok(true);
        }
        let mut text = Vec::with_capacity(line.text.len() + 32);
        if self.options.timestamps {
            text.extend_from_slice(line.stamp.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(line.text);
        if !line.partial {
            text.push(b'\n');
        }
        if let Some(left) = &mut self.left {
            text.truncate(*left);
            *left -= text.len();
        }
        self.out.write_all(&text).await?;
        Ok(self.left != Some(0))
    }
}

/// The file (by index; the current one comes last) and the offset where the last `tail` lines begin.
async fn tail_position(older: &[PathBuf], log: &Path, tail: usize) -> io::Result<(usize, u64)> {
    let mut missing = tail;
    for (index, file) in
        older.iter().map(PathBuf::as_path).chain([log]).enumerate().collect::<Vec<_>>().into_iter().rev()
    {
        let (found, offset) = last_lines_from(file, missing).await?;
        if found >= missing || index == 0 {
            return Ok((index, offset));
        }
        missing -= found;
    }
    Ok((0, 0))
}

/// How many of the last `wanted` lines a file has and where the first of them begins. Reads backwards in blocks.
async fn last_lines_from(path: &Path, wanted: usize) -> io::Result<(usize, u64)> {
    const BLOCK: u64 = 64 << 10;
    let mut file = tokio::fs::File::open(path).await?;
    let mut end = file.metadata().await?.len();
    if wanted == 0 {
        return Ok((0, end));
    }
    let (mut found, mut last) = (0, true);
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(io::SeekFrom::Start(begin)).await?;
        let mut block = vec![0; usize::try_from(end - begin).unwrap_or(0)];
        file.read_exact(&mut block).await?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            // The newline that ends the file begins no line.
            if std::mem::take(&mut last) {
                continue;
            }
            found += 1;
            if found == wanted {
                return Ok((found, begin + at as u64 + 1));
            }
        }
        end = begin;
    }
    Ok((found + 1, 0))
}

/// Whether the log was rotated or truncated under its reader.
async fn replaced(reader: &mut BufReader<tokio::fs::File>, log: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = reader.get_ref().metadata().await?;
    match tokio::fs::metadata(log).await {
        Ok(now) => Ok(now.ino() != open.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
