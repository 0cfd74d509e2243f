//! Kubernetes' channels over a WebSocket (`remotecommand/websocket.go`): the first byte of a binary message
//! names the channel. `v5` adds a message that closes one.

use super::Refusal;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream::SplitSink};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

/// Standard input.
pub(super) const STDIN: u8 = 0;
/// Standard output.
pub(super) const STDOUT: u8 = 1;
/// Standard error.
pub(super) const STDERR: u8 = 2;
/// The status that ends the session.
pub(super) const ERROR: u8 = 3;
/// New size of the terminal, as JSON.
pub(super) const RESIZE: u8 = 4;
/// The message that closes another channel.
pub(super) const CLOSE: u8 = 255;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What the other side sent.
pub(super) enum Incoming {
    Data(u8, Bytes),
    Closed(u8),
}

/// Sends messages on channels. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sender(Arc<Mutex<SplitSink<Socket, Message>>>);

/// Receives messages of all channels.
pub(super) struct Receiver(futures::stream::SplitStream<Socket>);

/// The answer to an upgrade request, and what becomes the socket once it is sent. Chooses the first protocol
/// of `ours` that the client offers.
#[allow(clippy::type_complexity)] // The future has no name of its own.
pub(super) fn upgrade<B: Send + 'static>(
    request: Request<B>,
    ours: &[&'static str],
) -> Result<(Response<super::Body>, impl Future<Output = Option<(Sender, Receiver)>> + Send + use<B>), Refusal> {
    let value = |name: header::HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    let websocket = value(header::UPGRADE).is_some_and(|u| u.eq_ignore_ascii_case("websocket"));
    let Some(key) = value(header::SEC_WEBSOCKET_KEY).filter(|_| websocket) else {
        return Err(Refusal::bad("this server speaks WebSocket only"));
    };
    let accept = derive_accept_key(key.as_bytes());
    let offered: Vec<_> = request
        .headers()
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(',').map(str::trim))
        .collect();
    let Some(protocol) = ours.iter().find(|p| offered.contains(*p)) else {
        return Err(Refusal(StatusCode::FORBIDDEN, format!("none of the protocols {offered:?} is supported")));
    };
    let mut response = Response::new(super::full(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    let accept = HeaderValue::from_str(&accept).map_err(|e| Refusal::bad(e.to_string()))?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    let upgraded = hyper::upgrade::on(request);
    let socket = async move {
        let upgraded = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "a connection was not upgraded");
                return None;
            }
        };
        let (sink, stream) = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await.split();
        Some((Sender(Arc::new(Mutex::new(sink))), Receiver(stream)))
    };
    Ok((response, socket))
}

impl Sender {
    /// Sends one message; `Err` when the other side is gone.
    pub(super) async fn send(&self, channel: u8, data: &[u8]) -> Result<(), ()> {
        let mut message = Vec::with_capacity(data.len() + 1);
        message.push(channel);
        message.extend_from_slice(data);
        self.0.lock().await.send(Message::binary(message)).await.map_err(drop)
    }

    /// Says good-bye. Clients take a close without this code for a broken connection.
    pub(super) async fn close(&self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let mut sink = self.0.lock().await;
        let _ = sink.send(Message::Close(Some(frame))).await;
        let _ = sink.close().await;
    }
}

impl Receiver {
    /// The next message; `None` when the other side is gone.
    pub(super) async fn next(&mut self) -> Option<Incoming> {
        loop {
            let data = match self.0.next().await?.ok()? {
                Message::Binary(data) => data,
                Message::Text(text) => Bytes::from(text),
                Message::Close(_) => return None,
                _ => continue,
            };
            let Some((channel, rest)) = data.split_first() else { continue };
            return match (*channel, rest.first()) {
                (CLOSE, Some(closed)) => Some(Incoming::Closed(*closed)),
                (channel, _) => Some(Incoming::Data(channel, data.slice(1..))),
            };
        }
    }
}
