//! [`Progress`]: how far the feed is, and how to wait for it.

use crate::{Revision, backend::BackendError, watched as watch};
use std::{sync::Arc, time::Duration};

/// How far the caches are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    seen: Arc<watch::Sender<Seen>>,
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    revision: Revision,
    closed: bool,
}

impl Progress {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { seen: Arc::new(watch::Sender::new(Seen::default())), timeout }
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
        let wait = seen.wait_for(|seen| seen.closed || seen.revision >= revision);
        match tokio::time::timeout(self.timeout, wait).await {
            Ok(Ok(seen)) if seen.revision >= revision => Ok(()),
            Ok(_) => Err(BackendError::Closed),
            Err(_) => Err(BackendError::Future { requested: revision, current: self.revision() }),
        }
    }
}
