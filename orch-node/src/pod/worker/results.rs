//! What actions came to, and what that changes.

use super::{Done, Finish, GIVE_UP, Worker};
use crate::{
    pod::{backoff::later, observed::Volumes},
    volume,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::Sandbox;
use orch_store::Stored;
use std::{sync::Arc, time::Duration};

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
                let stored = self.shared.inbox.lock().pod.clone();
                if let Ok(pod) = stored.decode::<Pod>() {
                    self.probes.end(&self.node, &pod, &mut self.seen, tick);
                }
            }
            Done::Reported(result) => self.reported(result, now),
            Done::Finished(result) => self.finished(result, now),
        }
    }

    fn volumes_prepared(&mut self, result: Result<Option<Timestamp>, volume::MountError>, now: Timestamp) {
        self.seen.busy.volumes = false;
        match result {
            Ok(again) => {
                self.volume_delay = Duration::ZERO;
                self.seen.volumes = Volumes::Ready;
                self.refresh_volumes_at = [self.refresh_volumes_at, again].into_iter().flatten().min();
            }
            Err(error) => {
                self.warn("FailedMount", error.to_string());
                self.volume_delay = (self.volume_delay * 2).clamp(Duration::from_millis(500), Duration::from_secs(122));
                let at = later(now, self.volume_delay);
                match self.seen.volumes {
                    Volumes::Ready => self.refresh_volumes_at = Some(at),
                    _ => self.seen.volumes = Volumes::RetryAt(at),
                }
            }
        }
    }

    fn reported(&mut self, result: Result<Arc<Stored>, orch_api::StatusError>, now: Timestamp) {
        self.report.writing = false;
        match result {
            Ok(stored) => {
                self.report.failures = 0;
                self.report.retry_at = None;
                self.report.written = self.report.written.map(|(_, print)| (stored.revision, print));
                self.shared.offer(stored);
            }
            // The watch brings what is newer; the retry covers the case that it brought it already.
            Err(error) => {
                self.report.written = None;
                if error.is_not_found() {
                    self.report.retry_at = Some(later(now, Duration::from_secs(5)));
                    return;
                }
                tracing::debug!(%error, "the status was not written");
                self.report.failures = (self.report.failures + 1).min(GIVE_UP);
                let delay = Duration::from_millis(20 << self.report.failures);
                self.report.retry_at = Some(later(now, delay));
            }
        }
    }

    fn finished(&mut self, result: Result<(), orch_api::StatusError>, now: Timestamp) {
        match result {
            Ok(()) => {
                self.finish = Finish::Cleaned;
                self.seen.gone = true;
            }
            Err(error) => {
                tracing::warn!(%error, "a pod that ended was not deleted");
                self.finish = Finish::No;
                self.report.retry_at = Some(later(now, Duration::from_secs(1)));
            }
        }
    }
}
