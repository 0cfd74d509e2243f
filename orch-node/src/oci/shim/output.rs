//! What containers print, into logs in CRI format.

use super::taps::Tap;
use nix::errno::Errno;
use orch_store::ambient::Clock;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Longer lines are split, as containerd does.
const LONGEST_LINE: usize = 16 << 10;
/// How much is read at once; one container must not keep the others waiting.
const CHUNK: usize = 64 << 10;

/// One of a container's two streams, or its terminal.
pub(super) struct Stream {
    source: File,
    name: &'static str,
    partial: Vec<u8>,
}

impl Stream {
    /// `name` is `stdout` or `stderr`.
    pub(super) fn new(source: OwnedFd, name: &'static str) -> io::Result<Self> {
        let flags = nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(source.as_raw_fd(), nix::fcntl::FcntlArg::F_SETFL(flags))?;
        Ok(Self { source: File::from(source), name, partial: Vec::new() })
    }

    /// For `poll`.
    pub(super) fn source(&self) -> &File {
        &self.source
    }

    /// `stdout` or `stderr`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Copies some of what is there to the log and to who is attached; false at the end.
    pub(super) fn pump(&mut self, log: &mut Log, taps: &mut [Tap]) -> bool {
        let mut buffer = [0; CHUNK];
        match self.source.read(&mut buffer) {
            Ok(0) => self.end(log),
            Ok(n) => {
                let bytes = buffer.get(..n).unwrap_or_default();
                taps.iter_mut().for_each(|tap| tap.write(self.name, bytes));
                self.split(bytes, log);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            // A terminal whose other side is closed.
            Err(_) => self.end(log),
        }
    }

    /// Copies all that is there now.
    pub(super) fn drain(&mut self, log: &mut Log, taps: &mut [Tap]) {
        let ready = |file: &File| {
            use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
            use std::os::fd::AsFd;
            poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) != Err(Errno::EINTR)
                && poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
        };
        while ready(&self.source) {
            if !self.pump(log, taps) {
                return;
            }
        }
        self.end(log);
    }

    fn end(&mut self, log: &mut Log) -> bool {
        if !self.partial.is_empty() {
            log.write(self.name, "F", &std::mem::take(&mut self.partial));
        }
        false
    }

    fn split(&mut self, mut bytes: &[u8], log: &mut Log) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.partial.extend_from_slice(line);
            self.partial_lines(log);
            log.write(self.name, "F", &std::mem::take(&mut self.partial));
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.partial.extend_from_slice(bytes);
        self.partial_lines(log);
    }

    fn partial_lines(&mut self, log: &mut Log) {
        while self.partial.len() > LONGEST_LINE {
            let rest = self.partial.split_off(LONGEST_LINE);
            log.write(self.name, "P", &std::mem::replace(&mut self.partial, rest));
        }
    }
}

/// A container's log file. Trouble with it never stops the container: what cannot be written is lost.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    clock: Clock,
}

impl Log {
    /// Opens a log; an empty path is no log.
    pub(super) fn open(path: &Path) -> Self {
        let mut log = Self { path: path.to_owned(), file: None, clock: Clock::system() };
        if let Err(error) = log.reopen() {
            eprintln!("{}: {error}", path.display());
        }
        log
    }

    /// Opens the path again, after the file was renamed.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if self.path.as_os_str().is_empty() {
            return Ok(());
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        self.file = Some(File::options().create(true).append(true).open(&self.path)?);
        Ok(())
    }

    fn write(&mut self, stream: &str, tag: &str, text: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let mut line = format!("{:.9} {stream} {tag} ", self.clock.now()).into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        if let Err(error) = file.write_all(&line) {
            eprintln!("{}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(printed: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod/0.log");
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut log = Log::open(&path);
        let mut stream = Stream::new(read, "stdout").unwrap();
        let printed = printed.to_vec();
        let writer = std::thread::spawn(move || File::from(write).write_all(&printed).unwrap());
        while stream.pump(&mut log, &mut []) {
            std::thread::yield_now();
        }
        writer.join().unwrap();
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn each_line_is_full_and_the_last_needs_no_newline() {
        assert_eq!(logged(b"one\n\ntwo"), ["stdout F one", "stdout F ", "stdout F two"]);
    }

    #[test]
    fn long_lines_are_split_into_partial_ones() {
        let lines = logged(format!("{}\n", "x".repeat(2 * LONGEST_LINE + 5)).as_bytes());
        let tags: Vec<_> = lines.iter().map(|line| (line.get(7..8).unwrap().to_owned(), line.len() - 9)).collect();
        assert_eq!(tags, [("P".into(), LONGEST_LINE), ("P".into(), LONGEST_LINE), ("F".into(), 5)]);
    }

    #[test]
    fn times_have_nine_digits() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("log"));
        log.write("stderr", "F", b"x");
        let text = fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(text.split(' ').next().unwrap().len(), "2026-01-02T03:04:05.678901234Z".len());
    }
}
