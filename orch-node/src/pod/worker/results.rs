//! What actions came to, and what that changes.

use super::{Done, Worker};
use crate::pod::backoff::later;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::Sandbox;
use std::time::Duration;

impl Worker {
    /// Takes in what an action came to.
    pub(super) fn apply(&mut self, done: Done) {
        let now = self.node.ambient.clock.now();
        match done {
            Done::Sandbox(result) => {
                self.seen.busy.sandbox = false;
                match result {
                    Ok(id) => {
                        self.seen.sandbox_retry_at = None;
                        self.seen.sandboxes.insert(0, Sandbox { id, ..Sandbox::default() });
                    }
                    Err(error) => {
                        self.warn("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {error}"));
                        self.seen.sandbox_retry_at = Some(later(now, Duration::from_secs(10)));
                    }
                }
                self.look_again();
            }
            Done::SandboxDown(result) => {
                self.seen.busy.sandbox = false;
                if let Err(error) = result {
                    self.warn("FailedKillPod", format!("error killing pod: {error}"));
                }
                self.look_again();
            }
            Done::Started { name, result } => {
                self.seen.busy.starting.remove(&name);
                match result {
                    Ok(()) => drop(self.seen.failures.remove(&name)),
                    Err(failure) => drop(self.seen.failures.insert(name, failure)),
                }
                self.look_again();
            }
            Done::Killed { id } => {
                self.seen.busy.stopping.remove(&id);
                self.look_again();
            }
            Done::Collected => {}
            Done::Volumes(result) => self.volumes_prepared(result, now),
            Done::References => {
                self.watch_references();
                self.refresh_volumes_at = Some(now);
                for failure in self.seen.failures.values_mut().filter(|f| f.reason == "CreateContainerConfigError") {
                    failure.retry_at = now;
                }
            }
            Done::Probed(tick) => {
                if let Ok(pod) = self.shared.pod().decode::<Pod>() {
                    self.probes.end(&self.node, &pod, &mut self.seen, tick);
                }
            }
            Done::Reported(result) => self.reported(result, now),
            Done::Finished(result) => self.finished(result, now),
        }
    }
}
