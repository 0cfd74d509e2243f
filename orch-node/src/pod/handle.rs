//! How others reach the worker of a pod, and who takes over when it panics.

use super::worker::Worker;
use crate::{agent::context::Node, event::Severity};
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::Sandbox;
use orch_store::{
    Stored,
    panics::{Pause, caught_async},
    watched as watch,
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// How others reach a pod's worker. Cheap to clone.
#[derive(Clone)]
pub struct PodHandle(Arc<Shared>);

/// A pod as its worker sees it.
#[derive(Clone)]
pub struct View {
    /// The object.
    pub pod: Arc<Stored>,
    /// Its sandboxes, the newest first.
    pub sandboxes: Vec<Sandbox>,
    /// The pod is down and forgotten.
    pub over: bool,
}

/// What the worker and its handles share.
pub(super) struct Shared {
    pub(super) wake: Notify,
    /// Counts what the worker has seen change.
    pub(super) changes: watch::Sender<u64>,
    pub(super) inbox: Mutex<Inbox>,
}

/// What others tell the worker, and what it tells them.
pub(super) struct Inbox {
    pub(super) pod: Arc<Stored>,
    pub(super) gone: bool,
    pub(super) runtime_changed: bool,
    pub(super) sandboxes: Vec<Sandbox>,
    over: bool,
}

impl PodHandle {
    /// Starts the worker of a pod; `adopted` are its sandboxes that the runtime has already. `ended` is
    /// called when the pod is down and gone.
    pub fn start(
        node: &Arc<Node>,
        pod: Arc<Stored>,
        adopted: Vec<Sandbox>,
        ended: impl FnOnce() + Send + 'static,
    ) -> Self {
        let inbox = Inbox { pod, gone: false, runtime_changed: false, sandboxes: adopted.clone(), over: false };
        let shared = Arc::new(Shared { wake: Notify::new(), changes: watch::channel(0).0, inbox: Mutex::new(inbox) });
        let (over, own) = (shared.clone(), node.clone());
        node.ambient.tasks.spawn(async move {
            work(own, &over, adopted).await;
            over.inbox.lock().over = true;
            over.changes.send_modify(|n| *n += 1);
            ended();
        });
        Self(shared)
    }

    /// The object changed.
    pub fn update(&self, pod: Arc<Stored>) {
        self.0.offer(pod);
        self.0.wake.notify_one();
    }

    /// The object is gone.
    pub fn gone(&self) {
        self.0.inbox.lock().gone = true;
        self.0.wake.notify_one();
    }

    /// The runtime says that something changed.
    pub fn runtime_changed(&self) {
        self.0.inbox.lock().runtime_changed = true;
        self.0.wake.notify_one();
    }

    /// The pod as the worker sees it.
    pub fn view(&self) -> View {
        let inbox = self.0.inbox.lock();
        View { pod: inbox.pod.clone(), sandboxes: inbox.sandboxes.clone(), over: inbox.over }
    }

    /// Reports something whenever the view of the sandboxes changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }
}

impl Shared {
    /// The object as it was last seen.
    pub(super) fn pod(&self) -> Arc<Stored> {
        self.inbox.lock().pod.clone()
    }

    /// Takes an object unless a newer one is known.
    pub(super) fn offer(&self, pod: Arc<Stored>) {
        let mut inbox = self.inbox.lock();
        if pod.revision >= inbox.pod.revision {
            inbox.pod = pod;
        }
    }
}

/// A worker, and after a panic of its own another one, which adopts what the runtime has of the pod.
async fn work(node: Arc<Node>, shared: &Arc<Shared>, mut adopted: Vec<Sandbox>) {
    let mut pause = Pause::new();
    while let Err(why) = caught_async(Worker::new(node.clone(), shared.clone(), adopted).run()).await {
        let stored = shared.pod();
        tracing::error!(pod = %stored.key, why, "the worker of a pod panicked; another one takes over");
        if let Ok(pod) = stored.decode::<Pod>() {
            let message = format!("error syncing pod: the pod's worker panicked: {why}");
            node.event(&pod, None, Severity::Warning, "FailedSync", message);
        }
        pause.wait().await;
        adopted = match node.runtime.list().await {
            Ok(all) => all.into_iter().filter(|sandbox| *sandbox.uid == *stored.meta.uid).collect(),
            Err(_) => shared.inbox.lock().sandboxes.clone(),
        };
    }
}
