//! Paths that are no resources: discovery, version, health, metrics.

use super::{
    body::Body,
    media::{self, Media},
    not_found,
    query::Query,
    reads, respond,
};
use crate::{
    authn::OpenId,
    discovery::{Document, wants_aggregated},
    openapi,
    server::ApiServer,
};
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use orch_api::{Reason, StatusError};
use serde_json::json;

/// How clients inside the cluster reach the server.
const PUBLIC_URL: &str = "https://kubernetes.default.svc.cluster.local";

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
        ["healthz" | "livez" | "readyz", rest @ ..] => {
            Ok(health(server, path.trim_matches('/').split('/').next().unwrap_or_default(), rest, query))
        }
        ["metrics"] => Ok(metrics(server)),
        ["api"] => discovery(server, parts, &[]),
        ["api", version] => discovery(server, parts, &["", version]),
        ["apis"] => discovery(server, parts, &["apis"]),
        ["apis", group] => discovery(server, parts, &["group", group]),
        ["apis", group, version] => discovery(server, parts, &[group, version]),
        ["openapi", "v2"] => Ok(openapi_v2(server, parts)),
        ["openapi", "v3", at @ ..] => Ok(openapi(server, parts, at, query)),
        [".well-known", "openid-configuration"] => {
            Ok(openid(server, |o| (o.configuration.clone(), "application/json")))
        }
        ["openid", "v1", "jwks"] => Ok(openid(server, |o| (o.keys.clone(), "application/jwk-set+json"))),
        [""] => Ok(paths(server)),
        _ => Ok(not_found()),
    }
}

/// The version that the server says it is.
pub fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "37",
        "gitVersion": "v1.37.0+orch",
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
    let mut response = if document.etag.as_deref() == Some(&*known) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::full(document.body.clone()))
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(document.content_type));
    if let Some(Ok(tag)) = document.etag.as_deref().map(HeaderValue::try_from) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

fn openapi(server: &ApiServer, parts: &Parts, at: &[&str], query: &Query) -> Response<Body> {
    let documents = server.openapi();
    let (document, immutable) = match at {
        [] => (documents.index().clone(), false),
        at => match documents.answer(&at.join("/"), query.get("hash")) {
            Some(openapi::Answer::Document { document, immutable }) => (document, immutable),
            Some(openapi::Answer::Moved(url)) => return moved(&url),
            None => return not_found(),
        },
    };
    let mut response = tagged(parts, &document, "application/json");
    let caching = if immutable { "public, immutable" } else { "no-cache, private" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

/// In the form that the client likes best (`kube-openapi/pkg/handler`).
fn openapi_v2(server: &ApiServer, parts: &Parts) -> Response<Body> {
    for wanted in media::preferences(&parts.headers) {
        match wanted.as_str() {
            "*/*" | "application/*" | "application/json" => {
                return tagged(parts, &server.openapi().v2().json, "application/json");
            }
            "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
            | "application/com.github.proto-openapi.spec.v2.v1.0+protobuf" => {
                let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
                return tagged(parts, &server.openapi().v2().protobuf, kind);
            }
            _ => {}
        }
    }
    respond::plain(StatusCode::NOT_ACCEPTABLE, "")
}

/// A document with its tag, or 304 for those who have it.
fn tagged(parts: &Parts, document: &openapi::Document, kind: &'static str) -> Response<Body> {
    let known = media::header_text(&parts.headers, header::IF_NONE_MATCH);
    let mut response = Response::new(Body::full(document.body.clone()));
    if known == document.etag {
        *response.body_mut() = Body::empty();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Ok(tag) = HeaderValue::try_from(&document.etag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

fn moved(url: &str) -> Response<Body> {
    let mut response = respond::plain(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(url) = HeaderValue::try_from(url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}

/// The documents by which others verify service account tokens.
fn openid(server: &ApiServer, pick: impl FnOnce(&OpenId) -> (bytes::Bytes, &'static str)) -> Response<Body> {
    let Some(signer) = &server.core().signer else { return not_found() };
    let (body, content_type) = pick(&signer.openid(PUBLIC_URL));
    let mut response = Response::new(Body::full(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
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
