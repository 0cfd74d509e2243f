//! The consistency gate: a key is not worked on again until the caches have seen what its last plan
//! wrote (KEP-5647). That is why no controller contains "expectations".
//!
//! The queue hands a key to one worker at a time, so the gate needs no state of its own: the key simply
//! stays with the worker's task until the caches have caught up, while the worker takes the next key.

use crate::view::Caches;
use orch_api::Gvr;
use orch_store::Revision;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// After this long a key is worked on even if a cache lags: its writes are conditional anyhow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a plan wrote: the newest revision per resource. Deletions count with the revision of their answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<Gvr, Revision>);

impl Written {
    /// Notes a write.
    pub fn note(&mut self, gvr: &Gvr, revision: Revision) {
        let newest = self.0.entry(gvr.clone()).or_default();
        *newest = (*newest).max(revision);
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves only the resources that the caches follow for this controller.
    pub fn retain(&mut self, followed: impl Fn(&Gvr) -> bool) {
        self.0.retain(|gvr, _| followed(gvr));
    }

    /// Whether the caches have seen everything.
    pub fn seen(&self, caches: &Caches) -> bool {
        self.0.iter().all(|(gvr, revision)| caches.informer(gvr).revision() >= *revision)
    }

    /// Resolves when the caches have seen everything, or after [`PATIENCE`].
    pub async fn wait(&self, caches: &Caches) {
        let all = async {
            for (gvr, revision) in &self.0 {
                caches.informer(gvr).caught_up(*revision).await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(written = ?self.0, "the caches have not seen these writes; going on without");
        }
    }
}

impl FromIterator<(Gvr, Revision)> for Written {
    fn from_iter<I: IntoIterator<Item = (Gvr, Revision)>>(writes: I) -> Self {
        let mut written = Self::default();
        for (gvr, revision) in writes {
            written.note(&gvr, revision);
        }
        written
    }
}

/// What one piece of work has written so far. It is shared by the work and by whoever runs it, and so is known as well of
/// work that is cut off by a timeout or a panic. Clones are the same journal.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<Written>>);

impl Journal {
    /// Notes a write that was answered.
    pub fn note(&self, gvr: &Gvr, revision: Revision) {
        self.0.lock().note(gvr, revision);
    }

    /// What was written until now.
    pub fn written(&self) -> Written {
        self.0.lock().clone()
    }
}
