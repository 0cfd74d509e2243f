//! The agent's side of a terminal.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd};

/// A terminal's controlling side; clones share it.
#[derive(Clone)]
pub(super) struct Terminal(Arc<AsyncFd<File>>);

impl Terminal {
    /// Must be called inside a tokio runtime.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        nix::fcntl::fcntl(fd.as_raw_fd(), nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        #[allow(unsafe_code)]
        // SAFETY: the file is owned by what is registered and nothing takes it out or closes it before.
        let registered = unsafe { AsyncFd::register(File::from(fd)) }?;
        Ok(Self(Arc::new(registered)))
    }

    /// Tells the terminal its size.
    pub(super) fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(self.0.get_ref(), size)?)
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let mut chunk = [0; 4096];
            let len = chunk.len().min(buffer.remaining());
            match guard.try_io(|fd| fd.get_ref().read(chunk.get_mut(..len).unwrap_or_default())) {
                Ok(Ok(n)) => {
                    buffer.put_slice(chunk.get(..n).unwrap_or_default());
                    return Poll::Ready(Ok(()));
                }
                // The other side is closed: the end of what there is to read.
                Ok(Err(error)) if error.raw_os_error() == Some(nix::libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| fd.get_ref().write(bytes)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A terminal has no half-closed state: the end of input is the character ^D, for the client to send.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
