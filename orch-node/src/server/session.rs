//! `/exec` and `/attach`: a command's streams over channels.

use super::{
    Body, Refusal,
    channels::{ERROR, Incoming, RESIZE, Receiver, STDERR, STDIN, STDOUT, Sender, upgrade},
    log_stream::watch_growth,
    query::Query,
};
use crate::{
    agent::Agent,
    logs::{self, LogOptions, Streams},
};
use http::{Request, Response, StatusCode};
use orch_runtime::node::container::{Container, ContainerState, ExecRequest, ExecSession};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

#[derive(Clone, Copy)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

pub(super) async fn serve<B: Send + 'static>(
    agent: &Agent,
    request: Request<B>,
    query: &Query,
    container: Container,
    attach: bool,
) -> Result<Response<Body>, Refusal> {
    let tty = query.flag(&["tty"]);
    let wanted = Wanted {
        stdin: query.flag(&["input", "stdin"]),
        stdout: query.flag(&["output", "stdout"]),
        stderr: query.flag(&["error", "stderr"]) && !tty,
    };
    if !(wanted.stdin || wanted.stdout || wanted.stderr) {
        return Err(Refusal::bad("you must specify at least 1 of stdin, stdout, stderr"));
    }
    let command: Vec<String> = query.all("command").map(str::to_owned).collect();
    if command.is_empty() && !attach {
        return Err(Refusal::bad("you must specify a command"));
    }
    let (response, socket) = upgrade(request, &PROTOCOLS)?;
    let session = match attach {
        true => attached(agent, &container, wanted)?,
        false => {
            let exec = ExecRequest { command, stdin: wanted.stdin, tty };
            let runtime = &agent.node().runtime;
            runtime
                .exec(&container.id, exec)
                .await
                .map_err(|e| Refusal(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?
        }
    };
    agent.node().ambient.tasks.spawn(async move {
        if let Some((sender, receiver)) = socket.await {
            run(session, wanted, sender, receiver).await;
        }
    });
    Ok(response)
}

/// The output of a running container, from its log. Input needs a process of one's own: see exec.
fn attached(agent: &Agent, container: &Container, wanted: Wanted) -> Result<ExecSession, Refusal> {
    if wanted.stdin {
        return Err(Refusal::bad("attaching standard input is not supported; use exec"));
    }
    let pod = agent
        .pods()
        .into_iter()
        .find(|p| p.view().sandboxes.iter().flat_map(|s| &s.containers).any(|c| c.id == container.id));
    let pod = pod.ok_or_else(|| Refusal::not_found("the container is gone"))?;
    let open = |streams: Streams| {
        let growth = watch_growth(agent, pod.clone(), container.clone()).map_err(|e| Refusal::bad(e.to_string()))?;
        let (reader, mut writer) = tokio::io::duplex(64 << 10);
        let (log, options) =
            (container.log_path.clone(), LogOptions { streams, tail: Some(0), ..LogOptions::default() });
        agent
            .node()
            .ambient
            .tasks
            .spawn(async move { drop(logs::read(&log, &options, Some(growth), &mut writer).await) });
        Ok::<_, Refusal>(Box::new(reader) as Box<dyn AsyncRead + Send + Unpin>)
    };
    let (stdout, stderr) = (open(Streams::Stdout)?, open(Streams::Stderr)?);
    let (mut changes, id) = (pod.changes(), container.id.clone());
    let exit = async move {
        loop {
            let view = pod.view();
            let found = view.sandboxes.iter().flat_map(|s| &s.containers).find(|c| c.id == id);
            match found.map(|c| &c.state) {
                Some(ContainerState::Exited { exit_code, .. }) => return Ok(*exit_code),
                None => return Ok(0),
                _ if view.over => return Ok(0),
                _ => {}
            }
            if changes.changed().await.is_err() {
                return Ok(0);
            }
        }
    };
    Ok(ExecSession { stdin: None, stdout, stderr: Some(stderr), resize: None, exit: Box::pin(exit) })
}

async fn run(session: ExecSession, wanted: Wanted, sender: Sender, mut receiver: Receiver) {
    // Tells the client that the session has begun.
    let first = if wanted.stdout { STDOUT } else { ERROR };
    if sender.send(first, &[]).await.is_err() {
        return;
    }
    let ExecSession { mut stdin, stdout, stderr, resize, exit } = session;
    let input = async {
        while let Some(message) = receiver.next().await {
            match message {
                Incoming::Data(STDIN, data) => {
                    let Some(pipe) = &mut stdin else { continue };
                    if pipe.write_all(&data).await.is_err() || pipe.flush().await.is_err() {
                        stdin = None;
                    }
                }
                Incoming::Closed(STDIN) => stdin = None,
                Incoming::Data(RESIZE, data) => {
                    if let (Some(resize), Ok(size)) = (&resize, serde_json::from_slice::<Size>(&data)) {
                        let _ = resize.send((size.width, size.height)).await;
                    }
                }
                _ => {}
            }
        }
    };
    let output = async {
        let copy_out = copy(stdout, STDOUT, wanted.stdout, &sender);
        let copy_err = async {
            if let Some(stderr) = stderr {
                copy(stderr, STDERR, wanted.stderr, &sender).await;
            }
        };
        let (_, _, code) = tokio::join!(copy_out, copy_err, exit);
        let status = match code {
            Ok(code) => ended(code),
            Err(error) => json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: {error}")}),
        };
        let _ = sender.send(ERROR, status.to_string().as_bytes()).await;
        sender.close().await;
    };
    // The command ends with the connection: dropping its streams is what ends it.
    tokio::select! {
        () = input => {}
        () = output => {}
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

async fn copy(mut from: Box<dyn AsyncRead + Send + Unpin>, channel: u8, wanted: bool, sender: &Sender) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(count) = from.read(&mut buffer).await {
        let Some(data) = buffer.get(..count).filter(|d| !d.is_empty()) else { return };
        if wanted && sender.send(channel, data).await.is_err() {
            return;
        }
    }
}

/// The status that ends a session (`remotecommand/exec.go`).
fn ended(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}
