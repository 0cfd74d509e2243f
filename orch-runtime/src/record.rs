//! [`Recording`]: a client that remembers what was written through it, for the consistency gate and for reads of one's
//! own writes.

use crate::gate::Journal;
use async_trait::async_trait;
use orch_api::Gvr;
use orch_store::{
    Client, Stored,
    client::{Around, DeleteOptions, ListOptions, Result, Write},
};
use std::sync::Arc;

/// A client around another that notes the revision of every write.
///
/// A refused write is not noted, nor is one whose answer was lost: whether it happened is not known, and so whoever
/// depends on it must look at the server. The deletion of a collection is noted with the revision at which the
/// collection is read afterwards.
pub struct Recording {
    inner: Arc<dyn Client>,
    journal: Journal,
}

impl Recording {
    /// A client that notes its writes in a journal.
    pub fn new(inner: Arc<dyn Client>, journal: Journal) -> Arc<Self> {
        Arc::new(Self { inner, journal })
    }
}

#[async_trait]
impl Around for Recording {
    fn inner(&self) -> Result<Arc<dyn Client>> {
        Ok(self.inner.clone())
    }

    async fn write(&self, write: Write<'_>) -> Result<Arc<Stored>> {
        let (gvr, dry) = (write.resource, write.is_dry());
        let stored = write.send(&*self.inner).await?;
        if !dry {
            self.journal.note(gvr, stored.revision);
        }
        Ok(stored)
    }

    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.inner.delete_collection(resource, select, options).await?;
        let page = self.inner.list(resource, &ListOptions { limit: 1, ..select.clone() }).await?;
        self.journal.note(resource, page.revision);
        Ok(())
    }
}
