//! Custom kinds. Tests that port one of Kubernetes' conformance tests carry its codename in a comment.

mod apply;
mod conformance;
mod conversion;
mod definitions;
mod objects;
mod real;
mod retries;
mod rules;
mod versions;

use crate::support::*;
use orch_api::{Key, k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition};
use orch_store::ClientExt;
use serde_json::{Value, json};

pub const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

/// A definition of Widgets with one version and this schema for `spec`.
pub fn definition(spec: Value) -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": spec,
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// Waits until the definition of that name has a condition of that status.
pub async fn wait(server: &Server, name: &str, condition: &str, status: &str) -> Value {
    let client = server.api.client();
    let key = Key::cluster(name);
    let is = |d: Option<&CustomResourceDefinition>| {
        let conditions = d.and_then(|d| d.status.as_ref()).and_then(|s| s.conditions.clone()).unwrap_or_default();
        conditions.iter().any(|c| c.type_ == condition && c.status == status)
    };
    client.wait_for(&key, is).await.unwrap();
    server.get(&format!("{CRDS}/{name}")).await.ok()
}

/// Waits until the definition of that name is gone.
pub async fn wait_gone(server: &Server, name: &str) {
    let gone = |d: Option<&CustomResourceDefinition>| d.is_none();
    server.api.client().wait_for(&Key::cluster(name), gone).await.unwrap();
}

/// A server with a definition that is established.
pub async fn serve(definition: Value) -> Server {
    let server = Server::start().await;
    add(&server, definition).await;
    server
}

pub async fn add(server: &Server, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    server.post(CRDS, definition).await.ok();
    wait(server, &name, "Established", "True").await
}

pub fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    definition["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

/// `path: message` of every cause of a refusal.
pub fn causes(answer: &Answer) -> Vec<String> {
    let causes = answer.json()["details"]["causes"].as_array().cloned().unwrap_or_default();
    causes
        .iter()
        .map(|c| format!("{}: {}", c["field"].as_str().unwrap_or(""), c["message"].as_str().unwrap()))
        .collect()
}
