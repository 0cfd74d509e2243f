//! [`Around`]: a backend around another one, without repeating the calls that it only passes on.

use super::{Backend, BackendError, Batches, Range, RangeReply, Revision, Txn};
use async_trait::async_trait;

/// A backend that looks at commits and watches on their way to another one, and passes the rest on as it is. Whatever
/// implements it is a [`Backend`].
#[async_trait]
pub trait Around: Send + Sync + 'static {
    /// The backend behind.
    fn inner(&self) -> &dyn Backend;

    /// A commit, passed on unless it is overridden.
    async fn write(&self, txn: Txn) -> Result<Revision, BackendError> {
        self.inner().commit(txn).await
    }

    /// A watch, passed on unless it is overridden.
    async fn begin_watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        self.inner().watch(prefix, after).await
    }
}

#[async_trait]
impl<A: Around> Backend for A {
    async fn commit(&self, txn: Txn) -> Result<Revision, BackendError> {
        self.write(txn).await
    }

    async fn range(&self, range: Range) -> Result<RangeReply, BackendError> {
        self.inner().range(range).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Batches, BackendError> {
        self.begin_watch(prefix, after).await
    }

    async fn revision(&self) -> Result<Revision, BackendError> {
        self.inner().revision().await
    }

    async fn compact(&self, revision: Revision) -> Result<(), BackendError> {
        self.inner().compact(revision).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.inner().close().await
    }
}
