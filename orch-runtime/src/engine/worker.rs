//! A worker: takes keys, survives what happens to them, and returns each through the consistency gate.

use super::{Options, Work};
use crate::{
    Error, Watches,
    gate::{Journal, Written},
    metrics::{self, Counter, Gauge, Histogram, Meter},
    queue::{Measured, WorkQueue},
    view::Caches,
};
use orch_api::Key;
use orch_store::{Ambient, panics::caught_async};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

pub(super) struct Shared {
    pub(super) name: &'static str,
    pub(super) work: Arc<dyn Work>,
    pub(super) watches: Arc<Watches>,
    pub(super) caches: Caches,
    pub(super) ambient: Ambient,
    pub(super) queue: Arc<Measured<Key>>,
    pub(super) meters: Meters,
    pub(super) options: Options,
}

/// The instruments of one loop.
pub(super) struct Meters {
    busy: AtomicUsize,
    active: Gauge,
    max: Gauge,
    time: Histogram,
    succeeded: Counter,
    requeued: Counter,
    failed: Counter,
    errors: Counter,
    terminal: Counter,
    panics: Counter,
    timeouts: Counter,
}

impl Meters {
    pub(super) fn new(controller: &str, meter: &dyn Meter) -> Self {
        let labels = [("controller", controller)];
        let result =
            |result| meter.counter(&metrics::RECONCILES_TOTAL, &[("controller", controller), ("result", result)]);
        Self {
            busy: AtomicUsize::new(0),
            active: meter.gauge(&metrics::WORKERS_ACTIVE, &labels),
            max: meter.gauge(&metrics::WORKERS_MAX, &labels),
            time: meter.histogram(&metrics::RECONCILE_TIME, &labels),
            succeeded: result("success"),
            requeued: result("requeue_after"),
            failed: result("error"),
            errors: meter.counter(&metrics::RECONCILE_ERRORS, &labels),
            terminal: meter.counter(&metrics::RECONCILE_TERMINAL, &labels),
            panics: meter.counter(&metrics::RECONCILE_PANICS, &labels),
            timeouts: meter.counter(&metrics::RECONCILE_TIMEOUTS, &labels),
        }
    }

    fn count(&self, result: &Result<Option<Duration>, Error>) {
        match result {
            Ok(None) => (self.succeeded)(1),
            Ok(Some(_)) | Err(Error::RequeueAfter(_)) => (self.requeued)(1),
            Err(error) => {
                (self.failed)(1);
                (self.errors)(1);
                match error {
                    Error::Terminal(_) => (self.terminal)(1),
                    Error::Panic(_) => (self.panics)(1),
                    Error::Timeout(_) => (self.timeouts)(1),
                    _ => {}
                }
            }
        }
    }
}

/// A busy worker, until dropped.
struct Busy<'a>(&'a Meters);

impl<'a> Busy<'a> {
    fn new(meters: &'a Meters) -> Self {
        (meters.active)((meters.busy.fetch_add(1, Ordering::Relaxed) + 1) as f64);
        Self(meters)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        (self.0.active)((self.0.busy.fetch_sub(1, Ordering::Relaxed) - 1) as f64);
    }
}

/// Works until the queue is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    (shared.meters.max)(shared.options.concurrency.max(1) as f64);
    while let Some(key) = shared.queue.next().await {
        let (busy, began) = (Busy::new(&shared.meters), Instant::now());
        let journal = Journal::default();
        let result = process(&shared, &key, &journal).await;
        (shared.meters.time)(began.elapsed().as_secs_f64());
        shared.meters.count(&result);
        drop(busy);
        settle(&shared, &key, result);
        release(&shared, key, journal.written());
    }
}

async fn process(shared: &Shared, key: &Key, journal: &Journal) -> Result<Option<Duration>, Error> {
    // The future is made inside as well: making it may panic, too.
    let work = caught_async(async { shared.work.process(key, journal).await });
    match tokio::time::timeout(shared.options.timeout, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(why)) => Err(Error::Panic(why)),
        Err(_) => Err(Error::Timeout(shared.options.timeout)),
    }
}

fn settle(shared: &Shared, key: &Key, result: Result<Option<Duration>, Error>) {
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
    if written.seen(&shared.caches) {
        return shared.queue.done(&key);
    }
    let waiting = shared.clone();
    shared.ambient.tasks.spawn(async move {
        written.wait(&waiting.caches).await;
        waiting.queue.done(&key);
    });
}
