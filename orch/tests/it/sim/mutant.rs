//! [`Mutant`]: a controller of ours whose plans are spoilt.

use futures::future::BoxFuture;
use jiff::Timestamp;
use orch::{
    api::Key,
    runtime::{Controller, Deletes, Error, Plan, View, Watches},
    store::Client,
};

/// A controller of ours whose plans are spoilt before they are performed.
pub(super) struct Mutant<C> {
    pub(super) inner: C,
    pub(super) spoil: fn(&mut Plan),
}

impl<C: Controller> Controller for Mutant<C> {
    const NAME: &'static str = C::NAME;
    const ABOUT: &'static str = C::ABOUT;
    const DELETES: Deletes = C::DELETES;
    const COMPONENT: &'static str = C::COMPONENT;
    type World = C::World;

    fn watches(&self) -> Watches {
        self.inner.watches()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        self.inner.observe(key, view)
    }

    fn gather<'a>(&'a self, world: Self::World, client: &'a dyn Client) -> BoxFuture<'a, Result<Self::World, Error>> {
        self.inner.gather(world, client)
    }

    fn remember(&self, world: &Self::World, now: Timestamp, error: Option<&Error>) {
        self.inner.remember(world, now, error);
    }

    fn plan(&self, world: &Self::World, now: Timestamp) -> Plan {
        let mut plan = self.inner.plan(world, now);
        (self.spoil)(&mut plan);
        plan
    }
}
