//! Which protocol a request switches to, and the answer that says so.

use super::{Body, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

/// A socket after its handshake.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The longest WebSocket message, in bytes, as kubelet's library has it.
const MAX_MESSAGE: usize = 32 << 20;
/// What is gathered before it is sent, in bytes.
const WRITE_BUFFER: usize = 128 << 10;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_VERSIONS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// What the client asks to switch to.
pub(super) fn wants_websocket<B>(request: &Request<B>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|v| v.to_str().ok());
    upgrade.is_some_and(|u| u.eq_ignore_ascii_case("websocket"))
        && request.headers().contains_key(header::SEC_WEBSOCKET_KEY)
}

/// Whether a WebSocket request offers a protocol.
pub(super) fn offers<B>(request: &Request<B>, protocol: &str) -> bool {
    offered(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL).iter().any(|o| o == protocol)
}

/// Answers a WebSocket handshake with the first protocol that the client offers of `ours`, where an empty
/// name stands for a client that offers none (`wsstream/conn.go`).
#[allow(clippy::type_complexity)] // The future has no name of its own.
pub(super) fn websocket<B: Send + 'static>(
    request: Request<B>,
    ours: &[&'static str],
) -> Result<(&'static str, Response<Body>, impl Future<Output = Option<Socket>> + Send + use<B>), Refusal> {
    let headers = request.headers();
    let offered = offered(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let chosen = match offered.is_empty() {
        true => ours.iter().find(|p| p.is_empty()),
        false => offered.iter().find_map(|o| ours.iter().find(|p| p == &o)),
    };
    let Some(protocol) = chosen.copied() else {
        let words = format!("requested protocol(s) are not supported: {offered:?}; supports {ours:?}");
        return Err(Refusal::new(StatusCode::FORBIDDEN, words));
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|v| v.as_bytes()).unwrap_or_default();
    let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(|e| Refusal::bad(e.to_string()))?;
    let mut response = switching("websocket");
    response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if !protocol.is_empty() {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    let upgraded = hyper::upgrade::on(request);
    let socket = async move {
        let io = TokioIo::new(report(upgraded.await)?);
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE))
            .write_buffer_size(WRITE_BUFFER)
            .max_write_buffer_size(2 * MAX_MESSAGE);
        Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await)
    };
    Ok((protocol, response, socket))
}

/// Answers a request to speak SPDY/3.1 with the first version that the client offers of `ours`
/// (`httpstream.Handshake`, `spdy.UpgradeResponse`).
#[allow(clippy::type_complexity)] // The future has no name of its own.
pub(super) fn spdy<B: Send + 'static>(
    request: Request<B>,
    ours: &[&'static str],
) -> Result<(&'static str, Response<Body>, impl Future<Output = Option<TokioIo<Upgraded>>> + Send + use<B>), Refusal> {
    let headers = request.headers();
    if !headers.contains_key(&PROTOCOL_VERSION) {
        let count = headers.len();
        let words = format!(
            "unable to upgrade: header X-Stream-Protocol-Version does not exist in request with {count} headers"
        );
        return Err(Refusal::bad(words));
    }
    let offered = offered(headers, &PROTOCOL_VERSION);
    let Some(protocol) = offered.iter().find_map(|o| ours.iter().find(|p| p == &o)).copied() else {
        let words = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            ours.join(" ")
        );
        let accepted = ours.iter().map(|p| (ACCEPTED_VERSIONS, HeaderValue::from_static(p)));
        return Err(Refusal { headers: accepted.collect(), ..Refusal::new(StatusCode::FORBIDDEN, words) });
    };
    let upgrade = headers.get(header::UPGRADE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("SPDY/3.1") {
        return Err(Refusal::bad("unable to upgrade: missing upgrade headers in request"));
    }
    let mut response = switching("SPDY/3.1");
    response.headers_mut().insert(PROTOCOL_VERSION, HeaderValue::from_static(protocol));
    let upgraded = hyper::upgrade::on(request);
    Ok((protocol, response, async move { report(upgraded.await).map(TokioIo::new) }))
}

fn report(upgraded: hyper::Result<Upgraded>) -> Option<Upgraded> {
    upgraded.inspect_err(|error| tracing::debug!(%error, "a connection was not upgraded")).ok()
}

fn offered(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect()
}

fn switching(to: &'static str) -> Response<Body> {
    let mut response = Response::new(super::full(Vec::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(to));
    response
}
