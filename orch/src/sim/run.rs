//! How a [`Sim`] runs: start, scenario, end.

use super::{
    desired,
    fault::{Class, Fault, USER},
    history::History,
    host::Host,
    injector::Injector,
    loops::{built_in, descriptions, dry},
    normal::Normal,
    observer::{Observer, Tally},
    oracle,
    outcome::{Failure, Outcome, wanted},
    simulation::Sim,
    world::World,
};
use orch_api::Key;
use orch_runtime::Description;
use orch_store::{Ambient, ClientExt};
use std::{future::Future, sync::Arc, time::Duration};

/// How long every request takes in virtual time.
const LATENCY: Duration = Duration::from_millis(1);

impl Sim {
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
                vec![Failure::new("rest", format!("more than {} writes; the last one is\n  {last}", self.writes))]
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
            return vec![Failure::new("start", error)];
        }
        world.begin();
        let mut failures = Vec::new();
        if let Err(error) = scenario(world.clone()).await {
            failures.push(Failure::new("scenario", error.to_string()));
        }
        let ends = world.plan.faults.iter().filter_map(Fault::ends_ms).max().unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(ends.saturating_sub(world.now_ms()))).await;
        world.host.observer.note("all faults end that have a time");
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
            return vec![Failure::new("rest", restless.to_string())];
        }
        let mut failures = Vec::new();
        if self.expects_desired {
            let unmet = world.state(desired::unmet);
            failures.extend(unmet.into_iter().map(|words| Failure::new("desired state", words)));
        }
        let tried = world.tried();
        if let Err(restless) = world.rest().await {
            failures.push(Failure::new("rest", restless.to_string()));
        }
        failures.extend(busy(&tried, &world.tried()).map(|words| Failure::new("busy", words)));
        failures
    }

    fn outcome(&self, world: &World, mut failures: Vec<Failure>) -> Outcome {
        let (history, violations, tally) = world.host.observer.take();
        failures.splice(0..0, violations.into_iter().map(Failure::from));
        let injector = &world.host.injector;
        let traffic = world
            .names()
            .into_iter()
            .map(|name| (name.to_string(), injector.count(&name, Class::Write), injector.events(&name)));
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
            failures: vec![Failure::new("start", why.into())],
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
