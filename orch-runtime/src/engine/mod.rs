//! The engine: what runs a loop. Generics end at [`Work`]; the rest is compiled once.

mod feed;
mod options;
#[cfg(test)]
mod tests;
mod worker;

pub use options::{MakeQueue, Options};

use crate::{
    Controller, Error, Watches,
    executor::{Executor, Recorder},
    gate::Journal,
    queue::Measured,
    view::{Caches, Failure, View},
};
use async_trait::async_trait;
use dashmap::DashMap;
use orch_api::Key;
use orch_store::Ambient;
use std::{sync::Arc, time::Duration};

/// Works on one key: the type-erased core of every loop.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Observes, decides and writes. Answers when to look again, if not only after a change. Each write is noted as soon
    /// as it is answered: the work may be cut off at any `await`.
    async fn process(&self, key: &Key, journal: &Journal) -> Result<Option<Duration>, Error>;
}

/// Runs a controller until the ambience's tasks are cancelled; keys that are worked on are finished.
pub async fn run<C: Controller>(controller: Arc<C>, caches: Caches, ambient: Ambient, options: Options) {
    let client = caches.informers().client().clone();
    let (recorder, last_words) = Recorder::of_loop(client.clone(), &ambient, C::COMPONENT);
    let watches = controller.watches();
    let caches = caches.of(&watches);
    let work = Arc::new(Planned {
        controller,
        caches: caches.clone(),
        executor: Executor::new(client, recorder, C::NAME),
        clock: ambient.clock.clone(),
        failures: DashMap::new(),
    });
    run_erased(C::NAME, work, watches, caches, ambient, options).await;
    last_words.await;
}

/// Runs any work: waits for all caches, and for the lead where there is one, feeds the queue from the watches, and
/// keeps the workers going.
pub async fn run_erased(
    name: &'static str,
    work: Arc<dyn Work>,
    watches: Watches,
    caches: Caches,
    ambient: Ambient,
    options: Options,
) {
    let caches = caches.of(&watches);
    for source in &watches.sources {
        let informer = source.informer(caches.informers());
        let indexes = watches.indexes.iter().filter(|(gvr, _, _)| *gvr == source.gvr);
        indexes.for_each(|(_, index, values)| informer.index(index, *values));
    }
    let label = options.label(name);
    let queue = Measured::new(&label, options.new_queue(), &*options.meter);
    let meters = worker::Meters::new(&label, &*options.meter);
    let watches = Arc::new(watches);
    let feed = feed::Feed {
        name,
        watches: watches.clone(),
        caches: caches.clone(),
        queue: queue.clone(),
        panics: options.meter.counter(&crate::metrics::WATCH_PANICS, &[("controller", &label)]),
    };
    let feeds = feed.start(&ambient);
    let ready = async {
        synced(name, &watches, &caches).await;
        if let Some(lead) = &options.lead {
            lead.acquired().await;
        }
    };
    // Who stops before that has nothing to finish; the caches may never be synced then.
    if ambient.tasks.cancelled().run_until_cancelled(ready).await.is_none() {
        return feeds.stop().await;
    }
    let drain = options.drain;
    let shared =
        Arc::new(worker::Shared { name, work, watches, caches, ambient: ambient.clone(), queue, meters, options });
    let workers = (0..shared.options.concurrency.max(1))
        .map(|_| ambient.tasks.spawn_graceful(worker::run(shared.clone())))
        .collect::<Vec<_>>();
    ambient.tasks.cancelled().cancelled().await;
    crate::queue::WorkQueue::close(&*shared.queue);
    finish(name, workers, drain).await;
    feeds.stop().await;
}

/// Waits for what the workers have begun, and for no longer than the drain timeout.
async fn finish(name: &'static str, workers: Vec<tokio::task::JoinHandle<()>>, drain: Duration) {
    let aborts: Vec<_> = workers.iter().map(tokio::task::JoinHandle::abort_handle).collect();
    if tokio::time::timeout(drain, futures::future::join_all(workers)).await.is_err() {
        tracing::warn!(controller = name, ?drain, "what was under way did not end in time and is abandoned");
        aborts.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// After this long without all caches the missing ones are named.
const IMPATIENCE: Duration = Duration::from_secs(30);

/// Resolves when all caches of the watches have their first state.
async fn synced(name: &'static str, watches: &Watches, caches: &Caches) {
    let informers: Vec<_> = watches.sources.iter().map(|source| source.informer(caches.informers())).collect();
    let all = async {
        for informer in &informers {
            informer.synced().await;
        }
    };
    tokio::pin!(all);
    if tokio::time::timeout(IMPATIENCE, &mut all).await.is_err() {
        let missing: Vec<_> =
            informers.iter().filter(|i| !i.has_synced()).map(|i| i.resource().group_resource()).collect();
        tracing::warn!(controller = name, ?missing, "still waits for these caches");
        all.await;
    }
    tracing::debug!(controller = name, "caches are synced");
}

struct Planned<C> {
    controller: Arc<C>,
    caches: Caches,
    executor: Executor,
    clock: orch_store::Clock,
    failures: DashMap<Key, Failure>,
}

#[async_trait]
impl<C: Controller> Work for Planned<C> {
    async fn process(&self, key: &Key, journal: &Journal) -> Result<Option<Duration>, Error> {
        let failure = self.failures.get(key).map(|f| f.clone());
        let world = self.controller.observe(key, &View::live(&self.caches).after(failure.as_ref()));
        let Some(world) = world else {
            self.failures.remove(key);
            return Ok(None);
        };
        let world = self.controller.gather(world, &**self.caches.informers().client()).await?;
        let now = self.clock.now();
        let plan = self.controller.plan(&world, now);
        for action in &plan.actions {
            tracing::debug!(controller = C::NAME, %key, "{action}");
        }
        let performed = self.executor.perform(&plan, journal).await;
        self.controller.refused(&world, &performed.refusals);
        self.controller.remember(&world, now, performed.error.as_ref());
        match performed.failure {
            Some(failure) => drop(self.failures.insert(key.clone(), failure)),
            None if failure.is_some() => drop(self.failures.remove(key)),
            None => {}
        }
        // The failure stood in the world that was observed: look again now that it is over.
        let again = failure.is_some().then_some(Duration::ZERO);
        performed.error.map_or(Ok(plan.requeue_after.into_iter().chain(again).min()), Err)
    }
}
