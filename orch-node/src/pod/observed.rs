//! What the agent knows of a pod beside its spec.

use super::{Backoff, Outcome};
use jiff::Timestamp;
use orch_runtime::node::container::{Container, ContainerState, Sandbox};
use std::collections::{BTreeMap, BTreeSet};

/// Everything but the spec that decides what a pod needs next.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The pod's sandboxes as the runtime has them, the newest first.
    pub sandboxes: Vec<Sandbox>,
    /// What the probes say, by container id. Containers without an entry have not been probed.
    pub health: BTreeMap<String, Health>,
    /// Termination messages, by container id.
    pub messages: BTreeMap<String, String>,
    /// Crash back-off, by container name.
    pub backoff: BTreeMap<String, Backoff>,
    /// Why a container could not be started last time, by container name.
    pub failures: BTreeMap<String, StartFailure>,
    /// When the sandbox may be tried again after a failure.
    pub sandbox_retry_at: Option<Timestamp>,
    /// State of the volumes.
    pub volumes: Volumes,
    /// What is being done at this moment and must not be begun twice.
    pub busy: Busy,
    /// When the agent accepted the pod: `status.startTime`.
    pub accepted_at: Option<Timestamp>,
    /// Set once the pod is over, whatever its containers do.
    pub outcome: Option<Outcome>,
    /// When the agent began to end the pod.
    pub ending_since: Option<Timestamp>,
    /// The object is gone from the API: end the pod and forget it.
    pub gone: bool,
}

/// State of the volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volumes {
    /// Not there yet; may be tried.
    #[default]
    Missing,
    /// Preparing them failed; may be tried again then, or when an object they name changes.
    RetryAt(Timestamp),
    /// All there.
    Ready,
}

/// What is being done at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Containers being started, by name.
    pub starting: BTreeSet<String>,
    /// Containers being stopped, by id, and when they will be killed at the latest.
    pub stopping: BTreeMap<String, Timestamp>,
    /// Sandboxes being made or stopped.
    pub sandbox: bool,
    /// Volumes being prepared.
    pub volumes: bool,
}

/// What the probes of a container say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The startup probe: `None` while undecided.
    pub startup: Option<bool>,
    /// The liveness probe; true until it failed.
    pub live: bool,
    /// The readiness probe; false until it succeeded.
    pub ready: bool,
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// Such as `ErrImagePull`; what the status says at first.
    pub reason: String,
    /// Explanation.
    pub message: String,
    /// What the status says while the next try waits, such as `ImagePullBackOff`.
    pub waiting: Option<(String, String)>,
    /// When it failed.
    pub since: Timestamp,
    /// When the next try is due.
    pub retry_at: Timestamp,
    /// Delay before the try after that; doubles.
    pub delay: std::time::Duration,
}

/// How long a status names the failure itself before it names the wait for the next try.
pub const FRESH: std::time::Duration = std::time::Duration::from_secs(2);

impl StartFailure {
    /// Reason and message of the waiting container.
    pub fn words(&self, now: Timestamp) -> (&str, &str) {
        match &self.waiting {
            Some((reason, message)) if now >= super::backoff::later(self.since, FRESH) => (reason, message),
            _ => (&self.reason, &self.message),
        }
    }
}

impl Observed {
    /// The newest sandbox.
    pub fn newest(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// Every container of that name in any sandbox, the newest first.
    pub fn history<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Container> {
        self.sandboxes.iter().flat_map(move |s| s.containers.iter().rev().filter(move |c| c.name == name))
    }

    /// The newest container of that name in the newest sandbox.
    pub fn current(&self, name: &str) -> Option<&Container> {
        self.newest()?.containers.iter().rev().find(|c| c.name == name)
    }

    /// When a container that ended at `finished` may run again; `None` when it may now, or is being started.
    pub fn held_back_until(&self, name: &str, finished: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let starting = self.busy.starting.contains(name);
        Backoff::until(self.backoff.get(name), finished, now).filter(|_| !starting)
    }

    /// Containers that run.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.sandboxes.iter().flat_map(|s| &s.containers).filter(|c| matches!(c.state, ContainerState::Running { .. }))
    }

    /// Puts sandboxes and containers in the order that the other functions expect.
    pub fn sort(&mut self) {
        self.sandboxes.sort_by_key(|s| std::cmp::Reverse((s.attempt, s.created_at)));
        for sandbox in &mut self.sandboxes {
            sandbox.containers.sort_by_key(|c| (c.attempt, c.created_at));
        }
    }
}
