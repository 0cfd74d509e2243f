//! [`Progress`]: how far the feed is, and how to wait for it.

use crate::{Backend, Revision, backend::BackendError, watched as watch};
use std::{sync::Arc, time::Duration};

/// How often a wait for what the store has is prolonged. On a machine that is starved for processors the feed comes late,
/// and what has been acknowledged must not be called the future for that.
const PATIENCE: usize = 10;

/// How far the caches are. Cheap to clone.
#[derive(Clone)]
pub(super) struct Progress {
    seen: Arc<watch::Sender<Seen>>,
    backend: Arc<dyn Backend>,
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    revision: Revision,
    closed: bool,
}

impl Progress {
    pub(super) fn new(backend: Arc<dyn Backend>, timeout: Duration) -> Self {
        Self { seen: Arc::new(watch::Sender::new(Seen::default())), backend, timeout }
    }

    pub(super) fn revision(&self) -> Revision {
        self.seen.borrow().revision
    }

    pub(super) fn advance(&self, revision: Revision) {
        self.seen.send_if_modified(|seen| {
            let newer = revision > seen.revision;
            seen.revision = seen.revision.max(revision);
            newer
        });
    }

    /// The store was set back or its history lost: this is how far it is now.
    pub(super) fn set(&self, revision: Revision) {
        self.seen.send_modify(|seen| seen.revision = revision);
    }

    pub(super) fn close(&self) {
        self.seen.send_modify(|seen| seen.closed = true);
    }

    /// Resolves when everything up to the revision has been dealt out.
    pub(super) async fn reached(&self, revision: Revision) -> Result<(), BackendError> {
        if self.revision() >= revision {
            return Ok(());
        }
        let mut seen = self.seen.subscribe();
        for _ in 0..PATIENCE {
            let wait = seen.wait_for(|seen| seen.closed || seen.revision >= revision);
            let waited = tokio::time::timeout(self.timeout, wait).await;
            match waited.map(|seen| seen.is_ok_and(|seen| seen.revision >= revision)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(BackendError::Closed),
                Err(_) if self.backend.revision().await? < revision => break,
                Err(_) => {}
            }
        }
        Err(BackendError::Future { requested: revision, current: self.revision() })
    }
}
