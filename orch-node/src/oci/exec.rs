//! Commands in running containers.

use super::{
    client::Connection,
    protocol::{Reply, Request},
    state::{SandboxDir, failed},
    terminal::Terminal,
};
use nix::{fcntl::OFlag, unistd::pipe2};
use orch_runtime::node::container::{ExecRequest, ExecSession, RuntimeError};
use orch_store::ambient::Tasks;
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};
use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::mpsc,
};

/// Runs a command. It is killed when `exit` of the session is dropped before it ended.
pub(super) async fn run(
    dir: &SandboxDir,
    container: &str,
    request: ExecRequest,
    tasks: &Tasks,
) -> Result<ExecSession, RuntimeError> {
    let ask = Request::Exec { container: container.to_owned(), command: request.command.clone(), tty: request.tty };
    let mounts = File::open("/proc/self/ns/mnt").map_err(failed)?;
    if request.tty {
        let connection = Connection::ask(dir, &ask, &[mounts.as_fd()]).map_err(failed)?;
        return with_terminal(connection, request.stdin, tasks).await;
    }
    let streams = Streams::new(request.stdin).map_err(failed)?;
    let [stdin, stdout, stderr] = &streams.theirs;
    let fds = [mounts.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let mut connection = Connection::ask(dir, &ask, &fds).map_err(failed)?;
    drop(streams.theirs);
    started(&mut connection).await?;
    Ok(ExecSession {
        stdin: streams.stdin.map(|stdin| Box::new(stdin) as _),
        stdout: Box::new(streams.stdout),
        stderr: Some(Box::new(streams.stderr)),
        resize: None,
        ends_with_stdin: false,
        exit: Box::pin(exit(connection)),
    })
}

async fn with_terminal(mut connection: Connection, stdin: bool, tasks: &Tasks) -> Result<ExecSession, RuntimeError> {
    let fds = started(&mut connection).await?;
    let fd = fds.into_iter().next().ok_or_else(|| failed("the shim sent no terminal"))?;
    let terminal = Terminal::new(fd).map_err(failed)?;
    let resize = resizer(terminal.clone(), tasks);
    Ok(ExecSession {
        stdin: stdin.then(|| Box::new(terminal.clone()) as _),
        stdout: Box::new(terminal),
        stderr: None,
        resize: Some(resize),
        ends_with_stdin: false,
        exit: Box::pin(exit(connection)),
    })
}

/// Takes sizes for a terminal.
pub(super) fn resizer(terminal: Terminal, tasks: &Tasks) -> mpsc::Sender<(u16, u16)> {
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    tasks.spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            if terminal.resize(columns, rows).is_err() {
                return;
            }
        }
    });
    resize
}

pub(super) async fn started(connection: &mut Connection) -> Result<Vec<OwnedFd>, RuntimeError> {
    match connection.reply().await.map_err(failed)? {
        (Reply::Started, fds) => Ok(fds),
        (Reply::Failed { message }, _) => Err(RuntimeError::Failed(message)),
        (other, _) => Err(failed(format!("unexpected answer of the shim: {other:?}"))),
    }
}

async fn exit(mut connection: Connection) -> Result<i32, RuntimeError> {
    match connection.reply().await.map_err(failed)?.0 {
        Reply::Exited { code } => Ok(code),
        other => Err(failed(format!("unexpected answer of the shim: {other:?}"))),
    }
}

/// Pipes: our ends and the command's.
struct Streams {
    stdin: Option<Sender>,
    stdout: Receiver,
    stderr: Receiver,
    theirs: [OwnedFd; 3],
}

impl Streams {
    fn new(stdin: bool) -> io::Result<Self> {
        let (their_stdin, our_stdin) = if stdin {
            let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
            (read, Some(Sender::from_owned_fd(write)?))
        } else {
            (OwnedFd::from(File::open("/dev/null")?), None)
        };
        let (stdout, their_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, their_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self {
            stdin: our_stdin,
            stdout: Receiver::from_owned_fd(stdout)?,
            stderr: Receiver::from_owned_fd(stderr)?,
            theirs: [their_stdin, their_stdout, their_stderr],
        })
    }
}
