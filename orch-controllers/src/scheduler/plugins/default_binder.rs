//! The binding itself.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use orch_api::{Object, StatusError};
use orch_runtime::scheduler::{Bind, Plugin, PodInfo, Points};
use orch_store::{Client, client::WriteOptions};
use serde_json::json;
use std::sync::Arc;

/// Binds through the `binding` subresource.
pub struct DefaultBinder;

impl Plugin for DefaultBinder {
    fn name(&self) -> &'static str {
        "DefaultBinder"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.bind(self);
    }
}

#[async_trait]
impl Bind for DefaultBinder {
    async fn bind(&self, client: &dyn Client, pod: &PodInfo, node: &str) -> Result<bool, StatusError> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": { "namespace": &*pod.key.namespace, "name": &*pod.key.name, "uid": &*pod.uid },
            "target": { "kind": "Node", "name": node },
        });
        client.create(&Pod::gvr(), &pod.key, Some("binding"), binding, &WriteOptions::default()).await?;
        Ok(true)
    }
}
