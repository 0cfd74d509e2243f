//! In the shim: clients that are attached to the container. Its output goes to them as it comes; one that does not
//! keep up holds it back.

use nix::pty::{Winsize, openpty};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;

/// The container's own ends, and who is attached.
pub(super) struct Taps {
    clients: Mutex<Vec<(bool, UnixStream)>>,
    /// The container's standard input.
    stdin: Mutex<Option<File>>,
    /// Whether the first client's end of input is the container's.
    once: bool,
    terminal: Option<OwnedFd>,
}

impl Taps {
    /// `stdin` is where the container reads from, unless it has a terminal.
    pub(super) fn new(stdin: Option<OwnedFd>, once: bool, terminal: Option<OwnedFd>) -> io::Result<Self> {
        let typed = terminal.as_ref().map(OwnedFd::try_clone).transpose()?;
        let once = once && terminal.is_none();
        Ok(Self { clients: Mutex::default(), stdin: Mutex::new(stdin.or(typed).map(File::from)), once, terminal })
    }

    /// Passes on what the container printed.
    pub(super) fn print(&self, stderr: bool, bytes: &[u8]) {
        self.clients.lock().retain_mut(|(which, client)| *which != stderr || client.write_all(bytes).is_ok());
    }

    /// Joins a client to an output. A byte tells it that it has.
    pub(super) fn join(&self, stderr: bool, mut client: UnixStream) {
        let mut clients = self.clients.lock();
        if client.write_all(b"+").is_ok() {
            clients.push((stderr, client));
        }
    }

    /// Passes on what a client types, until it stops.
    pub(super) fn feed(&self, mut client: UnixStream) {
        if client.write_all(b"+").is_err() {
            return;
        }
        let mut buffer = [0; CHUNK];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let mut stdin = self.stdin.lock();
            let Some(pipe) = stdin.as_mut() else { break };
            if pipe.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
                break;
            }
        }
        if self.once {
            *self.stdin.lock() = None;
        }
    }

    /// Tells the terminal its size.
    pub(super) fn resize(&self, columns: u16, rows: u16) {
        if let Some(terminal) = &self.terminal {
            super::terminal::resize(terminal.as_fd(), columns, rows);
        }
    }
}

/// A terminal: the shim's end, the container's, and the path of the latter.
pub(super) fn terminal() -> io::Result<(OwnedFd, OwnedFd, std::path::PathBuf)> {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None)?;
    let name = nix::unistd::ttyname(&pty.slave)?;
    Ok((pty.master, pty.slave, name))
}
