//! Port-forward over SPDY, also inside a WebSocket: a pair of streams per connection, one for data and one for
//! errors (`cri-streaming/pkg/streaming/portforward/httpstream.go`).

use super::{
    Body, Refusal,
    forward::Target,
    streams::{Inlet, Outlet},
    tunnel::Tunnel,
    upgrade,
};
use crate::spdy::{self, Reader, Stream, Writer};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{Request, Response};
use orch_store::Tasks;
use std::{collections::HashMap, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// The second stream of a pair has this long to come.
const CREATION: Duration = Duration::from_secs(30);
/// The protocol of port-forward.
const PORT_FORWARD: &str = "portforward.k8s.io";
/// The same in a WebSocket.
pub(super) const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// Serves a request to switch to SPDY.
pub(super) fn serve<B: Send + 'static>(
    request: Request<B>,
    target: Target,
    tasks: &Tasks,
) -> Result<Response<Body>, Refusal> {
    let (_, response, io) = upgrade::spdy(request, &[PORT_FORWARD])?;
    let ours = tasks.clone();
    tasks.spawn(async move {
        if let Some(io) = io.await {
            run(io, target, &ours).await;
        }
    });
    Ok(response)
}

/// Serves a request to switch to a WebSocket that carries SPDY.
pub(super) fn serve_tunnel<B: Send + 'static>(
    request: Request<B>,
    target: Target,
    tasks: &Tasks,
) -> Result<Response<Body>, Refusal> {
    let (_, response, socket) = upgrade::websocket(request, &[TUNNEL])?;
    let ours = tasks.clone();
    tasks.spawn(async move {
        if let Some(socket) = socket.await {
            run(Tunnel::new(socket), target, &ours).await;
        }
    });
    Ok(response)
}

async fn run<T: AsyncRead + AsyncWrite + Send + 'static>(io: T, target: Target, tasks: &Tasks) {
    let Ok((connection, driver)) = spdy::serve(io) else { return };
    tokio::select! {
        ended = driver => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a SPDY connection ended early");
            }
        }
        () = pair_up(connection, target, tasks) => {}
    }
}

/// One direction of a pair each.
type Halves = (Reader, Writer);

/// A connection of which not all streams have come.
#[derive(Default)]
struct Pair {
    data: Option<Halves>,
    error: Option<Halves>,
}

/// Starts to forward when both streams of a connection are there. What has been started ends with the streams.
async fn pair_up(mut connection: spdy::Connection, target: Target, tasks: &Tasks) {
    let mut pairs: HashMap<String, Pair> = HashMap::new();
    let mut timeouts: FuturesUnordered<BoxFuture<'static, String>> = FuturesUnordered::new();
    loop {
        let stream = tokio::select! {
            stream = connection.next() => stream,
            Some(id) = timeouts.next() => {
                if let Some(Pair { error: Some((_, mut error)), .. }) = pairs.remove(&id) {
                    let words = format!("(request={id}) timed out waiting for streams");
                    let _ = error.send(words.into()).await;
                    let _ = error.finish().await;
                }
                continue;
            }
        };
        let Some(stream) = stream else { return };
        let Some((port, is_data)) = purpose(&stream) else {
            stream.refuse().await;
            continue;
        };
        let id = request_id(&stream, is_data);
        let pair = pairs.entry(id.clone()).or_insert_with(|| {
            let id = id.clone();
            timeouts.push(Box::pin(async move {
                tokio::time::sleep(CREATION).await;
                id
            }));
            Pair::default()
        });
        let place = if is_data { &mut pair.data } else { &mut pair.error };
        if place.is_some() {
            stream.refuse().await;
            continue;
        }
        *place = Some(stream.accept().await);
        if let Pair { data: Some(_), error: Some(_) } = pair
            && let Some(Pair { data: Some(data), error: Some((_, error)) }) = pairs.remove(&id)
        {
            tasks.spawn(forward(target.clone(), port, data, error));
        }
    }
}

async fn forward(target: Target, port: u16, (reader, writer): Halves, mut error: Writer) {
    let (mut inlet, mut outlet) = (Inlet::Spdy(reader), Outlet::Spdy(writer));
    let result = target.forward(port, &mut inlet, &mut outlet).await;
    if let Err(words) = result {
        let _ = error.send(words.into()).await;
        let _ = error.finish().await;
        if let Outlet::Spdy(writer) = outlet {
            writer.reset().await;
        }
        return;
    }
    let _ = error.finish().await;
}

/// The port that a stream is about, and whether it carries data.
fn purpose(stream: &Stream) -> Option<(u16, bool)> {
    let port = stream.headers.get("port")?.parse().ok().filter(|port| *port > 0)?;
    match stream.headers.get("streamType")? {
        "data" => Some((port, true)),
        "error" => Some((port, false)),
        _ => None,
    }
}

/// What a stream has in common with the other one of its pair. Old clients do not say; they open the error
/// stream first and the data stream next.
fn request_id(stream: &Stream, is_data: bool) -> String {
    match stream.headers.get("requestID") {
        Some(id) => id.to_owned(),
        None if is_data => stream.id.saturating_sub(2).to_string(),
        None => stream.id.to_string(),
    }
}
