//! Leader election on a Lease, as client-go's `leaderelection`, with a fence around the writes.
//!
//! # What is guaranteed
//!
//! A leader renews its lease every [`Election::retry_period`]. It believes to lead until [`Election::renew_deadline`]
//! after the moment at which it *sent* the last renewal that succeeded; another one waits for
//! [`Election::duration`] after it *saw* that renewal, which cannot be earlier. Both measure by their own monotonic
//! clock, so that wall clocks may differ; only a clock that runs slower than another by more than
//! `duration / renew_deadline` would break this.
//!
//! - **No write is sent** through a [`Fenced`] client after the deadline, so none is sent while another one leads.
//!   The check is made at each request, not by the task that renews, which may be starved.
//! - **A write under way at the deadline is abandoned** and answers with an error that says that its outcome is
//!   unknown. The server may still perform it. It has `duration - renew_deadline` (5 s) for that until another one can
//!   lead. A write that lies in the network or in the server for longer can take effect late: no client can rule that
//!   out, since Kubernetes has no fencing tokens. Writes with preconditions, which all updates of the executor are, are
//!   refused then if the new leader has written the object.
//! - **Reads are not fenced.** A standby reads, to be warm.
//!
//! Losing the lease ends the loops; whoever ran them should end the process, or begin from the start.

mod election;
mod fence;
#[cfg(test)]
mod tests;

pub use election::{Election, Elector, Ended};
pub use fence::Fenced;

use orch_store::watched as watch;
use std::sync::Arc;
use tokio::time::Instant;

/// Whether this process leads, for all who ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<watch::Sender<Lead>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// Not yet.
    Standby,
    /// Until then, unless the lease is renewed.
    Until(Instant),
    /// Not any more.
    Over,
}

impl Default for Leadership {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Lead::Standby)))
    }
}

impl Leadership {
    /// Until when this process leads; `None` when it does not.
    pub fn until(&self) -> Option<Instant> {
        match *self.0.borrow() {
            Lead::Until(at) if Instant::now() < at => Some(at),
            _ => None,
        }
    }

    /// Whether this process leads at this moment.
    pub fn holds(&self) -> bool {
        self.until().is_some()
    }

    /// Resolves when this process leads for the first time.
    pub async fn acquired(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        drop(self.0.subscribe().wait_for(|lead| matches!(lead, Lead::Until(_))).await);
    }

    /// Resolves when this process leads no longer.
    pub async fn lost(&self) {
        drop(self.0.subscribe().wait_for(|lead| *lead == Lead::Over).await);
    }

    fn hold(&self, until: Instant) {
        self.0.send_replace(Lead::Until(until));
    }

    fn lose(&self) {
        self.0.send_replace(Lead::Over);
    }
}
