//! Requests over HTTP, without a socket: for what a [`super::kind::Kind`] does not show, such as discovery and headers.

use super::world::World;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;

/// An answer, with its whole body.
pub(super) struct Answer {
    pub(super) code: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(super) fn content_type(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }

    /// The body of what was not refused.
    pub(super) fn ok(&self) -> Value {
        assert!(self.code.is_success(), "{}: {:?}", self.code, self.body);
        self.json()
    }

    /// The message of a refusal.
    pub(super) fn refusal(&self) -> String {
        assert!(!self.code.is_success(), "{}: {:?}", self.code, self.body);
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

impl World {
    /// Reads a path as JSON.
    pub(super) async fn at(&self, path: &str) -> Value {
        self.asked(path, "application/json").await.ok()
    }

    pub(super) async fn asked(&self, path: &str, accept: &str) -> Answer {
        self.send(Request::get(path).header("accept", accept).body(Full::default()).unwrap()).await
    }

    /// Sends a body of a type (`application/json`, `application/apply-patch+yaml`) with a method.
    pub(super) async fn sent(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.0.api_server().service().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { code: parts.status, headers: parts.headers, body }
    }
}
