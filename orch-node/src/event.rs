//! Events about pods and nodes as kubelet writes them, by the recorder that all components share.

use k8s_openapi::api::core::v1::ObjectReference;
use orch_runtime::{
    executor::{self, Reporter, Style},
    plan::Notice,
};
use orch_store::{Ambient, Client};
use std::sync::Arc;

/// Whether something is as it should be.
pub use orch_runtime::plan::EventKind as Severity;

/// Writes events in the background, in order. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(executor::Recorder);

impl Recorder {
    /// A recorder of the node agent.
    pub fn new(client: Arc<dyn Client>, node: String, ambient: Ambient) -> Self {
        Self::of("kubelet", client, node, ambient)
    }

    /// A recorder of a component of a node.
    pub fn of(component: &'static str, client: Arc<dyn Client>, node: String, ambient: Ambient) -> Self {
        let reporter = Reporter { component, host: node, style: Style::Counted };
        Self(executor::Recorder::of(client, &ambient, reporter))
    }

    /// Records an event; dropped with a trace when the API server is too slow for all of them.
    pub fn record(
        &self,
        about: &ObjectReference,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let message = message.into();
        tracing::debug!(name = about.name, reason, message, "event");
        self.0.record(Notice { regarding: about.clone(), kind: severity, reason: reason.into(), message });
    }
}
