//! [`Sim`]: a simulation to be.

use super::{
    fault::FaultPlan,
    host::{MakeLoop, MakeProfile, Start},
    loops::{descriptions, loops},
    oracle::Oracle,
    world::Patience,
};
use orch_controllers::{
    Config,
    scheduler::{Profile, default_profile},
};
use orch_node::{agent::Machine, simulated::Rules};
use std::sync::Arc;

/// A simulation to be. Everything in it follows from the seed.
#[derive(Clone)]
pub struct Sim {
    pub(super) seed: u64,
    pub(super) nodes: u32,
    pub(super) machine: Machine,
    pub(super) rules: Rules,
    pub(super) plan: FaultPlan,
    pub(super) loops: Vec<(String, Option<MakeLoop>)>,
    pub(super) processes: Vec<(String, Start)>,
    pub(super) oracles: Vec<Arc<dyn Fn() -> Box<dyn Oracle> + Send + Sync>>,
    pub(super) profile: MakeProfile,
    pub(super) patience: Patience,
    pub(super) expects_desired: bool,
    pub(super) writes: u64,
}

impl Sim {
    /// A cluster with all built-in controllers, the scheduler and three nodes, to which nothing happens.
    pub fn new(seed: u64) -> Self {
        let rules = Rules { jitter: 0.5, ..Rules::default() };
        let names = descriptions().into_iter().map(|each| (each.name.to_owned(), None));
        Self {
            seed,
            nodes: 3,
            machine: Machine::default(),
            rules,
            plan: FaultPlan::default(),
            loops: names.collect(),
            processes: Vec::new(),
            oracles: Vec::new(),
            profile: Arc::new(default_profile),
            patience: Patience::default(),
            expects_desired: true,
            writes: 4_000,
        }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(mut self, nodes: u32) -> Self {
        self.nodes = nodes;
        self
    }

    /// What each node has.
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// How Pods behave.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// What goes wrong.
    #[must_use]
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.plan = plan;
        self
    }

    /// A loop of your own, or one in place of the built-in loop of that name.
    #[must_use]
    pub fn controller(
        mut self,
        name: &str,
        make: impl Fn(&Config) -> Arc<dyn orch_runtime::ControlLoop> + Send + Sync + 'static,
    ) -> Self {
        self.loops.retain(|(known, _)| known != name);
        self.loops.push((name.to_owned(), Some(Arc::new(make))));
        self
    }

    /// Only these built-in loops: a cluster starts faster without the rest.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        self.loops.retain(|(name, make)| make.is_some() || names.contains(&name.as_str()));
        self
    }

    /// With every built-in loop, also those that [`Sim::only`] has left out.
    #[must_use]
    pub fn complete(mut self) -> Self {
        let missing = loops().into_iter().filter(|name| self.loops.iter().all(|(known, _)| known != name));
        let missing: Vec<_> = missing.map(|name| (name, None)).collect();
        self.loops.extend(missing);
        self
    }

    /// Without this built-in loop.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.loops.retain(|(known, _)| known != name);
        self
    }

    /// Anything that speaks to the API server: it gets a client that meets the faults, and ends with its tasks.
    #[must_use]
    pub fn process(mut self, name: &str, start: Start) -> Self {
        self.processes.push((name.to_owned(), start));
        self
    }

    /// Another scheduler profile in place of the default one.
    #[must_use]
    pub fn scheduler(mut self, profile: impl Fn() -> Profile + Send + Sync + 'static) -> Self {
        self.profile = Arc::new(profile);
        self
    }

    /// One more judge of every write.
    #[must_use]
    pub fn oracle(mut self, make: impl Fn() -> Box<dyn Oracle> + Send + Sync + 'static) -> Self {
        self.oracles.push(Arc::new(make));
        self
    }

    /// How long to wait for what.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// More writes than this are taken for a loop without end: 4,000 unless said otherwise.
    #[must_use]
    pub fn most_writes(mut self, writes: u64) -> Self {
        self.writes = writes;
        self
    }

    /// The scenario does not end with everything ready; only that it comes to rest is asked.
    #[must_use]
    pub fn without_desired_state(mut self) -> Self {
        self.expects_desired = false;
        self
    }
}
