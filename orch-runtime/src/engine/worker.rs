//! A worker: takes keys, survives what happens to them, and returns each through the consistency gate.

use super::{Options, Processed, Work};
use crate::{
    Error, Watches,
    gate::Written,
    queue::{Queue, WorkQueue},
    view::Caches,
};
use futures::FutureExt;
use orch_api::Key;
use orch_store::Ambient;
use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) work: Arc<dyn Work>,
    pub(super) watches: Arc<Watches>,
    pub(super) caches: Caches,
    pub(super) ambient: Ambient,
    pub(super) queue: Arc<Queue<Key>>,
    pub(super) options: Options,
}

/// Works until the queue is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    while let Some(key) = shared.queue.next().await {
        let processed = process(&shared, &key).await;
        settle(&shared, &key, processed.result);
        release(&shared, key, processed.written);
    }
}

async fn process(shared: &Shared, key: &Key) -> Processed {
    let work = AssertUnwindSafe(shared.work.process(key)).catch_unwind();
    match tokio::time::timeout(shared.options.timeout, work).await {
        Ok(Ok(processed)) => processed,
        Ok(Err(panic)) => failed(Error::Panic(words(&*panic))),
        Err(_) => failed(Error::Timeout(shared.options.timeout)),
    }
}

fn settle(shared: &Shared, key: &Key, result: Result<Option<std::time::Duration>, Error>) {
    let controller = shared.name;
    match result {
        Ok(requeue) => {
            shared.queue.forget(key);
            if let Some(delay) = requeue {
                shared.queue.add_after(key.clone(), delay);
            }
        }
        Err(Error::RequeueAfter(delay)) => shared.queue.add_after(key.clone(), delay),
        Err(Error::Terminal(why)) => {
            shared.queue.forget(key);
            tracing::warn!(controller, %key, why, "given up until something changes");
        }
        Err(error) => {
            let delay = shared.queue.fail(key.clone());
            if error.is_conflict() {
                tracing::debug!(controller, %key, %error, ?delay, "someone else wrote first");
            } else {
                tracing::warn!(controller, %key, %error, ?delay, "failed; trying again");
            }
        }
    }
}

/// Returns the key once the caches have seen what was written; the worker does not wait for that.
fn release(shared: &Arc<Shared>, key: Key, mut written: Written) {
    written.retain(|gvr| shared.watches.sources.iter().any(|s| s.gvr == *gvr));
    if written.seen(shared.caches.informers()) {
        return shared.queue.done(&key);
    }
    let waiting = shared.clone();
    shared.ambient.tasks.spawn(async move {
        written.wait(waiting.caches.informers()).await;
        waiting.queue.done(&key);
    });
}

fn failed(error: Error) -> Processed {
    Processed { written: Written::default(), result: Err(error) }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}
