//! `garbage-collector-controller`: deletes what has lost its owners (`pkg/controller/garbagecollector`).
//!
//! It looks at every resource that is served, so it is no controller of one kind: [`Graph`] holds who owns
//! whom and decides purely; this loop feeds it from all informers and performs its plans.

mod decide;
mod graph;
#[cfg(test)]
mod live_tests;
mod lookup;
#[cfg(test)]
mod tests;

pub use decide::{Answers, Presence};
pub use graph::{Graph, Item};

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::Event, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use orch_api::{Gvr, Object};
use orch_runtime::{
    ControlLoop, Deletes, Description, Discovery, Options, Priority, WorkQueue,
    discovery::Served,
    executor::{Executor, Recorder},
    gate::Journal,
    queue::Queue,
    view::Caches,
};
use orch_store::{Ambient, ambient::Tasks, panics::caught_async};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// Deletes what has lost its owners.
pub struct GarbageCollector {
    /// Which resources there are.
    pub discovery: Arc<dyn Discovery>,
}

const NAME: &str = "garbage-collector-controller";
const ABOUT: &str = "Deletes objects whose owners are gone, in the background or before their owner, or orphans them.";

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
            absent: Mutex::default(),
        });
        let tasks = ambient.tasks.child();
        tasks.spawn(follow_all(shared.clone(), tasks.clone()));
        let all_synced = async {
            for served in collected(&*self.discovery) {
                shared.caches.informers().get(&served.gvr).synced().await;
            }
        };
        // Who stops before that has nothing to finish; the caches may never be synced then.
        if ambient.tasks.cancelled().run_until_cancelled(all_synced).await.is_none() {
            return tasks.stop().await;
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
    /// Owners that the API server said do not exist; a UID never comes back.
    absent: Mutex<lookup::Absent>,
}

/// What is collected: everything but events, which nobody owns and which are many.
fn collected(discovery: &dyn Discovery) -> Vec<Served> {
    let is_event = |gvr: &Gvr| gvr.resource == Event::gvr().resource && matches!(&*gvr.group, "" | "events.k8s.io");
    discovery.served().into_iter().filter(|s| !is_event(&s.gvr)).collect()
}

/// Follows every served resource, and looks again when a custom resource definition changes.
async fn follow_all(shared: Arc<Shared>, tasks: Tasks) {
    let mut followed: HashMap<Gvr, Tasks> = HashMap::new();
    let mut definitions = shared.caches.informers().of::<CustomResourceDefinition>().subscribe();
    loop {
        let served = collected(&*shared.discovery);
        followed.retain(|gvr, feed| {
            let keep = served.iter().any(|s| s.gvr == *gvr);
            if !keep {
                feed.cancel();
            }
            keep
        });
        for each in served {
            followed.entry(each.gvr.clone()).or_insert_with(|| {
                let feed = tasks.child();
                feed.spawn(follow(shared.clone(), each));
                feed
            });
        }
        if definitions.recv().await.is_none() {
            return;
        }
    }
}

async fn follow(shared: Arc<Shared>, served: Served) {
    let mut deltas = shared.caches.informers().get(&served.gvr).subscribe();
    while let Some(delta) = deltas.recv().await {
        let examine = shared.graph.lock().apply(&served, &delta);
        for uid in examine {
            shared.queue.add(uid, Priority::Normal);
        }
    }
}

async fn work(shared: Arc<Shared>, timeout: std::time::Duration) {
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
    let answers = lookup::ask(&**client, &*shared.discovery, &shared.absent, questions).await?;
    let (plan, next) = {
        let graph = shared.graph.lock();
        (graph.decide(uid, &answers), graph.woken_by(uid))
    };
    for action in &plan.actions {
        tracing::debug!("{action}");
    }
    let performed = shared.executor.perform(&plan, &Journal::default()).await;
    for uid in next {
        shared.queue.add(uid, Priority::Normal);
    }
    match performed.error {
        Some(error) => Err(error.to_string()),
        None if answers.values().any(|a| *a == Presence::Unknown) => Err("an owner's kind is not served".into()),
        None => Ok(()),
    }
}
