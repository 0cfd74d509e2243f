//! [`Reconciler`]: the shape of loop that operator authors know from kube-rs and controller-runtime.

use crate::{
    Error, Watches, engine,
    engine::{Options, Processed, Work},
    executor::Recorder,
    gate::Written,
    record::Recording,
    view::{Caches, View},
};
use async_trait::async_trait;
use dashmap::DashMap;
use orch_api::{Gvr, Key, Object};
use orch_store::{Ambient, Client, Revision};
use std::{sync::Arc, time::Duration};

/// When to look at an object again although nothing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requeue {
    /// At the next change.
    #[default]
    OnChange,
    /// After this long at the latest.
    After(Duration),
}

/// Brings one object's world to the state that the object asks for. Must be idempotent, and must act on
/// the state it finds, never on the event that woke it.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// The root kind.
    type Kind: Object;

    /// Works on one object. The object is shared with the cache: clone it to change it.
    async fn reconcile(&self, object: Arc<Self::Kind>, ctx: &Context) -> Result<Requeue, Error>;

    /// The object is gone. Cleaning up belongs into a finalizer; this is for state in memory.
    async fn gone(&self, _key: &Key, _ctx: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// What a reconciler is handed, anew for each reconcile.
#[derive(Clone)]
pub struct Context {
    /// The API. What is written through it is remembered: the key is not worked on again before the caches have seen
    /// it, and [`Context::fresh`] waits for it.
    pub client: Arc<dyn Client>,
    /// The shared caches.
    pub caches: Caches,
    /// Time, chance and tasks.
    pub ambient: Ambient,
    /// Where events are recorded.
    pub recorder: Recorder,
    /// Which of several clusters the object is in; empty where there is one.
    pub cluster: Arc<str>,
    recording: Arc<Recording>,
}

impl Context {
    /// A context of its own, for tests that call a reconciler themselves.
    pub fn new(caches: Caches, ambient: Ambient, name: &'static str) -> Self {
        let client = caches.informers().client().clone();
        let recorder = Recorder::new(client.clone(), &ambient, name);
        let recording = Recording::new(client);
        Self { client: recording.clone(), caches, ambient, recorder, cluster: Arc::from(""), recording }
    }

    /// Typed reads from the caches, as they are now.
    pub fn view(&self) -> View<'_> {
        View::live(&self.caches)
    }

    /// Typed reads from the caches once they have seen everything that this reconcile wrote: reads of one's own writes.
    /// Only kinds that are in the caches are waited for.
    pub async fn fresh(&self) -> View<'_> {
        let mut written = self.recording.written();
        written.retain(|gvr| self.caches.informers().holds(gvr));
        written.wait(self.caches.informers()).await;
        self.view()
    }

    /// Typed reads from the caches once that of the resource has seen the revision, such as that of a write of somebody
    /// else.
    pub async fn view_at_least(&self, resource: &Gvr, revision: Revision) -> View<'_> {
        self.caches.informers().held(resource).caught_up(revision).await;
        self.view()
    }

    /// The same for another reconcile, which has written nothing yet.
    fn begin(&self) -> Self {
        let recording = Recording::new(self.caches.informers().client().clone());
        Self { client: recording.clone(), recording, ..self.clone() }
    }
}

/// Runs a reconciler until the ambience's tasks are cancelled.
pub async fn run<R: Reconciler>(
    name: &'static str,
    reconciler: R,
    watches: Watches,
    caches: Caches,
    ambient: Ambient,
    options: Options,
) {
    run_shared(name, Arc::new(reconciler), watches, caches, ambient, options).await;
}

/// The same with a reconciler that others share, such as the loops of other clusters.
pub async fn run_shared<R: Reconciler>(
    name: &'static str,
    reconciler: Arc<R>,
    watches: Watches,
    caches: Caches,
    ambient: Ambient,
    options: Options,
) {
    let ctx = Context { cluster: options.cluster.clone(), ..Context::new(caches.clone(), ambient.clone(), name) };
    let work = Arc::new(Adapter { reconciler, ctx, cut_off: DashMap::new() });
    engine::run_erased(name, work, watches, caches, ambient, options).await;
}

struct Adapter<R> {
    reconciler: Arc<R>,
    ctx: Context,
    /// What reconciles wrote that timed out or panicked: the gate does not know of it.
    cut_off: DashMap<Key, Written>,
}

/// Keeps what a reconcile wrote, should it not come to its end.
struct Guard<'a> {
    recording: &'a Recording,
    kept: &'a DashMap<Key, Written>,
    key: &'a Key,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let written = self.recording.written();
        if !written.is_empty() {
            self.kept.insert(self.key.clone(), written);
        }
    }
}

impl<R> Adapter<R> {
    /// Waits until the caches have seen what the last reconcile of the key wrote, if that was cut off.
    async fn caught_up(&self, key: &Key) {
        let Some(mut written) = self.cut_off.get(key).map(|written| written.clone()) else { return };
        let informers = self.ctx.caches.informers();
        written.retain(|gvr| informers.holds(gvr));
        written.wait(informers).await;
        self.cut_off.remove(key);
    }
}

#[async_trait]
impl<R: Reconciler> Work for Adapter<R> {
    async fn process(&self, key: &Key) -> Processed {
        self.caught_up(key).await;
        let ctx = self.ctx.begin();
        let guard = Guard { recording: &ctx.recording, kept: &self.cut_off, key };
        let result = match ctx.view().get::<R::Kind>(key) {
            Some(object) => self.reconciler.reconcile(object, &ctx).await,
            None => self.reconciler.gone(key, &ctx).await.map(|()| Requeue::OnChange),
        };
        let result = result.map(|requeue| match requeue {
            Requeue::OnChange => None,
            Requeue::After(delay) => Some(delay),
        });
        std::mem::forget(guard); // It came to its end: the gate takes over. The guard owns nothing.
        Processed { written: ctx.recording.written(), result }
    }
}
