//! [`Host`]: the processes of a simulated cluster. Each loop is a process of its own, with its own client and its own
//! caches, so that it can die alone, be cut off alone, and see the past alone.

use super::{
    backend::FaultyBackend,
    client::{FaultyClient, Life},
    gateway::Gateway,
    injector::{Death, Injector},
    observer::Observer,
};
use crate::cluster::{Dialer, Error};
use futures::future::BoxFuture;
use orch_api::kind::Verbs;
use orch_apiserver::ApiServer;
use orch_controllers::{Config, scheduler};
use orch_node::{
    Agent, AgentConfig, AgentParts,
    agent::{Machine, PodFeed},
    follow::Objects,
    provision,
    simulated::{Rules, SimulatedRuntime},
};
use orch_runtime::{
    ControlLoop, Discovery, Options,
    discovery::{Served, WithCustom},
    view::Caches,
};
use orch_store::{Ambient, Client, Informers, Tasks, backend::MemoryBackend};
use parking_lot::Mutex;
use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

/// What is published as the certificate authority. Nobody has its key.
const CA: &str = include_str!("ca.pem");

/// How a process begins: with its client and its share of time, chance and tasks. What it returns runs until the tasks
/// are cancelled.
pub type Start = Arc<dyn Fn(Arc<dyn Client>, Ambient) -> BoxFuture<'static, ()> + Send + Sync>;

/// Makes a loop for a process that begins.
pub type MakeLoop = Arc<dyn Fn(&Config) -> Arc<dyn ControlLoop> + Send + Sync>;

/// Makes the profile of the scheduler.
pub(super) type MakeProfile = Arc<dyn Fn() -> scheduler::Profile + Send + Sync>;

/// The name of the scheduler's process.
pub const SCHEDULER: &str = "kube-scheduler";

/// The processes.
pub(super) struct Host {
    pub(super) ambient: Ambient,
    pub(super) injector: Arc<Injector>,
    pub(super) observer: Arc<Observer>,
    backend: Arc<FaultyBackend>,
    gateway: Arc<Gateway>,
    server: Mutex<Option<Tasks>>,
    processes: Mutex<BTreeMap<Arc<str>, Process>>,
    runtimes: Mutex<BTreeMap<String, SimulatedRuntime>>,
    /// How the API server reaches the nodes, for what they use.
    dialer: Dialer,
}

struct Process {
    start: Start,
    life: Arc<Life>,
    count: u64,
}

impl Host {
    pub(super) fn new(ambient: Ambient, injector: Arc<Injector>, observer: Arc<Observer>) -> Arc<Self> {
        let backend = FaultyBackend::new(Arc::new(MemoryBackend::new()), injector.clone()).observed(observer.clone());
        let dialer = Dialer::new(ambient.tasks.clone());
        Arc::new(Self {
            dialer,
            ambient,
            injector,
            observer,
            backend: Arc::new(backend),
            gateway: Arc::default(),
            server: Mutex::default(),
            processes: Mutex::default(),
            runtimes: Mutex::default(),
        })
    }

    /// Starts an API server over the store.
    pub(super) async fn start_server(&self) -> Result<(), Error> {
        let tasks = self.ambient.tasks.child();
        let ambient = Ambient { tasks: tasks.clone(), ..self.ambient.clone() };
        let server = ApiServer::builder(ambient, self.backend.clone()).allow_all();
        let server = server.nodes(Arc::new(self.dialer.clone())).build().await?;
        self.gateway.set(Some(Arc::new(server.client())));
        *self.server.lock() = Some(tasks);
        Ok(())
    }

    /// Ends the API server: connections end with it.
    pub(super) fn stop_server(&self) {
        self.gateway.set(None);
        if let Some(tasks) = self.server.lock().take() {
            tasks.cancel();
        }
    }

    /// A client on behalf of somebody who never dies.
    pub(super) fn client(&self, who: &str) -> Arc<dyn Client> {
        let life = Life::new(who, self.ambient.tasks.clone());
        Arc::new(self.client_of(&life))
    }

    fn client_of(&self, life: &Arc<Life>) -> FaultyClient {
        let client = FaultyClient::new(self.gateway.clone(), life.clone(), self.injector.clone());
        client.observed(self.observer.clone())
    }

    /// Starts a process, and starts it anew whenever it dies.
    pub(super) fn run(self: &Arc<Self>, who: &str, start: Start) {
        let who: Arc<str> = who.into();
        let life = Life::new(who.clone(), self.ambient.tasks.child());
        let process = Process { start, life: life.clone(), count: 0 };
        self.processes.lock().insert(who.clone(), process);
        self.begin(&who, None);
        let host = self.clone();
        self.ambient.tasks.spawn(async move {
            let mut life = life;
            loop {
                let death = life.ended().await;
                host.observer.forget(&who);
                tokio::time::sleep(death.down).await;
                let Some(next) = host.begin(&who, death.stale) else { return };
                life = next;
            }
        });
    }

    /// Begins the life of a process that has none.
    fn begin(self: &Arc<Self>, who: &Arc<str>, stale: Option<(u64, Duration)>) -> Option<Arc<Life>> {
        let (start, life, count) = {
            let mut processes = self.processes.lock();
            let process = processes.get_mut(who)?;
            if process.count > 0 {
                process.life = Life::new(who.clone(), self.ambient.tasks.child());
                self.observer.note(format_args!("{who} is started anew"));
            }
            process.count += 1;
            (process.start.clone(), process.life.clone(), process.count)
        };
        if let Some((back, lasts)) = stale {
            life.live_in_the_past(back, lasts);
        }
        let chance = self.ambient.chance.child(&format!("{who}/{count}"));
        let ambient = Ambient { clock: self.ambient.clock.clone(), chance, tasks: life.tasks.clone() };
        let client = Arc::new(self.client_of(&life));
        life.tasks.spawn_graceful(start(client, ambient));
        Some(life)
    }

    /// Ends a process; it begins anew after a while.
    pub(super) fn crash(&self, who: &str, death: Death) {
        let life = self.processes.lock().get(who).map(|process| process.life.clone());
        if let Some(life) = life {
            self.observer.note(format_args!("fault: {who} dies"));
            life.die(death);
        }
    }

    /// Another instance takes over from a process.
    pub(super) async fn take_over(&self, who: &str) {
        let life = self.processes.lock().get(who).map(|process| process.life.clone());
        if let Some(life) = life {
            self.observer.note(format_args!("fault: {who} hands over to another instance"));
            life.tasks.stop().await;
            life.die(Death::default());
        }
    }

    /// The names of all processes.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.processes.lock().keys().cloned().collect()
    }

    /// Ends a process for good.
    pub(super) fn bury(&self, who: &str) {
        let process = self.processes.lock().remove(who);
        if let Some(process) = process {
            process.life.die(Death::default());
        }
    }

    /// The container runtime of a node.
    pub(super) fn runtime(&self, node: &str) -> Option<SimulatedRuntime> {
        self.runtimes.lock().get(node).cloned()
    }

    /// Starts a control loop as a process of the loop's name.
    pub(super) fn run_loop(self: &Arc<Self>, name: &str, make: MakeLoop) {
        let root_ca: Arc<str> = CA.into();
        let since = self.ambient.clock.now();
        let start: Start = Arc::new(move |client, ambient| {
            let informers = Informers::new(client, ambient.clone());
            let mut config = Config::new(discovery(&informers), root_ca.clone(), ambient.clock.clone());
            config.since = since;
            make(&config).run(Caches::new(informers), ambient, Options::default())
        });
        self.run(name, start);
    }

    /// Starts the scheduler.
    pub(super) fn run_scheduler(self: &Arc<Self>, profile: MakeProfile) {
        let start: Start = Arc::new(move |client, ambient| {
            let informers = Informers::new(client, ambient.clone());
            let tasks = ambient.tasks.clone();
            let run = scheduler::run(vec![profile()], informers, ambient);
            Box::pin(async move {
                tasks.cancelled().run_until_cancelled(run).await;
            })
        });
        self.run(SCHEDULER, start);
    }

    /// Starts a node. Its runtime outlives its agent, as containers outlive kubelets.
    pub(super) fn run_node(self: &Arc<Self>, number: u32, machine: &Machine, rules: &Rules) {
        let name = format!("node-{number}");
        let network = Ipv4Addr::from_bits(0x6440_0000 + number * 256);
        let ambient = self.ambient.child(&name);
        let runtime = SimulatedRuntime::new(rules.clone(), network, ambient);
        self.runtimes.lock().insert(name.clone(), runtime.clone());
        let (machine, node, dialer) = (machine.clone(), name.clone(), self.dialer.clone());
        let start: Start = Arc::new(move |client, ambient| {
            let mut config = AgentConfig::new(node.as_str(), "");
            config.materialize = false;
            config.machine = machine.clone();
            config.addresses = vec![Ipv4Addr::from_bits(0x0a80_0001 + number).into()];
            let parts = AgentParts {
                objects: Objects::new(client.clone(), ambient.clone()),
                client,
                informers: None,
                runtime: Arc::new(runtime.clone()),
                prober: Arc::new(runtime.clone()),
                pods: PodFeed::Watch,
                ambient: ambient.clone(),
            };
            let nodes = Arc::new([(node.as_str().into(), config.provisioner())].into());
            let caches = Caches::new(Informers::new(parts.client.clone(), ambient.clone()));
            ambient.tasks.spawn_graceful(provision::run(nodes, caches, ambient.clone()));
            let dialer = dialer.clone();
            Box::pin(async move {
                if let Ok(agent) = Agent::start(config, parts).await {
                    dialer.add(&agent);
                    ambient.tasks.cancelled().cancelled().await;
                    dialer.remove(agent.name());
                    agent.stop().await;
                }
            })
        });
        self.run(&name, start);
    }
}

fn discovery(informers: &Informers) -> Arc<dyn Discovery> {
    let built_in = orch_api::kinds::all().iter().filter(|k| k.verbs != Verbs::CreateOnly && k.verbs != Verbs::ReadOnly);
    Arc::new(WithCustom::new(built_in.map(Served::of).collect(), informers))
}
