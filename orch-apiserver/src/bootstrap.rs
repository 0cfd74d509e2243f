//! What must exist from the start: namespaces, priority classes, the `kubernetes` Service, the default roles.

use crate::{authz::bootstrap_objects, client::LocalClient, server::ApiServer};
use orch_api::{Gvk, Gvr, Key, StatusError};
use orch_store::{Client, client::WriteOptions};
use serde_json::{Value, json};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Restores the allocators and creates what is missing.
pub(crate) async fn run(server: &ApiServer, api_port: u16) -> Result<(), StatusError> {
    let core = server.core();
    if let Some(services) = core.registry.find(&Gvr::of("", "v1", "services")) {
        for service in core.storage.all(&services, "").await? {
            core.services.restore(&service.parse()?);
        }
    }
    let client = server.client();
    for name in NAMESPACES {
        ensure(server, &client, namespace(name)).await?;
    }
    for (name, value, description) in priority_classes() {
        ensure(server, &client, priority_class(name, value, description)).await?;
    }
    for object in bootstrap_objects() {
        ensure(server, &client, object).await?;
    }
    ensure(server, &client, kubernetes_service(server, api_port)).await
}

/// Creates an object unless one of its name exists.
async fn ensure(server: &ApiServer, client: &LocalClient, object: Value) -> Result<(), StatusError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let gvk = Gvk::parse(text("/apiVersion"), text("/kind"));
    let Some(kind) = server.core().registry.by_kind(&gvk) else { return Ok(()) };
    let key = Key::new(text("/metadata/namespace"), text("/metadata/name"));
    if server.core().storage.find(&kind, &key).await?.is_some() {
        return Ok(());
    }
    match client.create(&kind.gvr(), &key, None, object, &WriteOptions::default()).await {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
}

fn priority_classes() -> [(&'static str, i64, &'static str); 2] {
    [
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

fn priority_class(name: &str, value: i64, description: &str) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description})
}

fn kubernetes_service(server: &ApiServer, api_port: u16) -> Value {
    let ip = server.core().services.cidr().first().to_string();
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "sessionAffinity": "None",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": api_port}]}})
}
