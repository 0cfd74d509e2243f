//! The agent's HTTP API, as kubelet serves it (`pkg/kubelet/server/server.go`): `/containerLogs`, `/exec`,
//! `/attach`, `/portForward`, `/pods`, `/healthz`. It runs over any byte stream; who may connect is decided
//! by whoever accepts the streams.
//!
//! ```text
//!            ┌ channels (WebSocket) ┐
//! upgrade ───┤                      ├── streams ──► session ──► ContainerRuntime::{exec, attach}
//!            └ crate::spdy ─────────┘          └──► forward ──► ContainerRuntime::port_forward
//!                 ▲ tunnel (SPDY inside a WebSocket)
//! ```

mod channels;
mod forward;
mod forward_channels;
mod forward_spdy;
mod log_stream;
mod query;
mod session;
mod streams;
#[cfg(test)]
mod tests;
mod tunnel;
mod upgrade;

use crate::agent::Agent;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper_util::rt::TokioIo;
use orch_api::Key;
use orch_runtime::node::container::{Container, ContainerState};
use orch_store::Stored;
use query::Query;
use std::{convert::Infallible, io};
use tokio::io::{AsyncRead, AsyncWrite};

/// What the API answers with.
pub type Body = BoxBody<Bytes, io::Error>;

/// The API of one agent. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    agent: Agent,
}

/// A refusal: status code and text, and headers if there are any to add.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: StatusCode,
    words: String,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
}

impl Refusal {
    fn new(code: StatusCode, words: impl Into<String>) -> Self {
        Self { code, words: words.into(), headers: Vec::new() }
    }

    fn not_found(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, words)
    }

    fn bad(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }
}

impl Server {
    /// The API of this agent.
    pub fn new(agent: Agent) -> Self {
        Self { agent }
    }

    /// Serves HTTP/1.1 with upgrades on a byte stream until it ends.
    pub async fn serve_connection(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(), hyper::Error> {
        let service = hyper::service::service_fn(|request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.handle(request).await) }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades().await
    }

    /// Answers one request. Upgrades need a request that hyper's server made.
    pub async fn handle<B: Send + 'static>(&self, request: Request<B>) -> Response<Body> {
        match self.route(request).await {
            Ok(response) => response,
            Err(Refusal { code, words, headers }) => {
                let mut response = text(code, words);
                for (name, value) in headers {
                    response.headers_mut().append(name, value);
                }
                response
            }
        }
    }

    async fn route<B: Send + 'static>(&self, request: Request<B>) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path().to_owned();
        let segments: Vec<String> = path.split('/').skip(1).map(query::decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let reading = request.method() == Method::GET;
        match segments.as_slice() {
            ["healthz" | "healthz/ping"] if reading => Ok(text(StatusCode::OK, "ok".into())),
            ["pods"] if reading => Ok(self.pods()),
            ["stats", "summary"] if reading => Ok(json(crate::stats::summary(&self.agent).await.to_string())),
            ["containerLogs", namespace, pod, container] if reading => {
                log_stream::serve(&self.agent, &Key::new(*namespace, *pod), container, &query).await
            }
            [what @ ("exec" | "attach"), namespace, pod, container]
            | [what @ ("exec" | "attach"), namespace, pod, _, container] => {
                session::wanted(&query)?;
                let found = self.running(&Key::new(*namespace, *pod), container)?;
                session::serve(&self.agent, request, &query, found, *what == "attach")
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                self.forward(request, &query, &Key::new(*namespace, *pod))
            }
            _ => Err(Refusal::not_found("404 page not found")),
        }
    }

    fn pods(&self) -> Response<Body> {
        let mut views: Vec<_> = self.agent.pods().iter().map(|p| p.view().pod).collect();
        views.sort_by(|a, b| a.key.cmp(&b.key));
        let mut out = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":["#.to_vec();
        for (index, pod) in views.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&pod.json);
        }
        out.extend_from_slice(b"]}");
        json(out)
    }

    fn running(&self, key: &Key, container: &str) -> Result<Container, Refusal> {
        let pod = self.agent.pod(key).ok_or_else(|| Refusal::not_found("pod does not exist"))?;
        let view = pod.view();
        let mut all = view.sandboxes.iter().flat_map(|s| s.containers.iter().rev());
        let found = all.find(|c| c.name == container && matches!(c.state, ContainerState::Running { .. }));
        found.cloned().ok_or_else(|| {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("container not found ({container:?})"))
        })
    }

    fn forward<B: Send + 'static>(
        &self,
        request: Request<B>,
        query: &Query,
        key: &Key,
    ) -> Result<Response<Body>, Refusal> {
        let pod = self.agent.pod(key).ok_or_else(|| Refusal::not_found("pod does not exist"))?;
        let view = pod.view();
        let sandbox = view.sandboxes.iter().find(|s| s.ready).map(|s| s.id.clone());
        let missing = || Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("sandbox of pod {key} is not ready"));
        let node = self.agent.node();
        let (runtime, sandbox) = (node.runtime.clone(), sandbox.ok_or_else(missing)?);
        let (target, tasks) = (forward::Target { runtime, sandbox }, &node.ambient.tasks);
        match upgrade::wants_websocket(&request) {
            false => forward_spdy::serve(request, target, tasks),
            true if upgrade::offers(&request, forward_spdy::TUNNEL) => {
                forward_spdy::serve_tunnel(request, target, tasks)
            }
            true => forward_channels::serve(request, query, target, tasks),
        }
    }
}

/// The newest container of that name, or the one before it.
pub(crate) fn find(agent: &Agent, key: &Key, name: &str, previous: bool) -> Result<Container, Refusal> {
    let pod = agent.pod(key).ok_or_else(|| no_pod(key))?;
    let view = pod.view();
    let decoded = view.pod.decode::<k8s_openapi::api::core::v1::Pod>();
    let known = decoded.is_ok_and(|p| crate::pod::spec::container(&p, name).is_some());
    if !known {
        return Err(Refusal::not_found(format!("container {name:?} not found in pod {:?}", key.name)));
    }
    let mut history = view.sandboxes.iter().flat_map(|s| s.containers.iter().rev()).filter(|c| c.name == name);
    let newest = history.next().cloned();
    match (newest, previous) {
        (Some(newest), false) if newest.state != ContainerState::Created => Ok(newest),
        (_, false) => Err(Refusal::bad(format!(
            "container {name:?} in pod {:?} is waiting to start: {}",
            key.name,
            why_waiting(&view.pod, name)
        ))),
        // A container that ended and waits to be restarted is the previous one already.
        (Some(newest), true) => {
            let ended = matches!(newest.state, ContainerState::Exited { .. });
            history.next().cloned().or(ended.then_some(newest)).ok_or_else(|| no_previous(key, name))
        }
        (None, true) => Err(no_previous(key, name)),
    }
}

/// Why a container has not started, in the words of `validateContainerLogStatus` (`kubelet_pods.go`).
fn why_waiting(pod: &Stored, name: &str) -> String {
    let decoded = pod.decode::<k8s_openapi::api::core::v1::Pod>().ok();
    let status = decoded.as_ref().and_then(|pod| pod.status.as_ref());
    let mut all =
        status.into_iter().flat_map(|s| s.container_statuses.iter().chain(&s.init_container_statuses).flatten());
    let waiting = all.find(|s| s.name == name).and_then(|s| s.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    match waiting {
        Some("ErrImagePull") => "image can't be pulled".into(),
        Some("ImagePullBackOff") => "trying and failing to pull image".into(),
        reason => reason.unwrap_or("ContainerCreating").into(),
    }
}

fn no_pod(key: &Key) -> Refusal {
    Refusal::not_found(format!("pod {:?} not found", key.name))
}

fn no_previous(key: &Key, name: &str) -> Refusal {
    Refusal::bad(format!("previous terminated container {name:?} in pod {:?} not found", key.name))
}

fn text(code: StatusCode, words: String) -> Response<Body> {
    let mut response = Response::new(full(words.into_bytes()));
    *response.status_mut() = code;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

fn json(bytes: impl Into<Vec<u8>>) -> Response<Body> {
    let mut response = Response::new(full(bytes.into()));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}
