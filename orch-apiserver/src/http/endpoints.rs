//! Paths that are no resources: discovery, version, health, metrics.

use super::{
    body::Body,
    media::{self, Media},
    not_found,
    query::Query,
    reads, respond,
};
use crate::{
    discovery::{Document, wants_aggregated},
    server::ApiServer,
};
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use orch_api::{Reason, StatusError};
use serde_json::json;

/// Answers a request for a path that is no resource.
pub(crate) async fn answer(server: &ApiServer, parts: &Parts, query: &Query) -> Result<Response<Body>, StatusError> {
    if !reads(&parts.method) {
        return Err(StatusError::new(
            Reason::MethodNotAllowed,
            "the server does not allow this method on the requested resource",
        ));
    }
    let path = parts.uri.path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["version"] => respond::value(Media::json(), StatusCode::OK, &version()),
        ["healthz" | "livez" | "readyz", rest @ ..] => Ok(health(server, &segments[0], rest, query)),
        ["metrics"] => Ok(metrics(server)),
        ["api"] => discovery(server, parts, &[]),
        ["api", version] => discovery(server, parts, &["", version]),
        ["apis"] => discovery(server, parts, &["apis"]),
        ["apis", group] => discovery(server, parts, &["group", group]),
        ["apis", group, version] => discovery(server, parts, &[group, version]),
        [""] => Ok(paths(server)),
        _ => Ok(not_found()),
    }
}

/// The version that the server says it is.
pub fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "37",
        "gitVersion": concat!("v1.37.0+orch"),
        "gitCommit": env!("CARGO_PKG_VERSION"),
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn discovery(server: &ApiServer, parts: &Parts, at: &[&str]) -> Result<Response<Body>, StatusError> {
    let documents = server.discovery();
    let accept = media::header_text(&parts.headers, header::ACCEPT);
    let found = match at {
        [] => Some(documents.api(wants_aggregated(&accept))),
        ["apis"] => Some(documents.apis(wants_aggregated(&accept))),
        ["group", group] => documents.group(group),
        [group, version] => documents.resources(group, version),
        _ => None,
    };
    found.map_or_else(|| Ok(not_found()), |document| Ok(document_response(parts, document)))
}

/// A document that clients may keep: with its tag, and 304 for those who have it.
fn document_response(parts: &Parts, document: &Document) -> Response<Body> {
    let known = media::header_text(&parts.headers, header::IF_NONE_MATCH);
    let mut response = if known == document.etag {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::full(document.body.clone()))
    };
    for (name, value) in [(header::CONTENT_TYPE, document.content_type), (header::ETAG, &*document.etag)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn health(server: &ApiServer, which: &str, rest: &[&str], query: &Query) -> Response<Body> {
    let ready = server.is_ready();
    let checks = [("ping", true), ("log", true), ("storage", true), ("bootstrap", ready || which == "livez")];
    if let [one] = rest {
        return match checks.iter().find(|(name, _)| name == one) {
            Some((_, true)) => respond::plain(StatusCode::OK, "ok"),
            Some((_, false)) => respond::plain(StatusCode::INTERNAL_SERVER_ERROR, "not ready\n"),
            None => not_found(),
        };
    }
    let excluded: Vec<&str> = query.all("exclude").collect();
    let counted = || checks.iter().filter(|(name, _)| !excluded.contains(name));
    let healthy = counted().all(|(_, ok)| *ok);
    let code = if healthy { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    if healthy && query.get("verbose").is_none() {
        return respond::plain(code, "ok");
    }
    let mut text = String::new();
    for (name, ok) in checks {
        let line = match (excluded.contains(&name), ok) {
            (true, _) => format!("[+]{name} excluded: ok\n"),
            (_, true) => format!("[+]{name} ok\n"),
            (_, false) => format!("[-]{name} failed: reason withheld\n"),
        };
        text.push_str(&line);
    }
    text.push_str(&format!("{which} check {}\n", if healthy { "passed" } else { "failed" }));
    respond::plain(code, text)
}

fn metrics(server: &ApiServer) -> Response<Body> {
    let mut response = respond::plain(StatusCode::OK, server.core().metrics.render());
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn paths(server: &ApiServer) -> Response<Body> {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/metrics", "/readyz", "/version"].map(str::to_owned).to_vec();
    for kind in server.core().registry.all() {
        match &*kind.group {
            "" => paths.push(format!("/api/{}", kind.version)),
            group => paths.extend([format!("/apis/{group}"), format!("/apis/{group}/{}", kind.version)]),
        }
    }
    paths.sort();
    paths.dedup();
    respond::value(Media::json(), StatusCode::OK, &json!({"paths": paths})).unwrap_or_else(|_| not_found())
}
