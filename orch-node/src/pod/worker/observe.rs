//! Reading the runtime, and what ended containers left behind.

use super::Worker;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::{ContainerState, RuntimeError};
use std::collections::BTreeSet;

impl Worker {
    /// Reads the runtime when it has changed.
    pub(super) async fn observe(&mut self) {
        if !std::mem::take(&mut self.shared.inbox.lock().runtime_changed) {
            return;
        }
        let mut sandboxes = Vec::with_capacity(self.seen.sandboxes.len());
        for known in &self.seen.sandboxes {
            match self.node.runtime.sandbox(&known.id).await {
                Ok(sandbox) => sandboxes.push(sandbox),
                Err(RuntimeError::NotFound(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, sandbox = known.id, "the runtime did not answer");
                    sandboxes.push(known.clone());
                }
            }
        }
        self.seen.sandboxes = sandboxes;
        self.seen.sort();
        let running: BTreeSet<_> = self.seen.running().map(|c| c.id.clone()).collect();
        self.seen.health.retain(|id, _| running.contains(id));
        self.seen.busy.stopping.retain(|id, _| running.contains(id));
        self.shared.inbox.lock().sandboxes = self.seen.sandboxes.clone();
        self.shared.changes.send_modify(|n| *n += 1);
        self.read_messages().await;
    }

    pub(super) async fn read_messages(&mut self) {
        if !self.node.materialize {
            return;
        }
        let stored = self.shared.pod();
        let unread = |c: &&orch_runtime::node::container::Container| {
            matches!(c.state, ContainerState::Exited { .. }) && !self.seen.messages.contains_key(&c.id)
        };
        let ended: Vec<_> = self.seen.sandboxes.iter().flat_map(|s| &s.containers).filter(unread).cloned().collect();
        if ended.is_empty() {
            return;
        }
        let Ok(pod) = stored.decode::<Pod>() else { return };
        for container in ended {
            let message = crate::files::termination_message(&self.node, &pod, &container).await;
            self.seen.messages.insert(container.id, message);
        }
    }
}
