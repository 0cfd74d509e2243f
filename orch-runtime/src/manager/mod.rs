//! [`Manager`]: runs many loops, over one or many clusters, as one program.
//!
//! ```no_run
//! # use orch_runtime::{Manager, leader::Election, view::Caches, controller::ControlLoop};
//! # use std::sync::Arc;
//! # async fn example(caches: Caches, ambient: orch_store::Ambient, welcome: Arc<dyn ControlLoop>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! Manager::new(&caches, &ambient)
//!     .control_loop(welcome)
//!     .lead(Election::new(orch_api::Key::new("default", "welcome"), std::env::var("HOSTNAME")?))
//!     .serve("0.0.0.0:8080".parse()?) // /metrics, /healthz, /readyz
//!     .run_until_signal()
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod health;
mod signals;
#[cfg(test)]
mod tests;

pub use health::{Check, Endpoints};
pub use signals::Signals;

use crate::{
    ControlLoop, Controller, Options, Reconciler, Watches, controller,
    leader::{Election, Elector, Fenced, Leadership},
    metrics::{self, Prometheus},
    reconciler,
    view::Caches,
};
use futures::{FutureExt, future::BoxFuture};
use orch_store::{Ambient, Client, Tasks};
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::sync::oneshot;

/// A loop of any shape: how to run it over a cluster.
type Run = Arc<dyn Fn(Caches, Ambient, Options) -> BoxFuture<'static, ()> + Send + Sync>;

/// Many loops as one program.
///
/// # Laws
///
/// - Every loop runs over every cluster, with the caches of that cluster.
/// - With an election no loop writes unless this process leads; until then caches and queues fill (a warm standby). The
///   lease lives in the first cluster.
/// - At the end the loops finish what they have begun, within their drain timeout, and only then is the lease released.
#[must_use]
pub struct Manager {
    ambient: Ambient,
    clusters: Vec<(Arc<str>, Caches)>,
    loops: Vec<(Run, Options)>,
    options: Options,
    election: Option<Election>,
    address: Option<SocketAddr>,
    endpoints: Endpoints,
}

/// Why a manager ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Somebody else leads, or may do so soon: end the process, or begin from the start.
    #[error("the lease {0} was lost")]
    LeaseLost(String),
    /// The times of the election contradict each other.
    #[error("leader election: {0}")]
    Election(String),
    /// The address for health and metrics cannot be served.
    #[error("serving on {0}: {1}")]
    Serve(SocketAddr, std::io::Error),
    /// The system does not let the process listen to signals.
    #[error("listening to signals: {0}")]
    Signals(std::io::Error),
    /// A second signal came while the loops finished what they had begun.
    #[error("interrupted before everything had ended")]
    Interrupted,
}

impl Manager {
    /// A manager over one cluster's caches.
    pub fn new(caches: &Caches, ambient: &Ambient) -> Self {
        let endpoints = Endpoints::new(Prometheus::new());
        Self {
            ambient: ambient.clone(),
            clusters: vec![(Arc::from(""), caches.clone())],
            loops: Vec::new(),
            options: Options { meter: Arc::new(endpoints.metrics().clone()), ..Options::default() },
            election: None,
            address: None,
            endpoints,
        }
    }

    /// Runs the loops over another cluster as well; a reconciler finds the name in its context. The first cluster's name
    /// is empty.
    pub fn cluster(mut self, name: impl Into<Arc<str>>, caches: &Caches) -> Self {
        self.clusters.push((name.into(), caches.clone()));
        self
    }

    /// Changes how the loops run that are added after this.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Adds a controller.
    pub fn controller<C: Controller>(self, controller: C) -> Self {
        self.control_loop(controller::of(controller))
    }

    /// Adds a loop of any shape.
    pub fn control_loop(self, control_loop: Arc<dyn ControlLoop>) -> Self {
        self.add(Arc::new(move |caches, ambient, options| control_loop.clone().run(caches, ambient, options)))
    }

    /// Adds a reconciler.
    pub fn reconciler<R: Reconciler>(self, name: &'static str, watches: Watches, reconciler: R) -> Self {
        let reconciler = Arc::new(reconciler);
        self.add(Arc::new(move |caches, ambient, options| {
            reconciler::run_shared(name, reconciler.clone(), watches.clone(), caches, ambient, options).boxed()
        }))
    }

    fn add(mut self, run: Run) -> Self {
        self.loops.push((run, self.options.clone()));
        self
    }

    /// Lets one process of several lead, by a lease in the first cluster.
    pub fn lead(mut self, election: Election) -> Self {
        self.election = Some(election);
        self
    }

    /// Serves `/metrics`, `/healthz`, `/livez` and `/readyz` on an address.
    pub fn serve(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Adds a check to `/healthz` and `/livez`.
    pub fn health_check(mut self, name: &'static str, check: impl Check) -> Self {
        self.endpoints.add_health(name, check);
        self
    }

    /// Adds a check to `/readyz`, which says already whether the caches are synced.
    pub fn ready_check(mut self, name: &'static str, check: impl Check) -> Self {
        self.endpoints.add_ready(name, check);
        self
    }

    /// The metrics, to add some of your own.
    pub fn metrics(&self) -> &Prometheus {
        self.endpoints.metrics()
    }

    /// What is served, for who has an HTTP server already.
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    /// Runs everything until the future resolves, the ambience's tasks are cancelled, or the lease is lost.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), ManagerError> {
        if let Some(election) = &self.election {
            election.check().map_err(ManagerError::Election)?;
        }
        let synced = self.synced();
        self.endpoints.add_ready("informer-sync", synced);
        // What the loops stand on outlives them: a lease that is renewed, and whoever asks for metrics.
        let ground = Ambient { tasks: Tasks::new(), ..self.ambient.clone() };
        if let Some(address) = self.address {
            let served = self.endpoints.clone().listen(address, &ground.tasks).await;
            served.map_err(|error| ManagerError::Serve(address, error))?;
        }
        let lead = self.elect(&ground);
        let loops = self.start(lead.as_ref());
        let lost = tokio::select! {
            biased;
            () = stop => false,
            () = self.ambient.tasks.cancelled().cancelled_owned() => false,
            () = lost(lead.as_ref()) => true,
        };
        loops.stop().await;
        ground.tasks.stop().await;
        match self.election {
            Some(election) if lost => Err(ManagerError::LeaseLost(election.lease.to_string())),
            _ => Ok(()),
        }
    }

    /// The same until the process is asked to end, by SIGTERM or SIGINT. A second signal does not wait for what runs: it
    /// answers [`ManagerError::Interrupted`] at once.
    pub async fn run_until_signal(self) -> Result<(), ManagerError> {
        let mut signals = Signals::new().map_err(ManagerError::Signals)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = self.run(async { drop(stopped.await) });
        tokio::pin!(run);
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            () = signals.next() => drop(stop),
        }
        tokio::select! {
            biased;
            ended = run => ended,
            () = signals.next() => Err(ManagerError::Interrupted),
        }
    }

    /// Whether the caches of all clusters are synced, or which are not.
    fn synced(&self) -> impl Check + use<> {
        let clusters = self.clusters.clone();
        move || match clusters.iter().find(|(_, caches)| !caches.informers().all_synced()) {
            None => Ok(()),
            Some((name, _)) if name.is_empty() => Err("caches are not synced".to_owned()),
            Some((name, _)) => Err(format!("caches of the cluster {name} are not synced")),
        }
    }

    /// Starts the candidate, which releases the lease when the ground's tasks end: after the loops.
    fn elect(&self, ground: &Ambient) -> Option<Leadership> {
        let election = self.election.clone()?;
        let name = election.lease.name.to_string();
        let (_, caches) = self.clusters.first()?;
        let mut elector = Elector::new(caches.informers().client().clone(), election, ground);
        let lead = elector.lead();
        let leads = self.options.meter.gauge(&metrics::LEADS, &[("name", &name)]);
        leads(0.0);
        let (told, tell) = (lead.clone(), leads.clone());
        ground.tasks.spawn(async move {
            told.acquired().await;
            tell(1.0);
        });
        ground.tasks.spawn_graceful(async move {
            let ended = elector.run().await;
            leads(0.0);
            if ended == crate::leader::Ended::Stopped {
                elector.release().await;
            }
        });
        Some(lead)
    }

    fn start(&self, lead: Option<&Leadership>) -> Tasks {
        let tasks = self.ambient.tasks.child();
        for (name, caches) in &self.clusters {
            let caches = match lead {
                Some(lead) => {
                    let client: Arc<dyn Client> = Fenced::new(caches.informers().client().clone(), lead.clone());
                    caches.with_client(client)
                }
                None => caches.clone(),
            };
            for (run, options) in &self.loops {
                let options = Options { lead: lead.cloned(), cluster: name.clone(), ..options.clone() };
                let ambient = Ambient { tasks: tasks.clone(), ..self.ambient.clone() };
                tasks.spawn_graceful(run(caches.clone(), ambient, options));
            }
        }
        tasks
    }
}

async fn lost(lead: Option<&Leadership>) {
    match lead {
        Some(lead) => lead.lost().await,
        None => std::future::pending().await,
    }
}
