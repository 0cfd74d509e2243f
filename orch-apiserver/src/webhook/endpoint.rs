//! [`Endpoint`]: the connections to one target, kept open between requests.

use super::{
    services::ServiceDialer,
    target::{Place, Target},
    tls,
};
use crate::proxy::Duplex;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use orch_api::StatusError;
use orch_store::Tasks;
use parking_lot::Mutex;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 16 << 20;
/// Most connections that are kept when nobody uses them.
const MAX_IDLE: usize = 25;
/// An idle connection that is older is not used again.
const MAX_IDLE_TIME: Duration = Duration::from_secs(90);

/// Everything that is known of a target: its TLS configuration and its open connections.
pub struct Endpoint {
    pub(super) target: Target,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    idle: Mutex<Vec<(Instant, http1::SendRequest<Full<Bytes>>)>>,
    shared: Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
}

/// Why a request got no answer.
pub(super) enum SendError {
    /// The Service cannot be reached.
    Status(StatusError),
    /// Anything else, in words.
    Failed(String),
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Endpoint {
    pub(super) fn new(target: Target) -> Result<Self, String> {
        let name = target.server_name();
        let name = ServerName::try_from(name.clone()).map_err(|why| format!("invalid host {name:?}: {why}"))?;
        let tls = tls::client_config(&target)?;
        Ok(Self { target, tls, name, idle: Mutex::default(), shared: Mutex::default() })
    }

    /// Posts a JSON body. A connection that was closed while it was idle is replaced, once.
    pub(super) async fn send(
        &self,
        services: &dyn ServiceDialer,
        tasks: &Tasks,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Bytes>, SendError> {
        if let Some(known) = self.take() {
            match self.exchange(known, path, body.clone()).await {
                Err(error) if error.is_canceled() || error.is_incomplete_message() || error.is_closed() => {}
                Err(error) => return Err(SendError::Failed(words(&error))),
                Ok(response) => return self.finish(response).await,
            }
        }
        let fresh = self.connect(services, tasks).await?;
        let response = self.exchange(fresh, path, body).await.map_err(|e| SendError::Failed(words(&e)))?;
        self.finish(response).await
    }

    fn take(&self) -> Option<Connection> {
        if let Some(shared) = self.shared.lock().as_ref().filter(|s| !s.is_closed()) {
            return Some(Connection::Http2(shared.clone()));
        }
        let mut idle = self.idle.lock();
        idle.retain(|(since, sender)| !sender.is_closed() && since.elapsed() < MAX_IDLE_TIME);
        idle.pop().map(|(_, sender)| Connection::Http1(sender))
    }

    async fn exchange(&self, connection: Connection, path: &str, body: Bytes) -> Result<Exchange, hyper::Error> {
        match connection {
            Connection::Http1(mut sender) => {
                sender.ready().await?;
                let response = sender.send_request(self.request(path, path, body)).await?;
                Ok(Exchange { response, sender: Some(sender) })
            }
            Connection::Http2(mut sender) => {
                sender.ready().await?;
                let uri = format!("https://{}{path}", self.target.authority());
                let response = sender.send_request(self.request(&uri, path, body)).await?;
                Ok(Exchange { response, sender: None })
            }
        }
    }

    fn request(&self, uri: &str, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.parse().or_else(|_| path.parse()).unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = self.target.authority().parse() {
            headers.insert(header::HOST, host);
        }
        let json = header::HeaderValue::from_static("application/json");
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json, */*"));
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static("kube-apiserver-admission"));
        request
    }

    /// Reads the answer to its end; then the connection may serve the next request.
    async fn finish(&self, exchange: Exchange) -> Result<Response<Bytes>, SendError> {
        let (head, body) = exchange.response.into_parts();
        let all = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            let words = match error.downcast_ref::<http_body_util::LengthLimitError>() {
                Some(_) => format!("the answer is longer than {MAX_ANSWER} bytes"),
                None => format!("unexpected error when reading response body. Please retry. Original error: {error}"),
            };
            SendError::Failed(words)
        })?;
        if let Some(sender) = exchange.sender.filter(|s| !s.is_closed()) {
            let mut idle = self.idle.lock();
            if idle.len() < MAX_IDLE {
                idle.push((Instant::now(), sender));
            }
        }
        Ok(Response::from_parts(head, all.to_bytes()))
    }

    async fn connect(&self, services: &dyn ServiceDialer, tasks: &Tasks) -> Result<Connection, SendError> {
        let failed = |why: String| SendError::Failed(why);
        let stream: Box<dyn Duplex> = match &self.target.place {
            Place::Service { namespace, name, port } => {
                services.dial(namespace, name, *port).await.map_err(SendError::Status)?
            }
            Place::Host { host, port } => {
                let stream = tokio::net::TcpStream::connect((&**host, *port)).await;
                let stream = stream.map_err(|why| failed(tls::dial_error(&self.target.authority(), &why)))?;
                let _best_effort = stream.set_nodelay(true);
                Box::new(stream)
            }
        };
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|why| failed(tls::handshake_error(&why)))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if is_http2 {
            let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await.map_err(|e| failed(words(&e)))?;
            tasks.spawn(async move { drop(driver.await) });
            *self.shared.lock() = Some(sender.clone());
            return Ok(Connection::Http2(sender));
        }
        let (sender, driver) = http1::handshake(io).await.map_err(|e| failed(words(&e)))?;
        tasks.spawn(async move { drop(driver.await) });
        Ok(Connection::Http1(sender))
    }
}

/// An answer that has begun, and the connection that it comes by, unless others use that as well.
struct Exchange {
    response: Response<hyper::body::Incoming>,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
}

fn words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".into();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
