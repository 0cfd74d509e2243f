//! [`Reconciler`]: the shape of loop that operator authors know from kube-rs and controller-runtime.

use crate::{
    ControlLoop, Deletes, Description, Error, Watches,
    controller::describe,
    engine,
    engine::{Options, Work},
    executor::Recorder,
    gate::Journal,
    record::Recording,
    view::{Caches, View},
};
use async_trait::async_trait;
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
    journal: Journal,
}

impl Context {
    /// A context of its own, for tests that call a reconciler themselves.
    pub fn new(caches: Caches, ambient: Ambient, name: &'static str) -> Self {
        let recorder = Recorder::new(caches.informers().client().clone(), &ambient, name);
        Self::recording(caches, ambient, recorder)
    }

    fn recording(caches: Caches, ambient: Ambient, recorder: Recorder) -> Self {
        let client = caches.informers().client().clone();
        let journal = Journal::default();
        let client = Recording::new(client, journal.clone());
        Self { client, caches, ambient, recorder, cluster: Arc::from(""), journal }
    }

    /// Typed reads from the caches, as they are now.
    pub fn view(&self) -> View<'_> {
        View::live(&self.caches)
    }

    /// Typed reads from the caches once they have seen everything that this reconcile wrote: reads of one's own writes.
    /// Only kinds that are in the caches are waited for.
    pub async fn fresh(&self) -> View<'_> {
        let mut written = self.journal.written();
        written.retain(|gvr| self.caches.informers().holds(gvr));
        written.wait(&self.caches).await;
        self.view()
    }

    /// Typed reads from the caches once that of the resource has seen the revision, such as that of a write of somebody
    /// else.
    pub async fn view_at_least(&self, resource: &Gvr, revision: Revision) -> View<'_> {
        self.caches.informer(resource).caught_up(revision).await;
        self.view()
    }

    /// The same for another reconcile, which writes into a journal of its own.
    fn begin(&self, journal: &Journal) -> Self {
        let client = Recording::new(self.caches.informers().client().clone(), journal.clone());
        Self { client, journal: journal.clone(), ..self.clone() }
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
    let caches = caches.of(&watches);
    let (recorder, last_words) = Recorder::of_loop(caches.informers().client().clone(), &ambient, name);
    let ctx = Context::recording(caches.clone(), ambient.clone(), recorder);
    let ctx = Context { cluster: options.cluster.clone(), ..ctx };
    let work = Arc::new(Adapter { reconciler, ctx });
    engine::run_erased(name, work, watches, caches, ambient, options).await;
    last_words.await;
}

/// The loop that a reconciler is, among others: for a simulation, or a manager of loops of any shape. It is expected to
/// delete nothing but what it owns.
pub fn of<R: Reconciler>(
    name: &'static str,
    about: &'static str,
    watches: impl Fn() -> Watches + Send + Sync + 'static,
    reconciler: R,
) -> Arc<dyn ControlLoop> {
    Arc::new(Of { name, about, watches, reconciler: Arc::new(reconciler) })
}

struct Of<W, R> {
    name: &'static str,
    about: &'static str,
    watches: W,
    reconciler: Arc<R>,
}

#[async_trait]
impl<W: Fn() -> Watches + Send + Sync + 'static, R: Reconciler> ControlLoop for Of<W, R> {
    fn describe(&self) -> Description {
        describe(self.name, self.about, Deletes::Owned, &(self.watches)())
    }

    async fn run(self: Arc<Self>, caches: Caches, ambient: Ambient, options: Options) {
        let (reconciler, watches) = (self.reconciler.clone(), (self.watches)());
        run_shared(self.name, reconciler, watches, caches, ambient, options).await;
    }
}

struct Adapter<R> {
    reconciler: Arc<R>,
    ctx: Context,
}

#[async_trait]
impl<R: Reconciler> Work for Adapter<R> {
    async fn process(&self, key: &Key, journal: &Journal) -> Result<Option<Duration>, Error> {
        let ctx = self.ctx.begin(journal);
        let found = ctx.view().stored(&R::Kind::gvr(), key);
        let requeue = match found {
            // An object that does not fit its type is there all the same: to call it gone would be wrong.
            Some(stored) => {
                let unfit = |error| Error::Terminal(format!("the object does not fit its type: {error}"));
                self.reconciler.reconcile(stored.decode().map_err(unfit)?, &ctx).await?
            }
            None => {
                self.reconciler.gone(key, &ctx).await?;
                Requeue::OnChange
            }
        };
        Ok(match requeue {
            Requeue::OnChange => None,
            Requeue::After(delay) => Some(delay),
        })
    }
}
