//! [`Reconciler`]: the shape of loop that operator authors know from kube-rs and controller-runtime.

use crate::{
    Error, Watches, engine,
    engine::{Options, Processed, Work},
    executor::Recorder,
    gate::Written,
    view::{Caches, View},
};
use async_trait::async_trait;
use orch_api::{Key, Object};
use orch_store::{Ambient, Client};
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

/// What a reconciler is handed.
#[derive(Clone)]
pub struct Context {
    /// The API.
    pub client: Arc<dyn Client>,
    /// The shared caches.
    pub caches: Caches,
    /// Time, chance and tasks.
    pub ambient: Ambient,
    /// Where events are recorded.
    pub recorder: Recorder,
}

impl Context {
    /// Typed reads from the caches.
    pub fn view(&self) -> View<'_> {
        View::live(&self.caches)
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
    let ctx = Context {
        client: caches.informers().client().clone(),
        caches: caches.clone(),
        recorder: Recorder::new(caches.informers().client().clone(), &ambient, name),
        ambient: ambient.clone(),
    };
    let work = Arc::new(Adapter { reconciler, ctx });
    engine::run_erased(name, work, watches, caches, ambient, options).await;
}

struct Adapter<R> {
    reconciler: R,
    ctx: Context,
}

#[async_trait]
impl<R: Reconciler> Work for Adapter<R> {
    async fn process(&self, key: &Key) -> Processed {
        let result = match self.ctx.view().get::<R::Kind>(key) {
            Some(object) => self.reconciler.reconcile(object, &self.ctx).await,
            None => self.reconciler.gone(key, &self.ctx).await.map(|()| Requeue::OnChange),
        };
        let result = result.map(|requeue| match requeue {
            Requeue::OnChange => None,
            Requeue::After(delay) => Some(delay),
        });
        Processed { written: Written::default(), result }
    }
}
