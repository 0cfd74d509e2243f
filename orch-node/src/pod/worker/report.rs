//! Writing the status of a pod.

use super::{Done, PODS, Worker};
use crate::{pod::backoff::later, status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_store::{
    Revision, Stored,
    client::{Patch, WriteOptions},
};
use std::{sync::Arc, time::Duration};

/// So long a report waits for what the agent is about to do: a pod that comes up at once is reported once, as it is then.
const BEGINNING: Duration = Duration::from_millis(100);

/// After so many failures the last status is given up, so that a deleted pod can go.
pub(super) const GIVE_UP: u32 = 8;

#[derive(Default)]
pub(super) struct Report {
    pub(super) writing: bool,
    pub(super) written: Option<(Revision, u64)>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) failures: u32,
    /// What the agent has begun may take until then before it is reported.
    hold_until: Option<Timestamp>,
}

impl Worker {
    /// Writes the status when it is not what the object says; the time to look again when that has to wait.
    pub(super) fn report(&mut self, pod: &Pod, stored: &Arc<Stored>, now: Timestamp) -> Option<Timestamp> {
        if self.report.writing || self.seen.gone || self.report.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        if self.is_beginning() && self.seen.ending_since.is_none() {
            let until = *self.report.hold_until.get_or_insert_with(|| later(now, BEGINNING));
            if until > now {
                return Some(until);
            }
        } else {
            self.report.hold_until = None;
        }
        let new = status::generate(pod, &self.seen, &self.node.host_ips, &self.node.runtime_name, now);
        if pod.status.as_ref() == Some(&new) {
            return None;
        }
        let value = serde_json::to_value(&new).ok()?;
        let fingerprint = fingerprint(&value);
        if self.report.written == Some((stored.revision, fingerprint)) {
            return None;
        }
        self.report.writing = true;
        self.report.written = Some((Revision(0), fingerprint));
        let (client, key) = (self.node.client.clone(), stored.key.clone());
        let patch = replacing(value, stored);
        self.ops.push(Box::pin(async move {
            Done::Reported(client.patch(&PODS, &key, Some("status"), patch, &WriteOptions::default()).await)
        }));
        None
    }

    pub(super) fn reported(&mut self, result: Result<Arc<Stored>, orch_api::StatusError>, now: Timestamp) {
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
}

/// The patch that gives an object another status, if it is still the one that was read. It says no more than that, so that
/// nobody has to read the rest.
fn replacing(status: serde_json::Value, stored: &Stored) -> Patch {
    Patch::Json(serde_json::json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": stored.revision.to_string()},
        {"op": "add", "path": "/status", "value": status},
    ]))
}

pub(super) fn fingerprint(value: &serde_json::Value) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(value.to_string().as_bytes());
    hasher.finish()
}
