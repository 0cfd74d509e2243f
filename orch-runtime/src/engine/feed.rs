//! From changes in the caches to keys in the queue.

use crate::{
    Watches,
    queue::{Priority, Queue, WorkQueue},
    view::{Caches, View},
    watches::{Relation, Source},
};
use orch_api::Key;
use orch_store::{Ambient, ambient::Tasks, informer::Delta};
use std::sync::Arc;

/// Subscribes to every watched resource. The returned owner stops the feeds.
pub(super) fn start(watches: &Arc<Watches>, caches: &Caches, ambient: &Ambient, queue: &Arc<Queue<Key>>) -> Tasks {
    let tasks = ambient.tasks.child();
    for source in &watches.sources {
        let informer = caches.informers().get(&source.gvr);
        if matches!(source.relation, Relation::Read) {
            continue;
        }
        let mut deltas = informer.subscribe();
        let (watches, source, caches, queue) = (watches.clone(), source.clone(), caches.clone(), queue.clone());
        tasks.spawn(async move {
            while let Some(delta) = deltas.recv().await {
                let priority = if informer.has_synced() { Priority::Normal } else { Priority::Low };
                enqueue(&watches, &source, &delta, &caches, &queue, priority);
            }
        });
    }
    tasks
}

fn enqueue(watches: &Watches, source: &Source, delta: &Delta, caches: &Caches, queue: &Queue<Key>, priority: Priority) {
    for key in watches.keys(source, delta, &View::live(caches)) {
        if matches!(source.relation, Relation::Root) && begins_anew(delta) {
            queue.forget(&key);
        }
        queue.add(key, priority);
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
