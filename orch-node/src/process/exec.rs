//! Commands beside a container's own.

use super::{records::failed, shim::Launch};
use nix::pty::{Winsize, openpty};
use orch_runtime::node::container::{ExecRequest, ExecSession, RuntimeError};
use orch_store::Tasks;
use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::ExitStatusExt,
    },
    path::Path,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
    process::{Child, Command},
    sync::mpsc,
};

/// Runs a command with the environment and directory of a container. Dropping the session kills it.
pub(super) fn exec(
    shim: &[String],
    dir: &Path,
    mut request: ExecRequest,
    tasks: &Tasks,
) -> Result<ExecSession, RuntimeError> {
    let path = dir.join("launch.json");
    let bytes = fs::read(&path).map_err(|e| failed(path.display(), e))?;
    let launch: Launch = serde_json::from_slice(&bytes).map_err(|e| failed(path.display(), e))?;
    let (program, prefix) = shim.split_first().ok_or_else(|| failed("no shim command", "empty"))?;
    request.command = super::command::exec(&launch, request.command, program);
    super::command::check_program(&request.command, &launch.env)?;
    let mut command = Command::new(program);
    command.args(prefix).args(["stage", "exec"]).env_clear().envs(launch.env.clone()).kill_on_drop(true);
    if request.tty {
        return with_terminal(command, &launch, &request, tasks);
    }
    command.arg("-").arg(&launch.cwd).args(&request.command).process_group(0);
    command.stdin(if request.stdin { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| failed("exec", e))?;
    let stdin = child.stdin.take().map(|p| Box::new(p) as Box<dyn AsyncWrite + Send + Unpin>);
    let stdout: Box<dyn AsyncRead + Send + Unpin> = match child.stdout.take() {
        Some(pipe) => Box::new(pipe),
        None => Box::new(tokio::io::empty()),
    };
    let stderr = child.stderr.take().map(|p| Box::new(p) as Box<dyn AsyncRead + Send + Unpin>);
    Ok(ExecSession { stdin, stdout, stderr, resize: None, ends_with_stdin: false, exit: Box::pin(ended(child)) })
}

fn with_terminal(
    mut command: Command,
    launch: &Launch,
    request: &ExecRequest,
    tasks: &Tasks,
) -> Result<ExecSession, RuntimeError> {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).map_err(|e| failed("openpty", e))?;
    let name = nix::unistd::ttyname(&pty.slave).map_err(|e| failed("ttyname", e))?;
    let copy = |fd: &OwnedFd| fd.try_clone().map(Stdio::from).map_err(|e| failed("pty", e));
    command.arg(name).arg(&launch.cwd).args(&request.command);
    command.stdin(copy(&pty.slave)?).stdout(copy(&pty.slave)?).stderr(copy(&pty.slave)?);
    let child = command.spawn().map_err(|e| failed("exec", e))?;
    drop(pty.slave);
    let end = || pty.master.try_clone().map_err(|e| failed("pty", e));
    let reader = pipe::Receiver::from_owned_fd_unchecked(nonblocking(end()?)?).map_err(|e| failed("pty", e))?;
    let writer = pipe::Sender::from_owned_fd_unchecked(nonblocking(end()?)?).map_err(|e| failed("pty", e))?;
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    let master = File::from(pty.master);
    tasks.spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            super::terminal::resize(master.as_fd(), columns, rows);
        }
    });
    Ok(ExecSession {
        stdin: request.stdin.then(|| Box::new(writer) as Box<dyn AsyncWrite + Send + Unpin>),
        stdout: Box::new(reader),
        stderr: None,
        resize: Some(resize),
        ends_with_stdin: false,
        exit: Box::pin(ended(child)),
    })
}

fn nonblocking(fd: OwnedFd) -> Result<OwnedFd, RuntimeError> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::os::fd::AsRawFd;
    fcntl(fd.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).map_err(|e| failed("pty", e))?;
    Ok(fd)
}

async fn ended(mut child: Child) -> Result<i32, RuntimeError> {
    let status: ExitStatus = child.wait().await.map_err(|e| failed("exec", e))?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}
