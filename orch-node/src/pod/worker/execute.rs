//! Beginning what the plan says.

use super::{Done, Worker};
use crate::{
    event::Severity,
    pod::{action::Action, backoff::later, spec, start, stop},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

impl Worker {
    pub(super) fn execute(&mut self, pod: &Arc<Pod>, action: Action, now: Timestamp) {
        if !matches!(action, Action::Finish) {
            tracing::debug!(pod = spec::display(pod), %action, "next");
        }
        let (node, pod) = (self.node.clone(), pod.clone());
        match action {
            Action::PrepareVolumes => self.prepare_volumes(),
            Action::CreateSandbox { attempt } => {
                self.seen.busy.sandbox = true;
                if attempt > 0 {
                    let words = "Pod sandbox changed, it will be killed and re-created.".to_owned();
                    node.event(&pod, None, Severity::Normal, "SandboxChanged", words);
                }
                self.ops.push(Box::pin(async move { Done::Sandbox(start::sandbox(&node, &pod, attempt).await) }));
            }
            Action::StopSandbox { id } => {
                self.seen.busy.sandbox = true;
                self.ops.push(Box::pin(async move { Done::SandboxDown(node.runtime.stop_sandbox(&id).await) }));
            }
            Action::RemoveSandbox { id } => {
                self.seen.sandboxes.retain(|s| s.id != id);
                self.ops.push(Box::pin(async move {
                    drop(node.runtime.remove_sandbox(&id).await);
                    Done::Collected
                }));
            }
            Action::RemoveContainer { id } => {
                self.seen.sandboxes.iter_mut().for_each(|s| s.containers.retain(|c| c.id != id));
                self.seen.messages.remove(&id);
                self.ops.push(Box::pin(async move {
                    drop(node.runtime.remove_container(&id).await);
                    Done::Collected
                }));
            }
            Action::Start { name, attempt, backoff } => {
                let Some(sandbox) = self.seen.newest().cloned() else { return };
                if let Some(backoff) = backoff {
                    self.seen.backoff.insert(name.clone(), backoff);
                }
                self.seen.busy.starting.insert(name.clone());
                let start = start::Start {
                    node,
                    pod,
                    sandbox,
                    name: name.clone(),
                    attempt,
                    references: self.references.clone(),
                    ending: self.ending.clone(),
                    before: self.seen.failures.get(&name).cloned(),
                };
                self.ops.push(Box::pin(async move { Done::Started { name, result: start.run().await } }));
            }
            Action::Kill { id, name, grace, reason } => {
                let again = self.seen.busy.stopping.insert(id.clone(), later(now, grace)).is_some();
                let ip = self.seen.newest().and_then(|s| s.ips.first().copied());
                let stop = stop::Stop { node, pod, id: id.clone(), name, ip, grace, reason, again };
                self.ops.push(Box::pin(async move {
                    stop.run().await;
                    Done::Killed { id }
                }));
            }
            Action::Finish => self.finish(&pod),
        }
    }

    pub(super) fn probe(&mut self, pod: &Pod, now: Timestamp) {
        let due = self.probes.begin(&self.node, pod, &mut self.seen, now);
        for tick in due {
            self.ops.push(Box::pin(async move { Done::Probed(tick.await) }));
        }
    }
}
