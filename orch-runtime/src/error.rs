//! [`Error`]: why a reconcile failed, said as what the engine should do about it.

use orch_api::StatusError;
use std::time::Duration;

/// Why a reconcile failed. Each variant says what happens next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Try again after the key's backoff.
    #[error("{0}")]
    Retry(String),
    /// A request was refused; try again after the key's backoff, from a fresh read.
    #[error("{0}")]
    Refused(#[from] StatusError),
    /// Do not try again until the object or what it depends on changes.
    #[error("{0}")]
    Terminal(String),
    /// Not an error of the object: try again after this long, without growing the backoff.
    #[error("not yet; again in {0:?}")]
    RequeueAfter(Duration),
    /// The reconcile took longer than it may.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
    /// The reconcile panicked. The key is tried again; other keys are not affected.
    #[error("panicked: {0}")]
    Panic(String),
}

impl Error {
    /// Whether the API server refused the write because someone else wrote first.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(e) if e.is_conflict())
    }
}
