//! The agent's end of a shim's socket.

use std::{fs::File, io, os::fd::AsRawFd, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

/// Waits until the shim of a container is gone. Its last act is to have written how the container ended.
pub(super) async fn ended(dir: &Path) {
    let Some(mut stream) = connect(dir).await else { return };
    if stream.write_all(b"wait\n").await.is_ok() {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
}

/// Sends a command and waits until it has been carried out; a shim that is gone needs none.
pub(super) async fn send(dir: &Path, command: &str) {
    let Some(mut stream) = connect(dir).await else { return };
    if stream.write_all(format!("{command}\n").as_bytes()).await.is_ok() {
        drop(stream.read_to_end(&mut Vec::new()).await);
    }
}

/// Asks for a connection that carries a stream; returns when the shim has joined it.
pub(super) async fn open(dir: &Path, command: &str) -> io::Result<UnixStream> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "the container is not running");
    let mut stream = connect(dir).await.ok_or_else(gone)?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    stream.read_u8().await.map_err(|_| gone())?;
    Ok(stream)
}

/// Connects through the directory's descriptor, because socket paths must be short.
async fn connect(dir: &Path) -> Option<UnixStream> {
    let dir = File::open(dir).ok()?;
    UnixStream::connect(format!("/proc/self/fd/{}/s", dir.as_raw_fd())).await.ok()
}
