//! One request over one connection, upgrades included.

use super::Duplex;
use crate::{
    core::Core,
    http::body::{Body, BoxError},
};
use bytes::Buf;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use orch_api::{Reason, StatusError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// Sends a request to `target` over a connection and gives the answer back. When both sides switch
/// protocols, the bytes between them are passed on until either ends. Redirects are never followed, and
/// credentials never leave.
pub(crate) async fn forward<B>(
    core: &Core,
    connection: Box<dyn Duplex>,
    mut parts: Parts,
    target: Uri,
    body: B,
) -> Result<Response<Body>, StatusError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await;
    let (mut sender, driver) = handshake.map_err(|e| unavailable(&e))?;
    core.ambient.tasks.spawn(async move {
        if let Err(error) = driver.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection ended");
        }
    });
    let switches = wants_upgrade(&parts.headers);
    let mut outward = Request::new(body_of(body));
    *outward.method_mut() = parts.method.clone();
    *outward.headers_mut() = headers(&parts.headers, &target, switches);
    *outward.uri_mut() = target.into_parts().path_and_query.map(Uri::from).unwrap_or_default();
    let answer = sender.send_request(outward).await.map_err(|e| unavailable(&e))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (mut head, body) = answer.into_parts();
        drop_hop_headers(&mut head.headers);
        return Ok(Response::from_parts(head, Body::forward(body)));
    }
    let inward = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let (head, ()) = Response::new(()).into_parts();
    let mut response = Response::from_parts(head, Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    let Some(inward) = inward else {
        return Err(StatusError::bad_request("Upgrade request required"));
    };
    core.ambient.tasks.spawn(async move {
        let (Ok(inner), Ok(outer)) = (hyper::upgrade::on(answer).await, inward.await) else { return };
        splice(TokioIo::new(inner), TokioIo::new(outer)).await;
    });
    Ok(response)
}

/// Passes bytes on until the inner side has ended. It says the last word: when it reads no more, what it has still
/// to say is delivered; when the outer side ends, it is told so and may answer.
async fn splice(inner: impl AsyncRead + AsyncWrite, outer: impl AsyncRead + AsyncWrite) {
    let (mut inner_reader, mut inner_writer) = tokio::io::split(inner);
    let (mut outer_reader, mut outer_writer) = tokio::io::split(outer);
    let inward = async {
        let copied = tokio::io::copy(&mut outer_reader, &mut inner_writer).await;
        tracing::trace!(?copied, "the client's side of a proxied stream ended");
        let _ = inner_writer.shutdown().await;
        std::future::pending::<()>().await;
    };
    let outward = async {
        let copied = tokio::io::copy(&mut inner_reader, &mut outer_writer).await;
        tracing::trace!(?copied, "the server's side of a proxied stream ended");
        let _ = outer_writer.shutdown().await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}

/// Whether a request asks to switch protocols.
pub(crate) fn wants_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    connection.flat_map(|v| v.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

fn body_of<B>(body: B) -> Body
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let pieces = body.into_data_stream().map_ok(|mut data| data.copy_to_bytes(data.remaining()));
    Body::Stream(pieces.map_err(Into::into).boxed())
}

fn headers(from: &HeaderMap, target: &Uri, switches: bool) -> HeaderMap {
    let mut headers = from.clone();
    if !switches {
        drop_hop_headers(&mut headers);
    }
    for name in [header::AUTHORIZATION, header::COOKIE, header::HOST, header::ACCEPT_ENCODING] {
        headers.remove(name);
    }
    let impersonation: Vec<_> = headers.keys().filter(|k| k.as_str().starts_with("impersonate-")).cloned().collect();
    for name in impersonation {
        headers.remove(name);
    }
    if let Some(host) = target.authority().and_then(|a| a.as_str().parse().ok()) {
        headers.insert(header::HOST, host);
    } else {
        headers.insert(header::HOST, header::HeaderValue::from_static("localhost"));
    }
    headers
}

/// Headers that are about one connection alone.
fn drop_hop_headers(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::TE, header::TRAILER] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

/// The node or pod could not be asked. What it may have said is not repeated.
pub(crate) fn unavailable(error: &impl std::fmt::Display) -> StatusError {
    StatusError::new(Reason::ServiceUnavailable, format!("error trying to reach service: {error}"))
}
