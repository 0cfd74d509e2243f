//! `/exec` and `/attach`: a command's streams, and the status that ends them
//! (`cri-streaming/pkg/streaming/remotecommand/{exec,attach}.go`).

use super::{
    Body, Refusal,
    query::Query,
    streams::{self, Inlet, Outlet, Streams, Wanted},
};
use crate::agent::Agent;
use bytes::BytesMut;
use futures::FutureExt;
use http::{Request, Response};
use orch_runtime::node::container::{AttachRequest, Container, ExecRequest, ExecSession, RuntimeError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

/// How much is read at once, in bytes.
const CHUNK: usize = 32 << 10;
/// More than this is no terminal's size, in bytes.
const MAX_SIZE: usize = 1 << 10;

/// What a session is about.
enum Work {
    Exec(ExecRequest),
    Attach(AttachRequest),
}

pub(super) fn serve<B: Send + 'static>(
    agent: &Agent,
    request: Request<B>,
    query: &Query,
    container: Container,
    attach: bool,
) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(query)?;
    let command: Vec<String> = query.all("command").map(str::to_owned).collect();
    let work = match attach {
        true => Work::Attach(AttachRequest { stdin: wanted.stdin }),
        false if command.is_empty() => return Err(Refusal::bad("you must specify a command")),
        false => Work::Exec(ExecRequest { command, stdin: wanted.stdin, tty: wanted.tty }),
    };
    let tasks = &agent.node().ambient.tasks;
    let (response, streams) = streams::open(request, wanted, tasks)?;
    let runtime = agent.node().runtime.clone();
    tasks.spawn(async move {
        let Some(streams) = streams.await else { return };
        match work {
            Work::Exec(exec) => {
                let words = exec.command.join(" ");
                let ended = run(runtime.exec(&container.id, exec).await, streams).await;
                finish(ended, |code| exited(&words, code), "error executing command in container").await;
            }
            // How the container ended is told by the pod's status.
            Work::Attach(attach) => {
                let ended = run(runtime.attach(&container.id, attach).await, streams).await;
                finish(ended, |_| success(), "error attaching to container").await;
            }
        }
    });
    Ok(response)
}

/// Which streams a request asks for: kubelet and the API server have different words.
pub(super) fn wanted(query: &Query) -> Result<Wanted, Refusal> {
    let tty = query.flag(&["tty"]);
    let wanted = Wanted {
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        stderr: query.flag(&["error", "stderr"]) && !tty,
        tty,
    };
    match wanted.stdin || wanted.stdout || wanted.stderr {
        true => Ok(wanted),
        false => Err(Refusal::bad("you must specify at least 1 of stdin, stdout, stderr")),
    }
}

/// Carries bytes until the session is over; `None` when the client left. What it left behind ends with the
/// session: dropping the streams of a command ends it.
async fn run(
    session: Result<ExecSession, RuntimeError>,
    mut streams: Streams,
) -> Option<(Streams, Result<i32, RuntimeError>)> {
    let ExecSession { stdin, stdout, stderr, resize, ends_with_stdin, exit } = match session {
        Ok(session) => session,
        Err(error) => return Some((streams, Err(error))),
    };
    let stdin = feed(streams.stdin.take(), stdin);
    let input = async {
        let ended = stdin.await;
        if !(ended && ends_with_stdin) {
            futures::future::pending::<()>().await;
        }
    };
    let sizes = sizes(streams.resize.take(), resize).then(|()| futures::future::pending::<()>());
    let copy_err = async {
        if let Some(stderr) = stderr {
            copy(stderr, streams.stderr.as_mut()).await;
        }
    };
    let output = async { tokio::join!(copy(stdout, streams.stdout.as_mut()), copy_err, exit).2 };
    let code = tokio::select! {
        code = output => Some(code),
        () = &mut streams.gone => None,
        () = input => Some(Ok(0)),
        () = sizes => None,
    };
    code.map(|code| (streams, code))
}

async fn finish(ended: Option<(Streams, Result<i32, RuntimeError>)>, status: impl FnOnce(i32) -> Value, trouble: &str) {
    let Some((streams, code)) = ended else { return };
    let status = match code {
        Ok(code) => status(code),
        Err(error) => {
            let words = format!("{trouble}: {error}");
            json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: {words}"), "details": {"causes": [{"message": words}]},
            })
        }
    };
    streams.end(&status).await;
}

/// Passes the client's input on, and drops what takes it at its end; whether the client ended it.
async fn feed(from: Option<Inlet>, to: Option<Box<dyn AsyncWrite + Send + Unpin>>) -> bool {
    let Some(mut from) = from else { return false };
    let mut to = to;
    while let Some(Ok(data)) = from.next().await {
        let Some(pipe) = &mut to else { continue };
        if pipe.write_all(&data).await.is_err() || pipe.flush().await.is_err() {
            to = None;
        }
    }
    to.is_some()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Passes terminal sizes on: JSON objects, one after the other.
async fn sizes(from: Option<Inlet>, to: Option<mpsc::Sender<(u16, u16)>>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    let mut unread = BytesMut::new();
    while let Some(Ok(data)) = from.next().await {
        unread.extend_from_slice(&data);
        let mut values = serde_json::Deserializer::from_slice(&unread).into_iter::<Size>();
        let mut read = 0;
        let mut last = None;
        while let Some(Ok(size)) = values.next() {
            (read, last) = (values.byte_offset(), Some(size));
        }
        drop(unread.split_to(read.min(unread.len())));
        if let Some(Size { width, height }) = last
            && to.send((width, height)).await.is_err()
        {
            return;
        }
        if unread.len() > MAX_SIZE {
            return;
        }
    }
}

/// Copies output to the client, or to nobody: the command shall not wait for a reader.
async fn copy(mut from: Box<dyn AsyncRead + Send + Unpin>, mut to: Option<&mut Outlet>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let data = buffer.split().freeze();
        if let Some(outlet) = &mut to
            && outlet.send(data).await.is_err()
        {
            return;
        }
    }
    if let Some(outlet) = to {
        outlet.finish().await;
    }
}

fn success() -> Value {
    json!({"metadata": {}, "status": "Success"})
}

/// The status that ends a command's session.
fn exited(command: &str, code: i32) -> Value {
    if code == 0 {
        return success();
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!(
            "command terminated with non-zero exit code: error executing command [{command}], exit code {code}"
        ),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}
