//! A server, and requests to it in one line each.

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use orch_apiserver::{ApiServer, ApiService, Builder};
use orch_store::{Ambient, backend::memory::MemoryBackend};
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;

pub struct Server {
    pub api: ApiServer,
    pub service: ApiService,
}

pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// `CODE REASON: MESSAGE` of a refusal.
    pub fn status(&self) -> String {
        let status = self.json();
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {}", self.code.as_u16(), text("reason"), text("message"))
    }

    pub fn ok(self) -> Value {
        assert!(self.code.is_success(), "{}: {}", self.code, self.text);
        self.json()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.headers.get_all("warning").iter().filter_map(|v| v.to_str().ok()).collect()
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::of(ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()))).await
    }

    pub async fn of(builder: Builder) -> Self {
        let api = builder.build().await.unwrap();
        Self { service: api.service(), api }
    }

    pub async fn send(&self, request: Request<Full<bytes::Bytes>>) -> Answer {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { code: parts.status, headers: parts.headers, text }
    }

    pub async fn call(&self, method: Method, uri: &str, content_type: &str, body: impl Into<bytes::Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.call(Method::GET, uri, "", "").await
    }

    pub async fn get_as(&self, uri: &str, accept: &str) -> Answer {
        let request = Request::builder().uri(uri).header("accept", accept).body(Full::default()).unwrap();
        self.send(request).await
    }

    pub async fn post(&self, uri: &str, body: Value) -> Answer {
        self.call(Method::POST, uri, "application/json", body.to_string()).await
    }

    pub async fn put(&self, uri: &str, body: Value) -> Answer {
        self.call(Method::PUT, uri, "application/json", body.to_string()).await
    }

    pub async fn patch(&self, uri: &str, kind: &str, body: Value) -> Answer {
        self.call(Method::PATCH, uri, &format!("application/{kind}"), body.to_string()).await
    }

    pub async fn delete(&self, uri: &str) -> Answer {
        self.call(Method::DELETE, uri, "", "").await
    }

    /// With the service account that every pod needs.
    pub async fn with_account(self) -> Self {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        self.post("/api/v1/namespaces/default/serviceaccounts", account).await.ok();
        self
    }
}

pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const PODS: &str = "/api/v1/namespaces/default/pods";

pub fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "example"}]}})
}

pub fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "main", "image": "example"}]}}}})
}
