//! [`Sim`]: a simulation to be, and [`Outcome`]: what came of it.

use super::{
    desired,
    fault::{FaultPlan, USER},
    history::History,
    host::{Host, MakeLoop, MakeProfile, Start},
    injector::Injector,
    normal::Normal,
    observer::{Observer, Tally},
    oracle::{self, Oracle, Violation},
    world::{Patience, World},
};
use orch_api::Key;
use orch_controllers::{Config, scheduler::Profile};
use orch_node::{agent::Machine, simulated::Rules};
use orch_runtime::Description;
use orch_store::{Ambient, ClientExt};
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// A simulation to be. Everything in it follows from the seed.
#[derive(Clone)]
pub struct Sim {
    seed: u64,
    nodes: u32,
    machine: Machine,
    rules: Rules,
    plan: FaultPlan,
    loops: Vec<(String, Option<MakeLoop>)>,
    processes: Vec<(String, Start)>,
    oracles: Vec<Arc<dyn Fn() -> Box<dyn Oracle> + Send + Sync>>,
    profile: MakeProfile,
    patience: Patience,
    expects_desired: bool,
    writes: u64,
}

/// How long every request takes in virtual time.
const LATENCY: Duration = Duration::from_millis(1);

/// What came of a simulation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Everything that happened.
    pub history: History,
    /// What is wrong; empty when nothing is.
    pub failures: Vec<Failure>,
    /// The state in the end.
    pub normal: Normal,
    /// The same, as it must be on every way there.
    pub reached: Normal,
    /// The objects in the end that were put there by the user, as JSON.
    pub wanted: Vec<serde_json::Value>,
    /// Who did what how often.
    pub tally: Tally,
    /// How many writes, and events on their way, each process has had.
    pub traffic: Vec<(String, u64, u64)>,
    /// How much virtual time has passed.
    pub elapsed: Duration,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing: an oracle, `scenario`, `rest`, `desired state`, …
    pub kind: String,
    /// In words.
    pub words: String,
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self { kind: violation.oracle.into(), words: violation.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.words.trim_end())
    }
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
            profile: Arc::new(orch_controllers::scheduler::default_profile),
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

    /// Runs a scenario: starts the cluster, calls it, ends all faults, and waits for rest. Not to be called
    /// inside a tokio runtime, since it makes its own: one thread and a clock that moves only when all wait.
    pub fn run<F, Fut>(&self, scenario: F) -> Outcome
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        match runtime {
            Ok(runtime) => runtime.block_on(self.live(scenario)),
            Err(error) => self.outcome_without(&error.to_string()),
        }
    }

    async fn live<F, Fut>(&self, scenario: F) -> Outcome
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    {
        let ambient = Ambient::seeded(self.seed);
        let injector = Injector::with_latency(self.plan.clone(), &ambient, LATENCY);
        let mut oracles = oracle::all(&self.described());
        oracles.extend(self.oracles.iter().map(|make| make()));
        let observer = Observer::new(oracles, self.writes);
        let host = Host::new(ambient, injector, observer);
        let world = World { client: host.client(USER), host, plan: self.plan.clone(), patience: self.patience };
        let failures = tokio::select! {
            biased;
            () = world.host.observer.ran_away.notified() => {
                let last = world.host.observer.last().map(|(_, write)| write).unwrap_or_default();
                vec![fail("rest", format!("more than {} writes; the last one is\n  {last}", self.writes))]
            }
            failures = self.act(&world, scenario) => failures,
        };
        self.outcome(&world, failures)
    }

    /// Start, scenario, end.
    async fn act<F, Fut>(&self, world: &World, scenario: F) -> Vec<Failure>
    where
        F: FnOnce(World) -> Fut,
        Fut: Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>>,
    {
        if let Err(error) = self.start(world).await {
            return vec![fail("start", error)];
        }
        world.begin();
        let mut failures = Vec::new();
        if let Err(error) = scenario(world.clone()).await {
            failures.push(fail("scenario", error.to_string()));
        }
        let ends = world.plan.faults.iter().map(super::fault::Fault::ends_ms).max().unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(ends.saturating_sub(world.now_ms()))).await;
        world.host.observer.note("all faults end");
        world.host.injector.end();
        failures.extend(self.ending(world).await);
        failures
    }

    async fn start(&self, world: &World) -> Result<(), String> {
        let host = &world.host;
        host.start_server().await.map_err(|error| error.to_string())?;
        for (name, make) in &self.loops {
            let own = make.clone();
            let make = own.unwrap_or_else(|| built_in(name));
            host.run_loop(name, make);
        }
        host.run_scheduler(self.profile.clone());
        for number in 0..self.nodes {
            host.run_node(number, &self.machine, &self.rules);
        }
        for (name, start) in &self.processes {
            host.run(name, start.clone());
        }
        let ready = async {
            let account = Key::new("default", "default");
            type Account = orch_api::k8s_openapi::api::core::v1::ServiceAccount;
            let needs = self.loops.iter().any(|(name, _)| name.contains("serviceaccount"));
            if needs {
                world.client.wait_for::<Account, _>(&account, |account| account.is_some()).await?;
            }
            for number in 0..self.nodes {
                type Node = orch_api::k8s_openapi::api::core::v1::Node;
                let key = Key::cluster(format!("node-{number}"));
                world.client.wait_for::<Node, _>(&key, |node| node.is_some_and(|n| n.status.is_some())).await?;
            }
            Ok::<_, orch_api::StatusError>(())
        };
        match tokio::time::timeout(Duration::from_secs(120), ready).await {
            Ok(result) => result.map_err(|error| error.to_string())?,
            Err(_) => return Err("the cluster did not start".into()),
        }
        // Whatever the beginning brings with it should not be counted among what the scenario does.
        tokio::time::sleep(Duration::from_secs(15)).await;
        Ok(())
    }

    /// The eventually stable state: reached, and then not one more write.
    async fn ending(&self, world: &World) -> Vec<Failure> {
        if let Err(restless) = world.settle().await {
            return vec![fail("rest", restless.to_string())];
        }
        let mut failures = Vec::new();
        if self.expects_desired {
            let unmet = world.state(desired::unmet);
            failures.extend(unmet.into_iter().map(|words| fail("desired state", words)));
        }
        let tried = world.tried();
        if let Err(restless) = world.rest().await {
            failures.push(fail("rest", restless.to_string()));
        }
        failures.extend(busy(&tried, &world.tried()).map(|words| fail("busy", words)));
        failures
    }

    fn outcome(&self, world: &World, mut failures: Vec<Failure>) -> Outcome {
        let (history, violations, tally) = world.host.observer.take();
        failures.splice(0..0, violations.into_iter().map(Failure::from));
        let injector = &world.host.injector;
        let traffic = world
            .names()
            .into_iter()
            .map(|name| (name.to_string(), injector.count(&name, super::fault::Class::Write), injector.events(&name)));
        Outcome {
            seed: self.seed,
            history,
            failures,
            normal: world.normal(),
            reached: world.state(Normal::reached),
            wanted: world.state(wanted),
            tally,
            traffic: traffic.collect(),
            elapsed: world.host.observer.now(),
        }
    }

    fn outcome_without(&self, why: &str) -> Outcome {
        Outcome {
            seed: self.seed,
            history: History::default(),
            failures: vec![Failure { kind: "start".into(), words: why.into() }],
            normal: Normal::default(),
            reached: Normal::default(),
            wanted: Vec::new(),
            tally: Tally::new(),
            traffic: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// What the loops of this simulation say of themselves.
    fn described(&self) -> Vec<Description> {
        let mut all = descriptions();
        let config = dry();
        for (_, make) in &self.loops {
            if let Some(make) = make {
                let own = make(&config).describe();
                all.retain(|known| known.name != own.name);
                all.push(own);
            }
        }
        all
    }
}

impl Outcome {
    /// Panics with a report unless everything went well.
    ///
    /// # Panics
    /// When something is wrong.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.failures.is_empty(), "{self}");
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// How many objects of each kind the loops created and deleted.
    pub fn made_and_unmade(&self) -> Tally {
        let loops = self.tally.iter().filter(|((who, verb, _), _)| {
            who != USER && who != "apiserver" && !who.starts_with("node-") && *verb != super::state::Verb::Update
        });
        loops.map(|(key, count)| (key.clone(), *count)).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failures.is_empty() {
            return writeln!(f, "seed {}: good after {:.0?} of virtual time", self.seed, self.elapsed);
        }
        writeln!(f, "seed {}: failed after {:.0?} of virtual time", self.seed, self.elapsed)?;
        self.failures.iter().take(8).try_for_each(|failure| writeln!(f, "- {failure}"))?;
        writeln!(f, "the end of the history:")?;
        self.history.tail(30).iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

fn fail(kind: &str, words: String) -> Failure {
    Failure { kind: kind.into(), words }
}

/// A loop that comes to nothing may try again, ever more seldom: not more often than this while the cluster rests.
const TRIES: u64 = 30;

/// Who asked for writes again and again that changed nothing.
fn busy<'a>(before: &'a [(Arc<str>, u64)], after: &'a [(Arc<str>, u64)]) -> impl Iterator<Item = String> + 'a {
    let known = move |name: &str| before.iter().find(|(known, _)| **known == *name).map_or(0, |(_, count)| *count);
    let more = after.iter().map(move |(name, count)| (name, count.saturating_sub(known(name))));
    more.filter(|(_, more)| *more > TRIES).map(|(name, more)| {
        format!("{name} asked for {more} writes that came to nothing while the cluster was at rest")
    })
}

/// What the user put there.
fn wanted(state: &super::state::State) -> Vec<serde_json::Value> {
    let by_user = state.all().filter(|seen| {
        let managers = seen.at("/metadata/managedFields").as_array().map_or(&[][..], Vec::as_slice);
        managers.iter().any(|entry| entry["manager"] == USER) && !seen.is_deleting()
    });
    by_user
        .map(|seen| {
            let mut value = seen.value.clone();
            for name in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
                value["metadata"].as_object_mut().map(|meta| meta.remove(name));
            }
            if let Some(annotations) = value.pointer_mut("/metadata/annotations").and_then(|a| a.as_object_mut()) {
                annotations.retain(|name, _| !name.starts_with("deployment.kubernetes.io/"));
            }
            value.as_object_mut().map(|object| object.remove("status"));
            value
        })
        .collect()
}

/// The names of the built-in loops.
pub fn loops() -> Vec<String> {
    descriptions().into_iter().map(|each| each.name.to_owned()).collect()
}

/// What the built-in loops say of themselves.
pub(super) fn descriptions() -> Vec<Description> {
    orch_controllers::all(&dry()).iter().map(|each| each.describe()).collect()
}

/// A configuration to describe loops by.
fn dry() -> Config {
    let discovery: Arc<dyn orch_runtime::Discovery> = Arc::new(Vec::<orch_runtime::discovery::Served>::new());
    Config::new(discovery, "".into(), orch_store::Clock::system())
}

/// The built-in loop of that name.
fn built_in(name: &str) -> MakeLoop {
    let name = name.to_owned();
    Arc::new(move |config| {
        let mut all = orch_controllers::all(config);
        let at = all.iter().position(|each| each.describe().name == name).unwrap_or(0);
        all.swap_remove(at)
    })
}
