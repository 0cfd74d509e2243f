//! Clients that are attached to a container: its output goes to them as it comes. One that does not keep up holds
//! the container's output back, as it does with other runtimes, and nothing grows.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsRawFd, OwnedFd},
};

/// A client.
pub(super) struct Tap {
    /// The connection that it belongs to.
    pub(super) client: u64,
    /// Whether it has the container's standard input too.
    pub(super) stdin: bool,
    outputs: Vec<Output>,
}

/// A pipe to the agent.
struct Output {
    name: &'static str,
    pipe: File,
    /// What the pipe had no room for: no more than was read at once.
    unsent: Vec<u8>,
}

impl Tap {
    /// Pipes for standard output and standard error, in this order.
    pub(super) fn new(client: u64, stdin: bool, pipes: Vec<OwnedFd>) -> io::Result<Self> {
        let named = ["stdout", "stderr"].into_iter().zip(pipes);
        let outputs = named.map(|(name, pipe)| {
            fcntl(pipe.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            Ok(Output { name, pipe: File::from(pipe), unsent: Vec::new() })
        });
        Ok(Self { client, stdin, outputs: outputs.collect::<io::Result<_>>()? })
    }

    /// Sends what a container printed.
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) {
        for output in self.outputs.iter_mut().filter(|output| output.name == name) {
            output.unsent.extend_from_slice(bytes);
        }
        self.flush();
    }

    /// Sends what the pipes have room for. A pipe that nobody reads is forgotten.
    pub(super) fn flush(&mut self) {
        self.outputs.retain_mut(|output| output.flush().is_ok());
    }

    /// Whether a stream is to wait for this client.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.outputs.iter().any(|output| output.name == name && !output.unsent.is_empty())
    }

    /// The pipes that have not taken all yet.
    pub(super) fn full(&self) -> impl Iterator<Item = &File> {
        self.outputs.iter().filter(|output| !output.unsent.is_empty()).map(|output| &output.pipe)
    }
}

impl Output {
    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.pipe.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
