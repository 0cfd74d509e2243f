//! The end of a pod: what is left of it goes, and then its object.

use super::{
    Done, PODS, Worker,
    report::{GIVE_UP, fingerprint},
};
use crate::{agent::context::Node, pod::backoff::later, status, volume};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_api::Object;
use orch_store::{Revision, client::DeleteOptions};
use std::{sync::Arc, time::Duration};

/// How far the end of a pod has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    No,
    Cleaning,
    Cleaned,
}

impl Worker {
    /// Everything is down: remove what is left of a deleted pod, and then its object.
    pub(super) fn finish(&mut self, pod: &Arc<Pod>) {
        let deleted = self.seen.gone || pod.metadata.deletion_timestamp.is_some();
        let now = self.node.ambient.clock.now();
        let settled = self.seen.gone || !self.report.writing;
        if !deleted || !settled || self.finish != Finish::No {
            return;
        }
        let last = status::generate(pod, &self.seen, &self.node.host_ips, &self.node.runtime_name, now);
        let print = serde_json::to_value(&last).map(|v| fingerprint(&v)).unwrap_or_default();
        let told = self.report.written.is_some_and(|(revision, p)| revision != Revision(0) && p == print);
        let refused = self.report.failures >= GIVE_UP;
        if !self.seen.gone && pod.status.as_ref() != Some(&last) && !told && !refused {
            return;
        }
        self.finish = Finish::Cleaning;
        let (node, pod, gone) = (self.node.clone(), pod.clone(), self.seen.gone);
        let sandboxes: Vec<_> = self.seen.sandboxes.iter().map(|s| s.id.clone()).collect();
        self.ops.push(Box::pin(async move {
            let result = if gone { Ok(()) } else { delete(&node, &pod).await };
            if result.is_ok() {
                for id in sandboxes {
                    drop(node.runtime.remove_sandbox(&id).await);
                }
                volume::tear_down(&node, pod.metadata.uid.as_deref().unwrap_or_default()).await;
            }
            Done::Finished(result)
        }));
    }

    pub(super) fn finished(&mut self, result: Result<(), orch_api::StatusError>, now: Timestamp) {
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

/// Deletes the object now, if it is still this pod.
async fn delete(node: &Node, pod: &Pod) -> Result<(), orch_api::StatusError> {
    let options =
        DeleteOptions { uid: Some(pod.uid().into()), grace_period_seconds: Some(0), ..DeleteOptions::default() };
    match node.client.delete(&PODS, &pod.key(), &options).await {
        Err(error) if error.is_not_found() => Ok(()),
        // Either the name belongs to another pod by now, or somebody else wrote at the same time.
        Err(error) if error.is_conflict() => match node.client.get(&PODS, &pod.key(), None).await {
            Ok(found) if *found.meta.uid == *pod.uid() => Err(error),
            Err(unknown) if !unknown.is_not_found() => Err(unknown),
            _ => Ok(()),
        },
        other => other.map(drop),
    }
}
