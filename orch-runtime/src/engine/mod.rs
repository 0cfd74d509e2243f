//! The engine: what runs a loop. Generics end at [`Work`]; the rest is compiled once.

mod feed;
#[cfg(test)]
mod tests;
mod worker;

use crate::{
    Controller, Error, Watches,
    executor::{Executor, Recorder},
    gate::Written,
    queue::{Backoff, Queue},
    view::{Caches, Failure, View},
};
use async_trait::async_trait;
use dashmap::DashMap;
use orch_api::Key;
use orch_store::Ambient;
use std::{sync::Arc, time::Duration};

/// How a loop runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many keys are worked on at once.
    pub concurrency: usize,
    /// After this long a reconcile is abandoned and tried again.
    pub timeout: Duration,
    /// How long a failing key waits.
    pub backoff: Backoff,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 5, timeout: Duration::from_secs(60), backoff: Backoff::default() }
    }
}

/// Works on one key: the type-erased core of every loop.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Observes, decides and writes.
    async fn process(&self, key: &Key) -> Processed;
}

/// What became of a key.
#[derive(Debug)]
pub struct Processed {
    /// What was written, refusals or not.
    pub written: Written,
    /// When to look again, or why it failed.
    pub result: Result<Option<Duration>, Error>,
}

/// Runs a controller until the ambience's tasks are cancelled; keys that are worked on are finished.
pub async fn run<C: Controller>(controller: Arc<C>, caches: Caches, ambient: Ambient, options: Options) {
    let client = caches.informers().client().clone();
    let recorder = Recorder::new(client.clone(), &ambient, C::COMPONENT);
    let watches = controller.watches();
    let work = Arc::new(Planned {
        controller,
        caches: caches.clone(),
        executor: Executor::new(client, recorder, C::NAME),
        clock: ambient.clock.clone(),
        failures: DashMap::new(),
    });
    run_erased(C::NAME, work, watches, caches, ambient, options).await;
}

/// Runs any work: waits for all caches, feeds the queue from the watches, and keeps the workers going.
pub async fn run_erased(
    name: &'static str,
    work: Arc<dyn Work>,
    watches: Watches,
    caches: Caches,
    ambient: Ambient,
    options: Options,
) {
    let queue = Arc::new(Queue::<Key>::new(options.backoff));
    let informers = caches.informers().clone();
    for (gvr, index, values) in &watches.indexes {
        informers.get(gvr).index(index, *values);
    }
    let watches = Arc::new(watches);
    let feeds = feed::start(&watches, &caches, &ambient, &queue);
    let all_synced = async {
        for source in &watches.sources {
            informers.get(&source.gvr).synced().await;
        }
    };
    // Who stops before that has nothing to finish; the caches may never be synced then.
    if ambient.tasks.cancelled().run_until_cancelled(all_synced).await.is_none() {
        return feeds.stop().await;
    }
    tracing::debug!(controller = name, "caches are synced");
    let shared = Arc::new(worker::Shared { name, work, watches, caches, ambient: ambient.clone(), queue, options });
    let workers = (0..shared.options.concurrency.max(1))
        .map(|_| ambient.tasks.spawn_graceful(worker::run(shared.clone())))
        .collect::<Vec<_>>();
    ambient.tasks.cancelled().cancelled().await;
    crate::queue::WorkQueue::close(&*shared.queue);
    futures::future::join_all(workers).await;
    feeds.stop().await;
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
    async fn process(&self, key: &Key) -> Processed {
        let failure = self.failures.get(key).map(|f| f.clone());
        let world = self.controller.observe(key, &View::live(&self.caches).after(failure.as_ref()));
        let Some(world) = world else {
            self.failures.remove(key);
            return Processed { written: Written::default(), result: Ok(None) };
        };
        let world = match self.controller.gather(world, &**self.caches.informers().client()).await {
            Ok(world) => world,
            Err(error) => return Processed { written: Written::default(), result: Err(error) },
        };
        let plan = self.controller.plan(&world, self.clock.now());
        for action in &plan.actions {
            tracing::debug!(controller = C::NAME, %key, "{action}");
        }
        let performed = self.executor.perform(&plan).await;
        match performed.failure {
            Some(failure) => drop(self.failures.insert(key.clone(), failure)),
            None if failure.is_some() => drop(self.failures.remove(key)),
            None => {}
        }
        // The failure stood in the world that was observed: look again now that it is over.
        let again = failure.is_some().then_some(Duration::ZERO);
        let result = performed.error.map_or(Ok(plan.requeue_after.into_iter().chain(again).min()), Err);
        Processed { written: performed.written, result }
    }
}
