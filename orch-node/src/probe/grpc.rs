//! gRPC probes: one unary call of `grpc.health.v1.Health/Check` (`probe/grpc/grpc.go`). The two messages are a
//! string and a number, so that they are written and read here.

use super::check::{MAX_OUTPUT, dial};
use bytes::Bytes;
use futures::{FutureExt, future::Either};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Asks whether a service is SERVING.
pub(super) async fn check(host: &str, port: u16, service: &str) -> Result<(), String> {
    let stream = dial(host, port).await.map_err(|e| format!("error: failed to connect service {host}:{port}: {e}"))?;
    let failed = |error: String| format!("error: health rpc probe failed: {error}");
    let request = http::Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .header(http::header::TE, "trailers")
        .header(http::header::USER_AGENT, "kube-probe/1.37")
        .body(Full::new(message(service)))
        .map_err(|e| failed(e.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|e| failed(e.to_string()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_OUTPUT as usize).collect().await.map_err(|e| failed(e.to_string()))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let code = trailers.get("grpc-status").or_else(|| head.headers.get("grpc-status"));
        match code.and_then(|c| c.to_str().ok()) {
            Some("0") => verdict(&body.to_bytes()),
            Some("12") => {
                Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".into())
            }
            code => Err(failed(format!("grpc status {}, http status {}", code.unwrap_or("missing"), head.status))),
        }
    };
    match futures::future::select(std::pin::pin!(exchange), connection.boxed()).await {
        Either::Left((result, _)) => result,
        Either::Right((_, exchange)) => exchange.await,
    }
}

/// `HealthCheckRequest { service = 1 }` in a gRPC frame: not compressed, length, message.
fn message(service: &str) -> Bytes {
    let mut body = Vec::new();
    if !service.is_empty() {
        body.push(0x0a);
        varint(service.len(), &mut body);
        body.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, &body].concat().into()
}

fn varint(mut number: usize, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// `HealthCheckResponse { status = 1 }`: 1 is SERVING; an absent field is 0, UNKNOWN.
fn verdict(frame: &[u8]) -> Result<(), String> {
    let status = match frame.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    };
    let word = match status {
        1 => return Ok(()),
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    };
    Err(format!("service unhealthy (responded with {word:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_as_grpc_frames_them() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("a")[..], [0, 0, 0, 0, 3, 0x0a, 1, b'a']);
        assert_eq!(message(&"x".repeat(200))[5..8], [0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn only_serving_is_healthy() {
        assert_eq!(verdict(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        assert_eq!(verdict(&[0, 0, 0, 0, 2, 8, 2]).unwrap_err(), "service unhealthy (responded with \"NOT_SERVING\")");
        assert!(verdict(&[0, 0, 0, 0, 0]).unwrap_err().contains("UNKNOWN"));
    }
}
