//! From changes in the caches, and from streams of keys, to keys in the queue.

use crate::{
    Watches,
    metrics::Counter,
    queue::{Measured, Priority, WorkQueue},
    view::{Caches, View},
    watches::{Relation, Source},
};
use futures::StreamExt;
use orch_api::Key;
use orch_store::{Ambient, Revision, ambient::Tasks, informer::Delta};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// What leads changes to the queue of one loop.
#[derive(Clone)]
pub(super) struct Feed {
    pub(super) name: &'static str,
    pub(super) watches: Arc<Watches>,
    pub(super) caches: Caches,
    pub(super) queue: Arc<Measured<Key>>,
    pub(super) panics: Counter,
}

impl Feed {
    /// Subscribes to every watched resource. The returned owner stops the feeds.
    pub(super) fn start(self, ambient: &Ambient) -> Tasks {
        let tasks = ambient.tasks.child();
        for source in &self.watches.sources {
            if !matches!(source.relation, Relation::Read) {
                tasks.spawn(self.clone().follow(source.clone()));
            }
        }
        for external in &self.watches.streams {
            let Some(mut keys) = external.keys.lock().take() else {
                tracing::warn!(controller = self.name, stream = external.name, "somebody else reads this stream");
                continue;
            };
            let queue = self.queue.clone();
            tasks.spawn(async move {
                while let Some(key) = keys.next().await {
                    queue.add(key, Priority::Normal);
                }
            });
        }
        tasks
    }

    async fn follow(self, source: Source) {
        let informer = source.informer(self.caches.informers());
        let mut deltas = informer.subscribe();
        informer.synced().await;
        let listed = informer.revision();
        while let Some(delta) = deltas.recv().await {
            self.enqueue(&source, &delta, listed);
        }
    }

    fn enqueue(&self, source: &Source, delta: &Delta, listed: Revision) {
        let begins_anew = matches!(source.relation, Relation::Root) && begins_anew(delta);
        let priority = priority(delta, listed, begins_anew);
        for key in self.keys(source, delta) {
            if begins_anew {
                self.queue.forget(&key);
            }
            match source.debounce {
                Some(delay) => self.queue.add_after(key, delay),
                None => self.queue.add(key, priority),
            }
        }
    }

    /// The keys that a change asks for; none where a predicate or mapper panics, which is named.
    fn keys(&self, source: &Source, delta: &Delta) -> Vec<Key> {
        let keys = || self.watches.keys(source, delta, &View::live(&self.caches));
        catch_unwind(AssertUnwindSafe(keys)).unwrap_or_else(|panic| {
            (self.panics)(1);
            let (kind, object) = (&source.kind.kind, delta.key());
            let why = super::worker::words(&*panic);
            tracing::error!(controller = self.name, %kind, ?object, why, "a predicate or mapper panicked; the change is lost");
            Vec::new()
        })
    }
}

/// What was there when the loop began is the least urgent, what somebody wants anew of a root object the most.
fn priority(delta: &Delta, listed: Revision, begins_anew: bool) -> Priority {
    let initial = delta.old.is_none() && delta.new.as_ref().is_some_and(|new| new.revision <= listed);
    match (initial, begins_anew) {
        (true, _) => Priority::Low,
        (false, true) => Priority::High,
        (false, false) => Priority::Normal,
    }
}

/// Whether earlier failures say nothing about the root object any more.
fn begins_anew(delta: &Delta) -> bool {
    match (&delta.old, &delta.new) {
        (Some(old), Some(new)) => {
            let (old, new) = (&old.meta, &new.meta);
            old.uid != new.uid
                || old.generation != new.generation
                || old.deletion_timestamp.is_some() != new.deletion_timestamp.is_some()
        }
        _ => true,
    }
}
