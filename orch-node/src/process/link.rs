//! The agent's end of a shim's socket.

use std::{fs::File, os::fd::AsRawFd, path::Path};
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

/// Connects through the directory's descriptor, because socket paths must be short.
async fn connect(dir: &Path) -> Option<UnixStream> {
    let dir = File::open(dir).ok()?;
    UnixStream::connect(format!("/proc/self/fd/{}/s", dir.as_raw_fd())).await.ok()
}
