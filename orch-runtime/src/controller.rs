//! [`Controller`]: a control loop that observes caches and decides purely; and [`ControlLoop`], what the
//! engine and the list of all loops know of it.

use crate::{Error, Plan, View, Watches, engine, engine::Options, executor::Refusal, queue::Backoff, view::Caches};
use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use orch_api::{Gvr, Key};
use orch_store::{Ambient, Client};
use std::{fmt, sync::Arc};

/// A control loop: what all built-in loops are.
///
/// # Laws
///
/// `testing::laws` checks these for every controller of a list.
///
/// - `observe` reads caches only, and returns `None` when there is nothing to do for the key.
/// - `plan` is a function of its arguments: the same world and time give the same plan.
/// - A plan that was performed is followed by one that writes nothing, if nothing else happened. It may tell again in an
///   event what somebody waits for.
/// - Nothing is created for an object that is being deleted.
/// - Only what [`Controller::DELETES`] says is deleted.
pub trait Controller: Send + Sync + 'static {
    /// The name, as kube-controller-manager's `--controllers` spells it.
    const NAME: &'static str;
    /// What it does, in one sentence.
    const ABOUT: &'static str;
    /// What it may delete.
    const DELETES: Deletes = Deletes::Owned;
    /// The name under which it records events.
    const COMPONENT: &'static str = Self::NAME;
    /// How long a key waits that failed, where the loop has a rhythm of its own.
    const BACKOFF: Option<Backoff> = None;
    /// What is observed about one key.
    type World: Send;

    /// Which changes ask for which keys.
    fn watches(&self) -> Watches;

    /// Collects from the caches what the plan depends on.
    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World>;

    /// Asks the outside world what the caches cannot know. Most controllers do not need it.
    fn gather<'a>(&'a self, world: Self::World, client: &'a dyn Client) -> BoxFuture<'a, Result<Self::World, Error>> {
        let _ = client;
        async move { Ok(world) }.boxed()
    }

    /// Decides.
    fn plan(&self, world: &Self::World, now: Timestamp) -> Plan;

    /// Learns what became of a plan, for controllers whose next decisions depend on it. What is remembered reaches the
    /// plan by way of [`Controller::observe`] alone; it is lost with the process. Most controllers do not need it.
    fn remember(&self, world: &Self::World, now: Timestamp, error: Option<&Error>) {
        let _ = (world, now, error);
    }

    /// Learns which actions of a plan were refused, before [`Controller::remember`], for controllers that report each of
    /// them. Most controllers do not need it.
    fn refused(&self, world: &Self::World, refusals: &[Refusal]) {
        let _ = (world, refusals);
    }
}

/// What a controller may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// Objects whose controller owner reference names the root object.
    Owned,
    /// Objects inside the root object, which is a namespace.
    Contents,
    /// Others, for the reason given.
    Others(&'static str),
}

/// What is known of a loop without running it; the documentation is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The name, unique among all loops.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The kind that it reconciles.
    pub root: String,
    /// The kinds that it creates, deletes or changes for the root object.
    pub owns: Vec<String>,
    /// The other kinds that it looks at.
    pub watches: Vec<String>,
    /// What it may delete.
    pub deletes: Deletes,
}

/// A loop, type-erased. [`of`] makes one of a [`Controller`]; loops of another shape implement it.
#[async_trait]
pub trait ControlLoop: Send + Sync + 'static {
    /// What is known of the loop without running it.
    fn describe(&self) -> Description;

    /// Runs until the ambience's tasks are cancelled, and finishes what it had begun.
    async fn run(self: Arc<Self>, caches: Caches, ambient: Ambient, options: Options);

    /// The pure part, for loops that are controllers.
    fn decider(&self) -> Option<&dyn Decide> {
        None
    }
}

/// The pure part of a controller, type-erased.
pub trait Decide: Send + Sync {
    /// Which changes ask for which keys.
    fn watches(&self) -> Watches;
    /// The resource of the root kind.
    fn root(&self) -> Option<Gvr> {
        self.watches().sources.first().map(|s| s.gvr.clone())
    }
    /// Observes and plans; the gathering step is left out.
    fn decide(&self, key: &Key, view: &View<'_>, now: Timestamp) -> Option<Plan>;
    /// What it may delete.
    fn deletes(&self) -> Deletes;
}

/// The loop that a controller is.
pub fn of<C: Controller>(controller: C) -> Arc<dyn ControlLoop> {
    Arc::new(Of(Arc::new(controller)))
}

struct Of<C>(Arc<C>);

#[async_trait]
impl<C: Controller> ControlLoop for Of<C> {
    fn describe(&self) -> Description {
        describe(C::NAME, C::ABOUT, C::DELETES, &self.0.watches())
    }

    async fn run(self: Arc<Self>, caches: Caches, ambient: Ambient, mut options: Options) {
        options.backoff = C::BACKOFF.unwrap_or(options.backoff);
        engine::run(self.0.clone(), caches, ambient, options).await;
    }

    fn decider(&self) -> Option<&dyn Decide> {
        Some(self)
    }
}

impl<C: Controller> Decide for Of<C> {
    fn watches(&self) -> Watches {
        self.0.watches()
    }

    fn decide(&self, key: &Key, view: &View<'_>, now: Timestamp) -> Option<Plan> {
        Some(self.0.plan(&self.0.observe(key, view)?, now))
    }

    fn deletes(&self) -> Deletes {
        C::DELETES
    }
}

pub(crate) fn describe(name: &'static str, about: &'static str, deletes: Deletes, watches: &Watches) -> Description {
    use crate::watches::Relation;
    let kinds = |owned: bool| {
        let others = watches.sources.iter().filter(|s| !matches!(s.relation, Relation::Root));
        let chosen = others.filter(|s| matches!(s.relation, Relation::Owned) == owned);
        let mut kinds: Vec<String> = chosen.map(|s| s.kind.kind.to_string()).collect();
        kinds.dedup();
        kinds
    };
    Description { name, about, root: watches.root.kind.to_string(), owns: kinds(true), watches: kinds(false), deletes }
}

impl fmt::Display for Deletes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owned => "what it owns",
            Self::Contents => "everything in the namespace",
            Self::Others(why) => why,
        })
    }
}
