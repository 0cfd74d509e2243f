//! `garbage-collector-controller`: deletes what has lost its owners (`pkg/controller/garbagecollector`).
//!
//! It looks at every resource that is served, so it is no controller of one kind: [`Graph`] holds who owns
//! whom and decides purely; this loop feeds it from all informers and performs its plans.

mod absent;
mod decide;
mod graph;
#[cfg(test)]
mod live_tests;
mod lookup;
#[cfg(test)]
mod tests;

pub use decide::{Answers, Presence};
pub use graph::{Graph, Identity, Item};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Event;
use orch_api::{Gvr, Object};
use orch_runtime::{
    ControlLoop, Deletes, Description, Discovery, Options, Priority, WorkQueue,
    discovery::{self, Follower, Served},
    executor::{Executor, Recorder},
    gate::Journal,
    queue::Queue,
    view::Caches,
};
use orch_store::{Ambient, Informer, informer::Delta, panics::caught_async};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Deletes what has lost its owners.
pub struct GarbageCollector {
    /// Which resources there are.
    pub discovery: Arc<dyn Discovery>,
}

const NAME: &str = "garbage-collector-controller";
const ABOUT: &str = "Deletes objects whose owners are gone, in the background or before their owner, or orphans them.";

/// How long to wait for the first state of every resource.
const PATIENCE: Duration = Duration::from_secs(30);

type Uid = Arc<str>;

#[async_trait]
impl ControlLoop for GarbageCollector {
    fn describe(&self) -> Description {
        Description {
            name: NAME,
            about: ABOUT,
            root: "every kind".into(),
            owns: Vec::new(),
            watches: Vec::new(),
            deletes: Deletes::Others("objects all of whose owners are gone"),
        }
    }

    async fn run(self: Arc<Self>, caches: Caches, ambient: Ambient, options: Options) {
        let client = caches.informers().client().clone();
        let recorder = Recorder::new(client.clone(), &ambient, NAME);
        let shared = Arc::new(Shared {
            discovery: self.discovery.clone(),
            executor: Executor::new(client, recorder, NAME),
            caches,
            graph: Mutex::default(),
            queue: Queue::new(options.backoff),
        });
        let tasks = ambient.tasks.child();
        let definitions = discovery::definitions(shared.caches.informers());
        tasks.spawn(discovery::follow(shared.clone(), definitions, tasks.clone()));
        let all_synced = async {
            for served in collected(&*self.discovery) {
                shared.caches.informers().get(&served.gvr).synced().await;
            }
        };
        // A kind that cannot be read must not keep all others from being collected (`initialSyncTimeout`).
        let begin = tokio::time::timeout(PATIENCE, all_synced);
        // Who stops before that has nothing to finish; the caches may never be synced then.
        match ambient.tasks.cancelled().run_until_cancelled(begin).await {
            None => return tasks.stop().await,
            Some(Ok(())) => {}
            Some(Err(_)) => tracing::warn!(controller = NAME, "not all resources could be read, beginning anyway"),
        }
        let workers: Vec<_> = (0..options.concurrency.max(1))
            .map(|_| ambient.tasks.spawn_graceful(work(shared.clone(), options.timeout)))
            .collect();
        ambient.tasks.cancelled().cancelled().await;
        shared.queue.close();
        futures::future::join_all(workers).await;
        tasks.stop().await;
    }
}

struct Shared {
    discovery: Arc<dyn Discovery>,
    executor: Executor,
    caches: Caches,
    graph: Mutex<Graph>,
    queue: Queue<Uid>,
}

impl Shared {
    fn examine_all(&self, uids: BTreeSet<Uid>) {
        for uid in uids {
            self.queue.add(uid, Priority::Normal);
        }
    }
}

/// What is collected: everything but events, which nobody owns and which are many.
fn collected(discovery: &dyn Discovery) -> Vec<Served> {
    let is_event = |gvr: &Gvr| gvr.resource == Event::gvr().resource && matches!(&*gvr.group, "" | "events.k8s.io");
    discovery.served().into_iter().filter(|s| !is_event(&s.gvr)).collect()
}

impl Follower for Shared {
    fn wanted(&self) -> Vec<Served> {
        collected(&*self.discovery)
    }

    fn informer(&self, resource: &Gvr) -> Informer {
        self.caches.informers().get(resource)
    }

    fn changed(&self, served: &Served, delta: &Delta) {
        let examine = self.graph.lock().apply(served, delta);
        self.examine_all(examine);
    }

    fn ended(&self, resource: &Gvr) {
        let examine = self.graph.lock().forget(resource);
        self.examine_all(examine);
    }
}

async fn work(shared: Arc<Shared>, timeout: Duration) {
    while let Some(uid) = shared.queue.next().await {
        let examined = caught_async(examine(&shared, &uid));
        match tokio::time::timeout(timeout, examined).await {
            Ok(Ok(Ok(()))) => shared.queue.forget(&uid),
            Ok(Ok(Err(why))) => {
                let delay = shared.queue.fail(uid.clone());
                tracing::debug!(%uid, why, ?delay, "not collected; trying again");
            }
            Ok(Err(why)) => {
                tracing::error!(controller = NAME, %uid, why, "panicked; trying again");
                shared.queue.fail(uid.clone());
            }
            Err(_) => drop(shared.queue.fail(uid.clone())),
        }
        shared.queue.done(&uid);
    }
}

async fn examine(shared: &Shared, uid: &Uid) -> Result<(), String> {
    let questions = shared.graph.lock().questions(uid);
    let client = shared.caches.informers().client();
    let answers = lookup::ask(&**client, &*shared.discovery, questions).await?;
    let (plan, next) = {
        let mut graph = shared.graph.lock();
        graph.learn(answers.iter().filter(|(_, found)| **found == Presence::Absent).map(|(owner, _)| owner.clone()));
        (graph.decide(uid, &answers), graph.woken_by(uid))
    };
    for action in &plan.actions {
        tracing::debug!("{action}");
    }
    let performed = shared.executor.perform(&plan, &Journal::default()).await;
    shared.examine_all(next);
    let some = |presence| answers.values().any(|answer| *answer == presence);
    match performed.error {
        Some(error) => Err(error.to_string()),
        None if some(Presence::CannotOwn) => Ok(()),
        None if some(Presence::Unknown) => Err("an owner's kind is not served".into()),
        // Its end would be missed if it came before it is seen.
        None if some(Presence::Present) => Err("an owner has not been seen yet".into()),
        None => Ok(()),
    }
}
