//! The streams of an exec or attach session, whichever protocol carries them
//! (`cri-streaming/pkg/streaming/remotecommand/{httpstream,websocket}.go`).

use super::{
    Body, Refusal,
    channels::{self, Codec},
    upgrade,
};
use crate::spdy::{self, Reset};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use orch_store::Tasks;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::mpsc;

/// Clients have this long to open the streams that they said they want.
const CREATION: Duration = Duration::from_secs(30);

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

const WEBSOCKET: [&str; 6] = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
];
const SPDY: [&str; 4] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

/// Which streams a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

/// A session's streams.
pub(super) struct Streams {
    pub(super) stdin: Option<Inlet>,
    pub(super) resize: Option<Inlet>,
    pub(super) stdout: Option<Outlet>,
    pub(super) stderr: Option<Outlet>,
    /// Resolves when the client is gone.
    pub(super) gone: BoxFuture<'static, ()>,
    error: Outlet,
    /// Since `v4` the status is JSON; before, failures alone are told, in words.
    json: bool,
    closer: Closer,
}

/// What comes from the client.
pub(super) enum Inlet {
    Channel(mpsc::Receiver<Bytes>),
    Spdy(spdy::Reader),
}

/// What goes to the client.
pub(super) enum Outlet {
    Channel(channels::Sender, u8),
    Spdy(spdy::Writer),
}

enum Closer {
    Channels(channels::Sender),
    Spdy(mpsc::Sender<()>),
}

impl Inlet {
    /// The next bytes; `None` at the end, `Err` when the client gave the stream up.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Reset>> {
        match self {
            Self::Channel(receiver) => receiver.recv().await.map(Ok),
            Self::Spdy(reader) => reader.next().await,
        }
    }
}

impl Outlet {
    /// Sends bytes; `Err` when nobody wants them any more.
    pub(super) async fn send(&mut self, data: Bytes) -> Result<(), ()> {
        match self {
            Self::Channel(sender, channel) => sender.send(*channel, &data).await,
            Self::Spdy(writer) => writer.send(data).await.map_err(drop),
        }
    }

    /// Says that no more will come, where the protocol can.
    pub(super) async fn finish(&mut self) {
        if let Self::Spdy(writer) = self {
            let _ = writer.finish().await;
        }
    }
}

impl Streams {
    /// Tells how the session ended, and ends the connection.
    pub(super) async fn end(mut self, status: &Value) {
        let words = match (self.json, status.get("status").and_then(Value::as_str)) {
            (true, _) => status.to_string(),
            (false, Some("Success")) => String::new(),
            (false, _) => status.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        if !words.is_empty() {
            let _ = self.error.send(words.into()).await;
        }
        for outlet in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            outlet.finish().await;
        }
        self.error.finish().await;
        match self.closer {
            Closer::Channels(sender) => sender.close().await,
            Closer::Spdy(close) => {
                let _ = close.send(()).await;
                self.gone.await;
            }
        }
    }
}

/// The answer to a request, and what becomes the session's streams once it is sent. `None` when the client
/// went away or did not open its streams in time.
pub(super) fn open<B: Send + 'static>(
    request: Request<B>,
    wanted: Wanted,
    tasks: &Tasks,
) -> Result<(Response<Body>, BoxFuture<'static, Option<Streams>>), Refusal> {
    let tasks = tasks.clone();
    if upgrade::wants_websocket(&request) {
        let (protocol, response, socket) = upgrade::websocket(request, &WEBSOCKET)?;
        return Ok((response, async move { over_websocket(protocol, socket.await?, wanted, &tasks).await }.boxed()));
    }
    let (protocol, response, io) = upgrade::spdy(request, &SPDY)?;
    let streams = async move {
        let opened = over_spdy(protocol, io.await?, wanted, &tasks);
        tokio::time::timeout(CREATION, opened).await.ok().flatten()
    };
    Ok((response, streams.boxed()))
}

async fn over_websocket(protocol: &str, socket: upgrade::Socket, wanted: Wanted, tasks: &Tasks) -> Option<Streams> {
    let (sender, mut receiver) = channels::split(socket, Codec::of(protocol));
    let stdin = wanted.stdin.then(|| Inlet::Channel(receiver.inlet(STDIN)));
    let resize = Some(Inlet::Channel(receiver.inlet(RESIZE)));
    let outlet = |channel| Outlet::Channel(sender.clone(), channel);
    let alive = sender.clone();
    // Tells the client that the session has begun.
    let first = match wanted {
        Wanted { stdout: true, .. } => STDOUT,
        Wanted { stderr: true, .. } => STDERR,
        _ => ERROR,
    };
    sender.send(first, &[]).await.ok()?;
    Some(Streams {
        stdin,
        resize,
        stdout: wanted.stdout.then(|| outlet(STDOUT)),
        stderr: wanted.stderr.then(|| outlet(STDERR)),
        gone: watched(tasks, async move {
            tokio::select! {
                () = receiver.run() => {}
                () = alive.keep_alive() => {}
            }
        }),
        error: outlet(ERROR),
        json: protocol.starts_with('v'),
        closer: Closer::Channels(sender.clone()),
    })
}

/// Runs something that ends with the client, whether or not anybody waits for that: the returned future
/// resolves then, and dropping it ends it.
fn watched(tasks: &Tasks, work: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
    let (ended, mut end) = mpsc::channel::<()>(1);
    tasks.spawn(async move {
        tokio::select! {
            () = work => {}
            () = ended.closed() => {}
        }
    });
    async move {
        let _ended: Option<()> = end.recv().await;
    }
    .boxed()
}

async fn over_spdy<T>(protocol: &str, io: T, wanted: Wanted, tasks: &Tasks) -> Option<Streams>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (mut connection, driver) = spdy::serve(io).ok()?;
    let ended = watched(tasks, async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a SPDY connection ended early");
        }
    });
    let resizes = wanted.tty && matches!(protocol, "v4.channel.k8s.io" | "v3.channel.k8s.io");
    let expected = 1 + [wanted.stdin, wanted.stdout, wanted.stderr, resizes].into_iter().filter(|w| *w).count();
    let (mut stdin, mut stdout, mut stderr, mut error, mut resize) = (None, None, None, None, None);
    let mut found = 0;
    while found < expected {
        let stream = connection.next().await?;
        let slot = match stream.headers.get("streamType") {
            Some("stdin") => &mut stdin,
            Some("stdout") => &mut stdout,
            Some("stderr") => &mut stderr,
            Some("error") => &mut error,
            Some("resize") => &mut resize,
            other => {
                tracing::debug!(?other, "a stream of unknown type");
                stream.refuse().await;
                continue;
            }
        };
        *slot = Some(stream.accept().await);
        found += 1;
    }
    let (_, error) = error?;
    let (close, mut closing) = mpsc::channel::<()>(1);
    let gone = async move {
        // The connection is held here: it takes no more streams, and ends when the session says so.
        tokio::select! {
            () = connection.ended() => return,
            _ = closing.recv() => {}
        }
        connection.close().await;
        ended.await;
    };
    let outlet = |stream: Option<(spdy::Reader, spdy::Writer)>| stream.map(|(_, writer)| Outlet::Spdy(writer));
    let inlet = |stream: Option<(spdy::Reader, spdy::Writer)>| stream.map(|(reader, _)| Inlet::Spdy(reader));
    Some(Streams {
        stdin: inlet(stdin),
        resize: inlet(resize),
        stdout: outlet(stdout),
        stderr: outlet(stderr),
        gone: watched(tasks, gone),
        error: Outlet::Spdy(error),
        json: protocol == "v4.channel.k8s.io",
        closer: Closer::Spdy(close),
    })
}
