//! From changes in the caches, and from streams of keys, to keys in the queue.

use crate::{
    Watches,
    discovery::{self, Follower, Served},
    metrics::Counter,
    queue::{Measured, Priority, WorkQueue},
    view::{Caches, View},
    watches::{Discovered, Relation, Source},
};
use futures::{Stream, StreamExt, future::ready, stream, stream::BoxStream};
use orch_api::{Gvr, Key};
use orch_store::{Ambient, Informer, Revision, Stored, ambient::Tasks, informer::Delta, panics::caught};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::mpsc::UnboundedReceiver;

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
        for discovered in &self.watches.discovered {
            let asks = stream::select(discovery::definitions(self.caches.informers()), self.wishes());
            let follower = Discovering { feed: self.clone(), discovered: discovered.clone() };
            tasks.spawn(discovery::follow(Arc::new(follower), asks, tasks.child()));
        }
        for wakes in &self.watches.joints {
            self.pour(&tasks, wakes(&self.caches));
        }
        for external in &self.watches.streams {
            let Some(keys) = external.keys.lock().take() else {
                tracing::warn!(controller = self.name, stream = external.name, "somebody else reads this stream");
                continue;
            };
            self.pour(&tasks, keys);
        }
        tasks
    }

    /// Leads keys that are ready to the queue.
    fn pour(&self, tasks: &Tasks, mut keys: BoxStream<'static, Key>) {
        let queue = self.queue.clone();
        tasks.spawn(async move {
            while let Some(key) = keys.next().await {
                queue.add(key, Priority::Normal);
            }
        });
    }

    /// Speaks whenever something else is wanted of a root object.
    fn wishes(&self) -> impl Stream<Item = ()> + Send + use<> {
        let root = self.watches.sources.first().map(|root| root.informer(self.caches.informers()).subscribe());
        let follow = |mut deltas: UnboundedReceiver<Delta>| async move { Some((deltas.recv().await?, deltas)) };
        let deltas = stream::iter(root).flat_map(move |deltas| stream::unfold(deltas, follow));
        deltas.filter_map(|delta| ready(begins_anew(&delta).then_some(())))
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
        let priority = source.priority.unwrap_or_else(|| priority(delta, listed, begins_anew));
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
        self.guard(&source.kind.kind, delta, || self.watches.keys(source, delta, &View::live(&self.caches)))
    }

    fn guard(&self, kind: &str, delta: &Delta, keys: impl FnOnce() -> Vec<Key>) -> Vec<Key> {
        caught(keys).unwrap_or_else(|why| {
            (self.panics)(1);
            let object = delta.key();
            tracing::error!(
                controller = self.name,
                kind,
                ?object,
                why,
                "a predicate or mapper panicked; the change is lost"
            );
            Vec::new()
        })
    }
}

/// Feeds from resources of which it is known only now which they are.
struct Discovering {
    feed: Feed,
    discovered: Discovered,
}

impl Follower for Discovering {
    fn wanted(&self) -> Vec<Served> {
        caught(|| (self.discovered.wanted)(&View::live(&self.feed.caches))).unwrap_or_else(|why| {
            tracing::error!(controller = self.feed.name, why, "a mapper panicked; nothing is followed for it");
            Vec::new()
        })
    }

    fn informer(&self, resource: &Gvr) -> Informer {
        self.feed.caches.informers().metadata(resource)
    }

    fn changed(&self, served: &Served, delta: &Delta) {
        let keys = || (self.discovered.keys)(delta, &View::live(&self.feed.caches));
        for key in self.feed.guard(&served.kind.kind, delta, keys) {
            self.feed.queue.add_after(key, self.discovered.debounce);
        }
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

/// Whether earlier failures say nothing about the root object any more: it is another one, is wanted otherwise, or is to go.
fn begins_anew(delta: &Delta) -> bool {
    let (Some(old), Some(new)) = (&delta.old, &delta.new) else { return true };
    old.meta.uid != new.meta.uid
        || old.meta.is_deleting() != new.meta.is_deleting()
        || match (old.meta.generation, new.meta.generation) {
            (0, 0) => wanted(old) != wanted(new),
            (old, new) => old != new,
        }
}

/// What somebody wants of an object whose kind counts no generations (a ConfigMap, a Service): everything but its metadata
/// and status, as text. `None` where that cannot be read, which is never another wish.
fn wanted(object: &Stored) -> Option<BTreeMap<String, &str>> {
    let parts: BTreeMap<String, &RawValue> = serde_json::from_slice(&object.json).ok()?;
    let wishes = parts.into_iter().filter(|(name, _)| name != "metadata" && name != "status");
    Some(wishes.map(|(name, part)| (name, part.get())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stored(change: Value) -> Arc<Stored> {
        let mut object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}, "data": {"a": "1"},
            "status": {"phase": "Active"}});
        json_patch(&mut object, change);
        Arc::new(Stored::from_json(object.to_string().into()).unwrap())
    }

    fn json_patch(object: &mut Value, change: Value) {
        for (name, value) in change.as_object().unwrap() {
            match value {
                Value::Object(_) if object[name].is_object() => json_patch(&mut object[name], value.clone()),
                _ => object[name] = value.clone(),
            }
        }
    }

    #[track_caller]
    fn check(old: Value, new: Value, expect: bool) {
        assert_eq!(begins_anew(&Delta { old: Some(stored(old)), new: Some(stored(new)) }), expect);
    }

    #[test]
    fn failures_say_nothing_any_more_when_something_else_is_wanted_and_not_when_a_status_changes() {
        let generation = |number: u32| json!({"metadata": {"generation": number}});
        check(generation(1), generation(2), true);
        check(generation(1), generation(1), false);
        check(json!({}), json!({"metadata": {"uid": "other"}}), true);
        check(json!({}), json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), true);
        check(json!({}), json!({"status": {"phase": "Terminating"}}), false);
        check(json!({}), json!({"metadata": {"labels": {"a": "b"}}}), false);
        // Kinds without generations.
        check(json!({}), json!({"data": {"a": "2"}}), true);
        // A generation counts for itself: what a webhook fills in is no new wish.
        check(generation(1), json!({"metadata": {"generation": 1}, "data": {"a": "2"}}), false);
    }
}
