//! [`FaultyBackend`]: a store whose disk fails as planned, and which tells the observer of every commit.

use super::{injector::Injector, observer::Observer};
use async_trait::async_trait;
use orch_store::{
    Backend, Revision,
    backend::{Around, BackendError, Txn},
};
use std::sync::Arc;

/// A backend around another.
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    injector: Arc<Injector>,
    observer: Option<Arc<Observer>>,
}

impl FaultyBackend {
    /// A backend that fails as planned.
    pub fn new(inner: Arc<dyn Backend>, injector: Arc<Injector>) -> Self {
        Self { inner, injector, observer: None }
    }

    /// For the order of commits to be seen, `inner` must not wait in `commit`; the one in memory does not.
    pub(super) fn observed(self, observer: Arc<Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }
}

#[async_trait]
impl Around for FaultyBackend {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    async fn write(&self, txn: Txn) -> Result<Revision, BackendError> {
        if self.injector.disk_fails() {
            return Err(BackendError::Unavailable("injected: the disk fails".into()));
        }
        let Some(observer) = &self.observer else { return self.inner.commit(txn).await };
        let revision = self.inner.commit(txn.clone()).await?;
        observer.committed(revision, &txn);
        Ok(revision)
    }
}
