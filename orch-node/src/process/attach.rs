//! Clients of a container's own streams, by its shim's socket: a connection for each stream.

use super::{link, records::failed, shim::Launch};
use orch_runtime::node::container::{AttachRequest, ExecSession, RuntimeError};
use orch_store::Tasks;
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// Attaches to a container that runs. The session lasts as long as the container, unless it is dropped.
pub(super) async fn attach(dir: PathBuf, request: AttachRequest, tasks: &Tasks) -> Result<ExecSession, RuntimeError> {
    let path = dir.join("launch.json");
    let bytes = tokio::fs::read(&path).await.map_err(|e| failed(path.display(), e))?;
    let launch: Launch = serde_json::from_slice(&bytes).map_err(|e| failed(path.display(), e))?;
    let stdout: Box<dyn AsyncRead + Send + Unpin> = Box::new(join(&dir, "stdout").await?);
    let stderr: Option<Box<dyn AsyncRead + Send + Unpin>> = match launch.tty {
        true => None,
        false => Some(Box::new(join(&dir, "stderr").await?)),
    };
    let stdin: Option<Box<dyn AsyncWrite + Send + Unpin>> = match request.stdin && launch.stdin {
        true => Some(Box::new(join(&dir, "stdin").await?)),
        false => None,
    };
    let resize = launch.tty.then(|| resizer(dir.clone(), tasks));
    let ends_with_stdin = launch.tty || !launch.stdin_once;
    let exit = async move {
        link::ended(&dir).await;
        Ok(0)
    };
    Ok(ExecSession { stdin, stdout, stderr, resize, ends_with_stdin, exit: Box::pin(exit) })
}

async fn join(dir: &Path, stream: &str) -> Result<tokio::net::UnixStream, RuntimeError> {
    let joined = link::open(dir, &format!("attach {stream}")).await;
    joined.map_err(|e| failed(format!("attaching to {stream}"), e))
}

fn resizer(dir: PathBuf, tasks: &Tasks) -> mpsc::Sender<(u16, u16)> {
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    tasks.spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            link::send(&dir, &format!("resize {columns} {rows}")).await;
        }
    });
    resize
}
