//! A thin HTTPS client: it costs little itself, so that what is measured is the server.

use super::{Result, proc::Process};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::ConfigExt;
use orch_store::Tasks;
use rustls::{ClientConfig, pki_types::ServerName};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An API server.
#[derive(Clone)]
pub(super) struct Endpoint {
    uri: Uri,
    tls: Arc<ClientConfig>,
    authorization: Option<HeaderValue>,
    tasks: Tasks,
    /// The server's process, where it is one of ours.
    pub(super) process: Option<Process>,
}

/// One connection.
pub(super) struct Connection {
    sender: Sender,
    host: String,
    authorization: Option<HeaderValue>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Endpoint {
    /// The current context of a kubeconfig: a client certificate or a bearer token.
    pub(super) async fn of_kubeconfig(path: &Path, process: Option<Process>) -> Result<Self> {
        let file = kube::config::Kubeconfig::read_from(path)?;
        let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await?;
        let auth = serde_json::to_value(&config.auth_info)?;
        let token = auth.get("token").and_then(Value::as_str);
        let authorization = token.map(|t| HeaderValue::try_from(format!("Bearer {t}"))).transpose()?;
        let tls = Arc::new(config.rustls_client_config()?);
        Ok(Self { uri: config.cluster_url, tls, authorization, tasks: Tasks::new(), process })
    }

    /// A connection that speaks HTTP/1.1: one request at a time.
    pub(super) async fn connect(&self) -> Result<Connection> {
        let stream = self.stream("http/1.1").await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn(async move { drop(connection.await) });
        Ok(self.connection(Sender::One(sender)))
    }

    /// A connection that speaks HTTP/2: many requests at a time.
    pub(super) async fn connect_many(&self) -> Result<Connection> {
        let stream = self.stream("h2").await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        self.tasks.spawn(async move { drop(connection.await) });
        Ok(self.connection(Sender::Two(sender)))
    }

    fn connection(&self, sender: Sender) -> Connection {
        let host = self.uri.authority().map(ToString::to_string).unwrap_or_default();
        Connection { sender, host, authorization: self.authorization.clone() }
    }

    async fn stream(&self, protocol: &str) -> Result<TlsStream<TcpStream>> {
        let host = self.uri.host().ok_or("the server's URL names no host")?.trim_matches(['[', ']']).to_owned();
        let stream = TcpStream::connect((host.as_str(), self.uri.port_u16().unwrap_or(443))).await?;
        stream.set_nodelay(true)?;
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from(host)?, stream).await?)
    }
}

impl Connection {
    /// Another handle of an HTTP/2 connection.
    pub(super) fn share(&self) -> Result<Self> {
        match &self.sender {
            Sender::Two(sender) => {
                let sender = Sender::Two(sender.clone());
                Ok(Self { sender, host: self.host.clone(), authorization: self.authorization.clone() })
            }
            Sender::One(_) => Err("one HTTP/1.1 connection has one owner".into()),
        }
    }

    /// Sends a request and returns the answer as soon as its head is there; a refusal is an error.
    pub(super) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>> {
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let uri = match self.sender {
            Sender::One(_) => path.to_owned(),
            Sender::Two(_) => format!("https://{}{path}", self.host),
        };
        let mut request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, kind);
        if let Sender::One(_) = self.sender {
            request = request.header(header::HOST, &self.host);
        }
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        let request = request.body(Full::from(bytes))?;
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => sender.send_request(request).await?,
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let words = response.into_body().collect().await?.to_bytes();
        Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&words)).into())
    }

    /// Sends a request and reads the answer to its end; its length in bytes.
    pub(super) async fn send(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<usize> {
        let mut body = self.begin(method, path, body).await?.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }

    /// Creates an object.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<usize> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Begins to watch; the lines come as they are.
    pub(super) async fn watch(&mut self, path: &str) -> Result<Lines> {
        let body = self.begin(Method::GET, path, None).await?.into_body();
        Ok(Lines { body, rest: Vec::new() })
    }
}

/// The lines of an answer.
pub(super) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that came together, at least one.
    pub(super) async fn next(&mut self) -> Result<Vec<Vec<u8>>> {
        loop {
            let frame = self.body.frame().await.ok_or("the server ended the watch")??;
            self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            let complete = split(&mut self.rest);
            if !complete.is_empty() {
                return Ok(complete);
            }
        }
    }
}

/// Takes the complete lines out of a buffer.
fn split(buffer: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let Some(end) = buffer.iter().rposition(|b| *b == b'\n') else { return Vec::new() };
    let rest = buffer.split_off(end + 1);
    let complete = std::mem::replace(buffer, rest);
    complete.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_complete() {
        let mut buffer = b"a\nbc\nd".to_vec();
        assert_eq!(split(&mut buffer), [b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(buffer, b"d");
        assert!(split(&mut buffer).is_empty());
    }
}
