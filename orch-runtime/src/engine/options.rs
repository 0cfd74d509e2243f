//! [`Options`]: how a loop runs.

use crate::{
    leader::Leadership,
    metrics::{Meter, Unmeasured},
    queue::{Backoff, Queue, RateLimit, WorkQueue},
};
use orch_api::Key;
use std::{fmt, sync::Arc, time::Duration};

/// Makes the queue of a loop.
pub type MakeQueue = Arc<dyn Fn(&Options) -> Arc<dyn WorkQueue<Key>> + Send + Sync>;

/// How a loop runs.
#[derive(Clone)]
pub struct Options {
    /// How many keys are worked on at once.
    pub concurrency: usize,
    /// After this long a reconcile is abandoned and tried again.
    pub timeout: Duration,
    /// How long a failing key waits.
    pub backoff: Backoff,
    /// How many keys the queue hands out; as many as there are when unset.
    pub limit: Option<RateLimit>,
    /// How long what is under way may take to finish when the loop is stopped.
    pub drain: Duration,
    /// Where metrics go.
    pub meter: Arc<dyn Meter>,
    /// A queue of your own in place of the default one.
    pub queue: Option<MakeQueue>,
    /// Whose lead the workers wait for. Until then caches and queue are filled: a warm standby.
    pub lead: Option<Leadership>,
    /// Which of several clusters this is; empty where there is one.
    pub cluster: Arc<str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 5,
            timeout: Duration::from_secs(60),
            backoff: Backoff::default(),
            limit: None,
            drain: Duration::from_secs(30),
            meter: Arc::new(Unmeasured),
            queue: None,
            lead: None,
            cluster: Arc::from(""),
        }
    }
}

impl Options {
    pub(super) fn new_queue(&self) -> Arc<dyn WorkQueue<Key>> {
        match &self.queue {
            Some(make) => make(self),
            None => Arc::new(Queue::new(self.backoff).with_limit(self.limit)),
        }
    }

    /// The name by which metrics tell the loop from others.
    pub(super) fn label(&self, name: &str) -> String {
        if self.cluster.is_empty() { name.to_owned() } else { format!("{name}/{}", self.cluster) }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("concurrency", &self.concurrency)
            .field("timeout", &self.timeout)
            .field("backoff", &self.backoff)
            .field("limit", &self.limit)
            .field("drain", &self.drain)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
