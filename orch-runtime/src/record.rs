//! [`Recording`]: a client that remembers what was written through it, for the consistency gate and for reads of one's
//! own writes.

use crate::gate::Written;
use async_trait::async_trait;
use orch_api::Gvr;
use orch_store::{
    Client, Stored,
    client::{Around, DeleteOptions, ListOptions, Result, Write},
};
use parking_lot::Mutex;
use std::sync::Arc;

/// A client around another that notes the revision of every write.
///
/// A refused write is not noted, nor is one whose answer was lost: whether it happened is not known, and so whoever
/// depends on it must look at the server. The deletion of a collection is noted with the revision at which the
/// collection is read afterwards.
pub struct Recording {
    inner: Arc<dyn Client>,
    written: Mutex<Written>,
}

impl Recording {
    /// A client that has written nothing yet.
    pub fn new(inner: Arc<dyn Client>) -> Arc<Self> {
        Arc::new(Self { inner, written: Mutex::default() })
    }

    /// What was written until now.
    pub fn written(&self) -> Written {
        self.written.lock().clone()
    }
}

#[async_trait]
impl Around for Recording {
    fn inner(&self) -> &dyn Client {
        &*self.inner
    }

    async fn write(&self, write: Write<'_>) -> Result<Arc<Stored>> {
        let (gvr, dry) = (write.resource, write.is_dry());
        let stored = write.send(&*self.inner).await?;
        if !dry {
            self.written.lock().note(gvr, stored.revision);
        }
        Ok(stored)
    }

    async fn sweep(&self, resource: &Gvr, select: &ListOptions, options: &DeleteOptions) -> Result<()> {
        self.inner.delete_collection(resource, select, options).await?;
        let page = self.inner.list(resource, &ListOptions { limit: 1, ..select.clone() }).await?;
        self.written.lock().note(resource, page.revision);
        Ok(())
    }
}
