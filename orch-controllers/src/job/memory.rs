//! What the loop remembers of the ends of a Job's pods, for the wait before it replaces them: pods may be deleted as soon as
//! they are counted (`backoffStore` of `pkg/controller/job/backoff_utils.go`).

use super::pods::Claimed;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use orch_api::{Key, Object};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The wait does not grow after so many failures.
const ENOUGH: usize = 16;

/// What is remembered of all Jobs. It is lost with the process, as upstream's is; what pods that are there tell is not.
#[derive(Default)]
pub(super) struct Memory(Mutex<BTreeMap<Key, (Arc<str>, Past)>>);

/// When pods of one Job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    success: Option<Timestamp>,
    /// The last failures after it, by the UIDs of their pods.
    failures: BTreeMap<Arc<str>, Timestamp>,
}

impl Memory {
    pub(super) fn of(&self, job: &Job) -> Past {
        let all = self.0.lock();
        all.get(&job.key()).filter(|(uid, _)| **uid == *job.uid()).map(|(_, past)| past.clone()).unwrap_or_default()
    }

    pub(super) fn set(&self, job: &Job, past: Past) {
        if past == Past::default() {
            self.forget(&job.key());
        } else {
            self.0.lock().insert(job.key(), (job.uid().into(), past));
        }
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

impl Past {
    /// What is known with the pods that are there.
    pub(super) fn with(mut self, job: &Job, pods: &[Claimed<'_>]) -> Self {
        let at = |pod: &Claimed<'_>| pod.known.facts.finished_at;
        self.success = self.success.into_iter().chain(pods.iter().filter(|pod| pod.has_succeeded()).map(at)).max();
        let failed = pods.iter().filter(|pod| pod.has_failed(job) && !pod.was_discarded());
        self.failures.extend(failed.map(|pod| (pod.known.stored.meta.uid.clone(), at(pod))));
        self.failures.retain(|_, at| self.success.is_none_or(|success| *at > success));
        while self.failures.len() > ENOUGH
            && let Some(oldest) = self.failures.iter().min_by_key(|(_, at)| **at).map(|(uid, _)| uid.clone())
        {
            self.failures.remove(&oldest);
        }
        self
    }

    /// How many pods have failed since one succeeded, and when the last of them did.
    pub(super) fn failures(&self) -> Option<(usize, Timestamp)> {
        Some((self.failures.len(), self.failures.values().max().copied()?))
    }
}
