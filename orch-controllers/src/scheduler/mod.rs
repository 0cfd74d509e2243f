//! The scheduler: gives every pod a node.
//!
//! ```text
//! informers ─► State (cluster array, queue) ─► decide: pure ─► Work ─► bind | status and event, victims told to go
//! ```
//!
//! One task owns the state. Events and decisions take turns in it, so a decision sees every event that came
//! before it and nothing is copied or locked; bindings run beside it, and a pod counts on its node from the
//! moment it is chosen.

mod bind;
mod condition;
pub mod cycle;
mod evict;
mod guard;
#[cfg(test)]
mod guard_tests;
pub mod plugins;
pub mod queue;
mod recall;
mod search;
pub mod state;
pub mod storage;
#[cfg(test)]
mod tests;
mod words;

pub use cycle::{Decision, Refusal};
pub use guard::{Guard, Panicked, Point};
pub use orch_runtime::scheduler::Profile;
pub use plugins::default_profile;

use bind::Binder;
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use orch_runtime::scheduler::{Budget, PodInfo};
use orch_store::{Ambient, Informers, informer::Delta};
use state::{State, Work};
use std::time::Duration;
use storage::StorageFeed;
use tokio::sync::mpsc::UnboundedReceiver;

/// After this many decisions other tasks get a turn.
const DECISIONS_PER_TURN: usize = 16;

/// Schedules pods until the ambience stops. Profiles are chosen by `spec.schedulerName`.
pub async fn run(profiles: Vec<Profile>, informers: Informers, ambient: Ambient) {
    run_guarded(profiles, informers, ambient, Guard::default()).await;
}

/// As [`run`], and counts the panics of plugins.
pub async fn run_guarded(profiles: Vec<Profile>, informers: Informers, ambient: Ambient, guard: Guard) {
    let (pods, nodes) = (informers.of::<Pod>(), informers.of::<Node>());
    let (budgets, namespaces) = (informers.of::<PodDisruptionBudget>(), informers.of::<Namespace>());
    let storage = StorageFeed::start(&informers);
    let mut feeds = Feeds {
        pods: pods.subscribe(),
        nodes: nodes.subscribe(),
        budgets: budgets.subscribe(),
        namespaces: namespaces.subscribe(),
        storage,
    };
    pods.synced().await;
    nodes.synced().await;
    budgets.synced().await;
    namespaces.synced().await;
    feeds.storage.synced().await;
    let mut state = State::new(profiles, ambient.chance.child("scheduler"), guard.clone());
    let mut binder = Binder::new(informers, &ambient, guard);
    loop {
        feeds.drain(&mut state, &ambient);
        binder.drain(&mut state, &ambient);
        for _ in 0..DECISIONS_PER_TURN {
            if binder.is_full() {
                break;
            }
            match state.step(ambient.clock.now()) {
                Some(Work::Bind(assumed)) => binder.bind(assumed),
                Some(Work::Refuse(pod, refusal, eviction)) => binder.refuse(&pod, &refusal, eviction),
                None => {
                    if !wait(&mut feeds, &mut binder, &mut state, &ambient).await {
                        return;
                    }
                    break;
                }
            }
        }
        if binder.is_full() {
            binder.finished(&mut state, &ambient).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until something happens or a deadline of the queue comes. False when the informers are gone.
async fn wait(feeds: &mut Feeds, binder: &mut Binder, state: &mut State, ambient: &Ambient) -> bool {
    let now = ambient.clock.now();
    let next = state.queue().next_deadline().map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    let deadline = async {
        match next {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        delta = feeds.pods.recv() => match delta {
            Some(delta) => pod_changed(state, &delta, ambient),
            None => return false,
        },
        delta = feeds.nodes.recv() => match delta {
            Some(delta) => node_changed(state, &delta, ambient),
            None => return false,
        },
        delta = feeds.budgets.recv() => match delta {
            Some(delta) => budget_changed(state, &delta),
            None => return false,
        },
        delta = feeds.namespaces.recv() => match delta {
            Some(delta) => namespace_changed(state, &delta),
            None => return false,
        },
        change = feeds.storage.recv() => match change {
            Some(change) => state.storage_set(&change, ambient.clock.now()),
            None => return false,
        },
        () = binder.finished(state, ambient) => {}
        () = deadline => {}
    }
    true
}

struct Feeds {
    pods: UnboundedReceiver<Delta>,
    nodes: UnboundedReceiver<Delta>,
    budgets: UnboundedReceiver<Delta>,
    namespaces: UnboundedReceiver<Delta>,
    storage: StorageFeed,
}

impl Feeds {
    fn drain(&mut self, state: &mut State, ambient: &Ambient) {
        while let Ok(delta) = self.nodes.try_recv() {
            node_changed(state, &delta, ambient);
        }
        while let Ok(delta) = self.budgets.try_recv() {
            budget_changed(state, &delta);
        }
        while let Ok(delta) = self.namespaces.try_recv() {
            namespace_changed(state, &delta);
        }
        // Before the pods, so that a new pod finds its claims.
        while let Some(change) = self.storage.try_recv() {
            state.storage_set(&change, ambient.clock.now());
        }
        while let Ok(delta) = self.pods.try_recv() {
            pod_changed(state, &delta, ambient);
        }
    }
}

fn pod_changed(state: &mut State, delta: &Delta, ambient: &Ambient) {
    let now = ambient.clock.now();
    // A name that was taken over by another object is a deletion first.
    if let Some(old) = &delta.old
        && delta.new.as_ref().is_none_or(|new| new.meta.uid != old.meta.uid)
    {
        state.pod_gone(&old.meta.uid, now);
    }
    match delta.new.as_ref().map(|new| PodInfo::read(new)) {
        Some(Ok(pod)) => state.pod_set(pod, now),
        Some(Err(error)) => tracing::error!(%error, "a pod cannot be read"),
        None => {}
    }
}

fn node_changed(state: &mut State, delta: &Delta, ambient: &Ambient) {
    match (&delta.old, &delta.new) {
        (_, Some(new)) => match new.decode::<Node>() {
            Ok(node) => state.node_set(&node, ambient.clock.now()),
            Err(error) => tracing::error!(%error, "a node cannot be read"),
        },
        (Some(old), None) => state.node_gone(&old.key.name, ambient.clock.now()),
        (None, None) => {}
    }
}

fn budget_changed(state: &mut State, delta: &Delta) {
    match (&delta.old, delta.new.as_ref().map(|new| Budget::read(new))) {
        (_, Some(Ok(budget))) => state.budget_set(budget),
        (_, Some(Err(error))) => tracing::error!(%error, "a disruption budget cannot be read"),
        (Some(old), None) => state.budget_gone(&old.key),
        (None, None) => {}
    }
}

fn namespace_changed(state: &mut State, delta: &Delta) {
    let labels = delta.new.as_ref().map(|new| new.meta.labels.clone());
    if let Some(known) = delta.new.as_ref().or(delta.old.as_ref()) {
        state.namespace_set(known.key.name.clone(), labels);
    }
}
