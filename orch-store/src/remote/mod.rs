//! [`RemoteClient`]: the [`Client`] over HTTP, to any Kubernetes API server, on kube-client.

mod answer;
mod lines;
mod request;
#[cfg(test)]
mod tests;

use crate::{
    Client, Stored,
    client::{DeleteOptions, ListOptions, Page, Patch, Result, WatchOptions, WatchStream, WriteOptions},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use orch_api::{Gvr, Key, Reason, StatusError};
use request::Call;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// How long a watch lasts when its options do not say: less than what proxies between tolerate.
const WATCH_TIMEOUT: Duration = Duration::from_secs(290);

/// How long past its timeout a silent watch is believed to be alive.
const GRACE: Duration = Duration::from_secs(15);

/// A [`Client`] over HTTP. Cheap to clone.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use orch_store::{ClientExt, remote::RemoteClient};
/// # use orch_api::k8s_openapi::api::core::v1::Node;
/// let client = RemoteClient::new(kube::Client::try_default().await?);
/// let nodes = client.read_all::<Node>("").await?;
/// # Ok(())
/// # }
/// ```
///
/// Where it differs from a client in process:
///
/// - [`Client::delete`] answers with name and UID alone where the server says no more of what it deleted.
/// - A watch whose options have no timeout ends after about five minutes, so that a connection that died
///   silently is noticed. Informers resume by themselves.
/// - Timeouts are whole seconds, and at least three where bookmarks are wanted, since kube-apiserver sends
///   the last bookmark two seconds before the end.
#[derive(Clone)]
pub struct RemoteClient {
    client: kube::Client,
}

impl RemoteClient {
    /// A client on a kube-client, which knows the server, TLS and credentials: from a kubeconfig, from
    /// the environment of a pod, or over any `tower` service.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// The kube-client underneath, for `kube::Api` and its like.
    pub fn kube(&self) -> &kube::Client {
        &self.client
    }

    async fn send(&self, call: Call) -> Result<Response<Body>> {
        let body = call.body.map_or_else(|| Ok(Vec::new()), |body| serde_json::to_vec(&body));
        let mut request = Request::new(Body::from(body.map_err(StatusError::internal)?));
        *request.method_mut() = call.method;
        *request.uri_mut() = call.uri.parse().map_err(|e| StatusError::bad_request(format!("{e}: {}", call.uri)))?;
        *request.headers_mut() = HeaderMap::from_iter(call.headers);
        let response = self.client.send(request).await.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let body = collect(response).await.unwrap_or_default();
        Err(answer::refusal(code, &body))
    }

    async fn fetch(&self, call: Call) -> Result<Bytes> {
        collect(self.send(call).await?).await
    }

    async fn object(&self, call: Call) -> Result<Arc<Stored>> {
        answer::object(self.fetch(call).await?).map(Arc::new)
    }
}

#[async_trait]
impl Client for RemoteClient {
    async fn get(&self, resource: &Gvr, key: &Key, subresource: Option<&str>) -> Result<Arc<Stored>> {
        self.object(Call::get(resource, key, subresource)).await
    }

    async fn list(&self, resource: &Gvr, options: &ListOptions) -> Result<Page> {
        answer::page(&self.fetch(Call::list(resource, options)).await?)
    }

    async fn watch(&self, resource: &Gvr, options: &WatchOptions) -> Result<WatchStream> {
        let timeout = request::watch_timeout(options, WATCH_TIMEOUT);
        let response = self.send(Call::watch(resource, options, timeout)).await?;
        let lines = lines::split(response.into_body().into_data_stream());
        let events = lines.map(|line| answer::event(&line.map_err(unreachable)?));
        Ok(events.take_until(tokio::time::sleep(timeout + GRACE)).boxed())
    }

    async fn create(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.object(Call::create(resource, key, subresource, body, options)).await
    }

    async fn update(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        body: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.object(Call::update(resource, key, subresource, body, options)).await
    }

    async fn patch(
        &self,
        resource: &Gvr,
        key: &Key,
        subresource: Option<&str>,
        patch: Patch,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>> {
        self.object(Call::patch(resource, key, subresource, patch, options)).await
    }

    async fn delete(&self, resource: &Gvr, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>> {
        let answer = self.fetch(Call::delete(resource, key, options)).await?;
        answer::deleted(key, answer).map(Arc::new)
    }

    async fn delete_collection(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.fetch(Call::delete_collection(resource, select, options)).await.map(drop)
    }
}

async fn collect(response: Response<Body>) -> Result<Bytes> {
    Ok(response.into_body().collect().await.map_err(unreachable)?.to_bytes())
}

/// The server could not be reached, or went away amid an answer. Try again.
fn unreachable(error: impl std::fmt::Display) -> StatusError {
    StatusError::new(Reason::ServiceUnavailable, format!("the server cannot be reached: {error}"))
}
