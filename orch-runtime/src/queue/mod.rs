//! The work queue: which key is worked on next.
//!
//! [`Core`] decides, synchronously and with time as a parameter; [`Queue`] adds waiting.

mod backoff;
mod core;
mod limit;
mod measured;
#[cfg(test)]
mod tests;

pub use self::{backoff::Backoff, core::Core, limit::RateLimit, measured::Measured};

use async_trait::async_trait;
use parking_lot::Mutex;
use std::{hash::Hash, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// How urgent a key is. A lower priority is overtaken by a higher one, but only by keys that come
/// within [`Core::AGEING`] per level: nothing starves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Objects that were there when the process began.
    Low,
    /// Changes.
    #[default]
    Normal,
    /// Someone waits for it.
    High,
}

/// A queue of keys.
///
/// # Laws
///
/// - A key waits at most once, and is handed to one worker at a time: a key that is added while it is
///   worked on comes back after `done`.
/// - A key that failed is not handed out before its backoff has passed, whoever adds it; `forget` lifts that.
/// - Of several delays for a key the earliest wins.
/// - After `close`, `next` hands out nothing more.
#[async_trait]
pub trait WorkQueue<K: Send>: Send + Sync {
    /// Asks for the key to be worked on.
    fn add(&self, key: K, priority: Priority);

    /// Asks for the key to be worked on after a while.
    fn add_after(&self, key: K, delay: Duration);

    /// Counts a failure and asks for the key after its backoff, which is returned.
    fn fail(&self, key: K) -> Duration;

    /// Ends the key's backoff: it succeeded, or it changed so much that the failures say nothing.
    fn forget(&self, key: &K);

    /// The next key, or `None` when the queue was closed. The caller owes a `done`.
    async fn next(&self) -> Option<K>;

    /// The key is no longer worked on.
    fn done(&self, key: &K);

    /// How many keys are ready.
    fn depth(&self) -> usize;

    /// Wakes all workers with `None`.
    fn close(&self);
}

/// The default queue, on tokio's time.
#[derive(Debug)]
pub struct Queue<K> {
    core: Mutex<Core<K>>,
    changed: Notify,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// An empty queue.
    pub fn new(backoff: Backoff) -> Self {
        Self { core: Mutex::new(Core::new(backoff)), changed: Notify::new() }
    }

    /// The same, with a limit to what it hands out; for a queue that is empty still.
    #[must_use]
    pub fn with_limit(self, limit: Option<RateLimit>) -> Self {
        Self { core: Mutex::new(self.core.into_inner().with_limit(limit)), changed: self.changed }
    }

    fn change<R>(&self, f: impl FnOnce(&mut Core<K>, Instant) -> R) -> R {
        let result = f(&mut self.core.lock(), Instant::now());
        self.changed.notify_one();
        result
    }
}

#[async_trait]
impl<K: Clone + Eq + Hash + Ord + Send + Sync> WorkQueue<K> for Queue<K> {
    fn add(&self, key: K, priority: Priority) {
        self.change(|core, now| core.add(key, priority, now));
    }

    fn add_after(&self, key: K, delay: Duration) {
        self.change(|core, now| core.add_at(key, now + delay, now));
    }

    fn fail(&self, key: K) -> Duration {
        self.change(|core, now| core.fail(key, now))
    }

    fn forget(&self, key: &K) {
        self.change(|core, now| core.forget(key, now));
    }

    async fn next(&self) -> Option<K> {
        loop {
            let (deadline, closed) = {
                let now = Instant::now();
                let mut core = self.core.lock();
                if let Some(key) = core.pop(now) {
                    if core.depth() > 0 || core.next_deadline().is_some() {
                        self.changed.notify_one();
                    }
                    return Some(key);
                }
                (core.next_chance(now), core.is_closed())
            };
            if closed {
                self.changed.notify_one();
                return None;
            }
            match deadline {
                Some(at) => tokio::select! {
                    biased;
                    () = tokio::time::sleep_until(at) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
        }
    }

    fn done(&self, key: &K) {
        self.change(|core, now| core.done(key, now));
    }

    fn depth(&self) -> usize {
        self.core.lock().depth()
    }

    fn close(&self) {
        self.change(|core, _| core.close());
    }
}
