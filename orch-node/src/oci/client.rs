//! The agent's end of the connection to a shim.

use super::{
    fds,
    protocol::{Reply, Request, encode},
    state::SandboxDir,
};
use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
};
use tokio::{io::Interest, net::UnixStream};

/// A connection that carries one request.
pub(super) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Connection {
    /// Connects and asks. Fails when the shim is gone.
    pub(super) fn ask(dir: &SandboxDir, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<Self> {
        // A socket's path must be short, so it is reached through the descriptor of its directory.
        let parent = File::open(&dir.0)?;
        let path = format!("/proc/self/fd/{}/{}", parent.as_raw_fd(), SandboxDir::socket_name());
        let stream = StdStream::connect(path)?;
        let line = encode(request);
        let mut sent = fds::send(stream.as_fd(), &line, fds)?;
        while let Some(rest) = line.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += fds::send(stream.as_fd(), rest, &[])?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, buffer: Vec::new(), fds: Vec::new() })
    }

    /// The next answer, with what came beside it. An end is an error.
    pub(super) async fn reply(&mut self) -> io::Result<(Reply, Vec<OwnedFd>)> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok((serde_json::from_slice(&line)?, std::mem::take(&mut self.fds)));
            }
            let mut chunk = [0; 4096];
            let socket = &self.stream;
            let (n, fds) =
                socket.async_io(Interest::READABLE, || Ok(fds::receive(socket.as_fd(), &mut chunk)?)).await?;
            if n == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the shim ended"));
            }
            self.fds.extend(fds);
            self.buffer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        }
    }

    /// What says, when it is dropped, that the input of an attached client has ended.
    pub(super) fn input(&self) -> io::Result<InputEnd> {
        self.stream.as_fd().try_clone_to_owned().map(InputEnd)
    }

    /// The answer to a request that is either done or failed.
    pub(super) async fn done(mut self) -> io::Result<()> {
        match self.reply().await?.0 {
            Reply::Failed { message } => Err(io::Error::other(message)),
            _ => Ok(()),
        }
    }
}

/// Tells the shim on drop that there is no more input, whoever reads the connection meanwhile.
pub(super) struct InputEnd(OwnedFd);

impl Drop for InputEnd {
    fn drop(&mut self) {
        // A byte always fits: nothing else is sent after the request. A shim that is gone needs no word.
        let _ = fds::send(self.0.as_fd(), b"\n", &[]);
    }
}
