//! Registering the node, renewing its lease, and keeping its status (`nodelease/controller.go`,
//! `kubelet_node_status.go`).

use super::{AgentConfig, context::Node, object};
use crate::event::Severity;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as NodeObject, ObjectReference};
use orch_api::{Gvr, Key, StatusError};
use orch_runtime::node::container::RuntimeInfo;
use orch_store::{ClientExt, Stored, client::WriteOptions};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const NODES: Gvr = Gvr::of("", "v1", "nodes");
const LEASES: Gvr = Gvr::of("coordination.k8s.io", "v1", "leases");
/// Where leases of nodes are.
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// How long a lease lasts, in seconds.
const LEASE_SECONDS: u64 = 40;
/// How often an unchanged status is written.
const STATUS_EVERY: Duration = Duration::from_secs(300);

/// Registers the node and keeps it alive; never returns.
pub(super) async fn run(node: Arc<Node>, config: Arc<AgentConfig>, info: RuntimeInfo) {
    let mut beat = Heartbeat { node, config, info, lease: None, written: None };
    let mut delay = Duration::from_millis(200);
    while let Err(error) = beat.write_status().await {
        tracing::debug!(%error, "the node was not registered");
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(Duration::from_secs(7));
    }
    let about = ObjectReference {
        kind: Some("Node".into()),
        name: Some(beat.config.name.clone()),
        uid: Some(beat.config.name.clone()),
        ..ObjectReference::default()
    };
    beat.node.recorder.record(&about, Severity::Normal, "Starting", "Starting kubelet.");
    let words = format!("Node {} status is now: NodeReady", beat.config.name);
    beat.node.recorder.record(&about, Severity::Normal, "NodeReady", words);
    let interval = beat.config.lease_interval;
    // Nodes that start together do not beat together.
    let mut wait = interval.mul_f64(0.9 + 0.1 * beat.node.ambient.chance.fraction());
    loop {
        if let Err(error) = beat.renew().await {
            tracing::debug!(%error, "the lease was not renewed");
            beat.lease = None;
            wait = wait.min(Duration::from_secs(1));
        }
        if let Err(error) = beat.write_status().await {
            tracing::debug!(%error, "the node's status was not written");
        }
        beat.node.objects.sweep();
        tokio::time::sleep(wait).await;
        wait = interval.mul_f64(0.96 + 0.08 * beat.node.ambient.chance.fraction());
    }
}

struct Heartbeat {
    node: Arc<Node>,
    config: Arc<AgentConfig>,
    info: RuntimeInfo,
    lease: Option<Arc<Stored>>,
    /// The status as it was written last, with when.
    written: Option<(k8s_openapi::api::core::v1::NodeStatus, Timestamp)>,
}

impl Heartbeat {
    async fn renew(&mut self) -> Result<(), StatusError> {
        let client = &self.node.client;
        let key = Key::new(LEASE_NAMESPACE, self.config.name.as_str());
        let found = match self.lease.take() {
            Some(lease) => Some(lease),
            None => match client.get(&LEASES, &key, None).await {
                Ok(lease) => Some(lease),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            },
        };
        let now = format!("{:.6}", self.node.ambient.clock.now());
        let options = WriteOptions::default();
        let lease = match found {
            Some(lease) => {
                let mut body: Value = lease.parse()?;
                body["spec"]["renewTime"] = json!(now);
                body["spec"]["holderIdentity"] = json!(self.config.name);
                body["spec"]["leaseDurationSeconds"] = json!(LEASE_SECONDS);
                client.update(&LEASES, &key, None, body, &options).await?
            }
            None => {
                let owner = client.read::<NodeObject>(&Key::cluster(self.config.name.as_str())).await?;
                let body = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": self.config.name, "namespace": LEASE_NAMESPACE, "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Node", "name": self.config.name, "uid": owner.metadata.uid}]},
                    "spec": {"holderIdentity": self.config.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
                });
                client.create(&LEASES, &key, None, body, &options).await?
            }
        };
        self.lease = Some(lease);
        Ok(())
    }

    /// Writes the status when it changed, and every five minutes; registers the node when it is missing.
    async fn write_status(&mut self) -> Result<(), StatusError> {
        let now = self.node.ambient.clock.now();
        let images = self.node.runtime.images().await.unwrap_or_default();
        if let Some((written, at)) = &self.written {
            let fresh = Duration::try_from(now.duration_since(*at)).unwrap_or_default() < STATUS_EVERY;
            let old = NodeObject { status: Some(written.clone()), ..NodeObject::default() };
            if fresh && !object::differs(&object::status(&self.config, &self.info, &images, &old, now), written) {
                return Ok(());
            }
        }
        let stored = self.registered().await?;
        let old: NodeObject = stored.parse()?;
        let status = object::status(&self.config, &self.info, &images, &old, now);
        let mut body: Value = stored.parse()?;
        body["status"] = serde_json::to_value(&status).map_err(StatusError::internal)?;
        self.node.client.update(&NODES, &stored.key, Some("status"), body, &WriteOptions::default()).await?;
        self.written = Some((status, now));
        Ok(())
    }

    /// The Node object, made when it is missing, with the labels that it must have.
    async fn registered(&self) -> Result<Arc<Stored>, StatusError> {
        let (client, options) = (&self.node.client, WriteOptions::default());
        let key = Key::cluster(self.config.name.as_str());
        let found = match client.get(&NODES, &key, None).await {
            Err(error) if error.is_not_found() => {
                return client.create(&NODES, &key, None, object::registration(&self.config), &options).await;
            }
            other => other?,
        };
        let wanted = object::labels(&self.config);
        let missing: serde_json::Map<_, _> = wanted
            .into_iter()
            .filter(|(key, value)| found.meta.labels.get(key.as_str()).is_none_or(|v| v != value.as_str()))
            .map(|(key, value)| (key, json!(value)))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let patch = orch_store::client::Patch::Merge(json!({"metadata": {"labels": missing}}));
        client.patch(&NODES, &key, None, patch, &options).await
    }
}
