//! What is said of containers that wait.

use super::Worker;
use crate::{
    event::Severity,
    pod::{backoff::later, observed::FRESH, spec},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::ContainerState;

impl Worker {
    /// Events about containers that wait, and when the words of the status change by themselves.
    pub(super) fn announce(&mut self, pod: &Pod, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        if self.seen.ending_since.is_some() {
            return None;
        }
        for container in spec::containers(pod) {
            let name = container.name();
            if let Some(failure) = self.seen.failures.get(name)
                && let Some((reason, _)) = &failure.waiting
                && failure.retry_at > now
            {
                let settles = later(failure.since, FRESH);
                if settles > now {
                    next = Some(next.map_or(settles, |n| n.min(settles)));
                } else if self.announced.insert(format!("{name}/{}", failure.since)) {
                    let words = format!("Back-off pulling image {:?}", container.image());
                    self.node.event(pod, Some(name), Severity::Normal, "BackOff", words);
                    self.node.event(pod, Some(name), Severity::Warning, "Failed", format!("Error: {reason}"));
                }
            }
            let Some(last) = self.seen.current(name) else { continue };
            if let ContainerState::Exited { finished_at, exit_code, .. } = last.state
                && spec::restarts(pod, container, exit_code)
                && self.seen.held_back_until(name, finished_at, now).is_some()
                && self.announced.insert(last.id.clone())
            {
                let words = format!("Back-off restarting failed container {name} in pod {}", spec::display(pod));
                self.node.event(pod, Some(name), Severity::Warning, "BackOff", words);
            }
        }
        next
    }
}
