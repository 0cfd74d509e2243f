//! What the API server passes on: logs, exec, attach and port-forward to the node agent, and plain HTTP to
//! nodes, pods and services.

mod connect;
mod forward;
mod locate;
mod streams;

pub(crate) use locate::endpoint_addresses;

use crate::{
    core::{Call, Core},
    http::{
        body::{Body, BoxError},
        info::RequestInfo,
        query::Query,
    },
};
use async_trait::async_trait;
use http::{Response, request::Parts};
use orch_api::{Kind, StatusError};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Reaches the node agents, which speak the kubelet's HTTP API over what comes back.
///
/// # Laws
///
/// Every call makes a new connection. Dialing a node that does not exist is [`io::ErrorKind::NotFound`].
#[async_trait]
pub trait NodeDialer: Send + Sync + 'static {
    /// Connects to the agent of a node.
    async fn dial(&self, node: &str) -> io::Result<Box<dyn Duplex>>;

    /// Connects to an address inside the cluster: a pod's.
    async fn dial_pod(&self, address: &str) -> io::Result<Box<dyn Duplex>> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        Ok(Box::new(stream))
    }
}

/// Whether a subresource is passed on instead of served.
pub(crate) fn is_proxied(kind: &Kind, subresource: &str) -> bool {
    kind.group.is_empty()
        && match &*kind.plural {
            "pods" => matches!(subresource, "log" | "exec" | "attach" | "portforward" | "proxy"),
            "services" | "nodes" => subresource == "proxy",
            _ => false,
        }
}

/// Passes a request on and its answer back.
pub(crate) async fn answer<B>(
    core: &Core,
    call: &Call,
    info: &RequestInfo,
    query: &Query,
    parts: Parts,
    body: B,
) -> Result<Response<Body>, StatusError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    if info.subresource != "log" {
        connect::admit(core, call, &info.subresource, &info.rest, query).await?;
    }
    match (&*call.kind.plural, &*info.subresource) {
        ("pods", "log") => streams::log(core, call, query, parts).await,
        ("pods", "exec" | "attach" | "portforward") => streams::stream(core, call, info, query, parts, body).await,
        (_, _) => locate::proxy(core, call, info, parts, body).await,
    }
}
