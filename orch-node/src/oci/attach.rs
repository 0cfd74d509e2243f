//! Clients of a running container's own streams.

use super::{
    client::{Connection, InputEnd},
    exec::{resizer, started},
    protocol::{Reply, Request},
    state::{ContainerRecord, SandboxDir, failed},
    terminal::Terminal,
};
use nix::{fcntl::OFlag, unistd::pipe2};
use orch_runtime::node::container::{AttachRequest, ExecSession, RuntimeError};
use orch_store::ambient::Tasks;
use std::{
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::AsyncWrite,
    net::unix::pipe::{Receiver, Sender},
};

/// Attaches to a container that runs. The session lasts as long as the container, unless it is dropped.
pub(super) async fn run(
    dir: &SandboxDir,
    container: &ContainerRecord,
    request: AttachRequest,
    tasks: &Tasks,
) -> Result<ExecSession, RuntimeError> {
    let tty = container.config.tty;
    let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let theirs = if tty { vec![their_stdout] } else { vec![their_stdout, their_stderr] };
    let ask = Request::Attach { container: container.id.clone(), stdin: request.stdin };
    let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
    let mut connection = Connection::ask(dir, &ask, &fds).map_err(failed)?;
    drop(theirs);
    let input = started(&mut connection).await?.into_iter().next();
    let read = |fd: OwnedFd| Receiver::from_owned_fd(fd).map_err(failed);
    let terminal = match (tty, &input) {
        (true, Some(fd)) => Some(Terminal::new(fd.try_clone().map_err(failed)?).map_err(failed)?),
        _ => None,
    };
    let resize = terminal.clone().map(|terminal| resizer(terminal, tasks));
    let stdin = stdin(request, container, terminal, input)?;
    let end = connection.input().map_err(failed)?;
    let stdin = stdin.map(|to| Box::new(Input { to, _end: end }) as _);
    Ok(ExecSession {
        stdin,
        stdout: Box::new(read(stdout)?),
        stderr: if tty { None } else { Some(Box::new(read(stderr)?)) },
        resize,
        ends_with_stdin: tty || !container.config.stdin_once,
        exit: Box::pin(exit(connection)),
    })
}

type Writer = Box<dyn AsyncWrite + Send + Unpin>;

fn stdin(
    request: AttachRequest,
    container: &ContainerRecord,
    terminal: Option<Terminal>,
    input: Option<OwnedFd>,
) -> Result<Option<Writer>, RuntimeError> {
    match (request.stdin && container.config.stdin, terminal, input) {
        (true, Some(terminal), _) => Ok(Some(Box::new(terminal))),
        (true, None, Some(fd)) => Ok(Some(Box::new(Sender::from_owned_fd(fd).map_err(failed)?))),
        _ => Ok(None),
    }
}

async fn exit(mut connection: Connection) -> Result<i32, RuntimeError> {
    match connection.reply().await.map_err(failed)?.0 {
        Reply::Exited { code } => Ok(code),
        other => Err(failed(format!("unexpected answer of the shim: {other:?}"))),
    }
}

/// Standard input, whose end is told when it is dropped.
struct Input {
    to: Writer,
    _end: InputEnd,
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.to).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.to).poll_shutdown(cx)
    }
}
