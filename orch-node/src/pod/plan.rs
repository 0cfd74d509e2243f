//! [`plan`]: what a pod needs next. Pure; the behaviour is that of
//! `kuberuntime_manager.go` (computePodActions, computeInitContainerActions) and `pod_workers.go`.

use super::{
    backoff::{Backoff, later, until},
    observed::{Observed, Volumes},
    spec::{self, ContainerSpec, Role},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Probe};
use orch_runtime::node::container::{Container, ContainerState};
use std::{fmt, time::Duration};

/// What to do now, and when to look again without any event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodActions {
    /// Independent of each other; all may be begun at once.
    pub actions: Vec<Action>,
    /// When a back-off or a deadline ends.
    pub wake_at: Option<Timestamp>,
    /// Set when the pod is over from now on.
    pub outcome: Option<Outcome>,
}

/// Reason of a pod that ran longer than it may.
pub(super) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";

/// How a pod came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its containers ended and none will run again; their exit codes decide between Succeeded and Failed.
    Completed,
    /// The agent ended it: phase Failed with this reason and message.
    Failed {
        /// Such as `DeadlineExceeded`.
        reason: String,
        /// Explanation.
        message: String,
    },
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make directories and volumes.
    PrepareVolumes,
    /// Make the sandbox.
    CreateSandbox {
        /// Which try this is, from 0.
        attempt: u32,
    },
    /// Take the sandbox down.
    StopSandbox {
        /// Its id.
        id: String,
    },
    /// Remove a sandbox that is of no more use.
    RemoveSandbox {
        /// Its id.
        id: String,
    },
    /// Pull, create and start a container.
    Start {
        /// Its name.
        name: String,
        /// Which try this is, from 0.
        attempt: u32,
        /// Crash back-off from now on.
        backoff: Option<Backoff>,
    },
    /// Stop a container.
    Kill {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Time for the preStop hook and for the stop signal.
        grace: Duration,
        /// Why.
        reason: KillReason,
    },
    /// Remove a dead container that nobody asks for any more.
    RemoveContainer {
        /// Its id.
        id: String,
    },
    /// All is down: write the last status, clean up, and delete the object if it waits for that.
    Finish,
}

/// Why a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillReason {
    /// The pod ends.
    PodEnds,
    /// The pod's sandbox is gone.
    SandboxChanged,
    /// The liveness probe failed.
    Liveness,
    /// The startup probe failed.
    Startup,
    /// The container's image was changed in the spec.
    Changed,
}

impl KillReason {
    /// The words of the `Killing` event.
    pub fn message(self, name: &str) -> String {
        match self {
            Self::PodEnds | Self::SandboxChanged => format!("Stopping container {name}"),
            Self::Liveness => format!("Container {name} failed liveness probe, will be restarted"),
            Self::Startup => format!("Container {name} failed startup probe, will be restarted"),
            Self::Changed => format!("Container {name} definition changed, will be restarted"),
        }
    }
}

/// Decides what the pod needs next. The same input gives the same answer, and a plan whose actions have
/// been done (or are under way, see [`Observed::busy`]) asks for nothing again.
pub fn plan(pod: &Pod, seen: &Observed, now: Timestamp) -> PodActions {
    let mut plan = Planner { pod, seen, now, out: PodActions::default(), alive: 0 };
    if seen.gone || pod.metadata.deletion_timestamp.is_some() || seen.outcome.is_some() {
        plan.end();
    } else if let Some(outcome) = plan.overdue() {
        plan.out.outcome = Some(outcome);
        plan.end();
    } else {
        plan.keep_running();
    }
    plan.out
}

struct Planner<'a> {
    pod: &'a Pod,
    seen: &'a Observed,
    now: Timestamp,
    out: PodActions,
    /// App containers that run, are about to, or will again.
    alive: usize,
}

impl<'a> Planner<'a> {
    /// `activeDeadlineSeconds`.
    fn overdue(&mut self) -> Option<Outcome> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let deadline = later(self.seen.accepted_at?, Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        if deadline > self.now {
            self.wake(deadline);
            return None;
        }
        Some(Outcome::Failed {
            reason: DEADLINE_EXCEEDED.into(),
            message: "Pod was active on the node longer than the specified deadline".into(),
        })
    }

    fn keep_running(&mut self) {
        if !self.sandbox_usable() {
            self.renew_sandbox();
        } else {
            let initialized = self.init_containers();
            if initialized {
                self.app_containers();
            }
            if self.alive == 0 && self.out.outcome.is_none() {
                self.out.outcome = Some(Outcome::Completed);
            }
            self.collect_garbage();
        }
        if self.out.outcome.is_some() {
            self.out.actions.clear();
            self.end();
        }
    }

    /// `runtimeutil.PodSandboxChanged`
    fn sandbox_usable(&self) -> bool {
        let ready = self.seen.sandboxes.iter().filter(|s| s.ready).count();
        let network = spec::host_network(self.pod);
        self.seen.newest().is_some_and(|s| s.ready && ready == 1 && (network || !s.ips.is_empty()))
    }

    fn renew_sandbox(&mut self) {
        if self.seen.newest().is_some() && self.nothing_left_to_run() {
            self.out.outcome = Some(Outcome::Completed);
            return;
        }
        if self.stop_all(KillReason::SandboxChanged) || self.seen.busy.sandbox {
            return;
        }
        if !self.volumes_ready() {
            return;
        }
        match self.seen.sandbox_retry_at {
            Some(retry) if retry > self.now => self.wake(retry),
            _ => {
                let attempt = self.seen.newest().map_or(0, |s| s.attempt + 1);
                self.out.actions.push(Action::CreateSandbox { attempt });
            }
        }
    }

    /// Whether a pod whose sandbox is gone is over: each container has ended and none would run again.
    fn nothing_left_to_run(&self) -> bool {
        spec::containers(self.pod).filter(|c| c.role == Role::App).all(|c| {
            self.seen.history(c.name()).next().is_some_and(
                |last| matches!(last.state, ContainerState::Exited { exit_code, .. } if !spec::restarts(self.pod, c, exit_code)),
            )
        })
    }

    fn volumes_ready(&mut self) -> bool {
        match self.seen.volumes {
            Volumes::Ready => return true,
            _ if self.seen.busy.volumes => {}
            Volumes::RetryAt(at) if at > self.now => self.wake(at),
            _ => self.out.actions.push(Action::PrepareVolumes),
        }
        false
    }

    /// Whether app containers may run. Starts and restarts init containers and sidecars.
    fn init_containers(&mut self) -> bool {
        let early: Vec<_> = spec::containers(self.pod).filter(|c| c.role != Role::App).collect();
        let initialized = spec::containers(self.pod)
            .filter(|c| c.role == Role::App)
            .any(|c| self.seen.current(c.name()).is_some_and(|c| c.state != ContainerState::Created));
        // Whoever comes before one that was reached already must not hold it up again.
        let reached = early.iter().rposition(|c| self.seen.current(c.name()).is_some()).unwrap_or(0);
        for (index, spec) in early.into_iter().enumerate() {
            let passed = initialized || index < reached;
            let done = match spec.role {
                Role::Sidecar => self.sidecar(spec),
                _ if passed => true,
                _ => self.init_container(spec),
            };
            if !done && !passed {
                if self.out.outcome.is_none() {
                    self.alive += 1;
                }
                return false;
            }
        }
        true
    }

    /// Whether the init container has succeeded.
    fn init_container(&mut self, spec: ContainerSpec<'a>) -> bool {
        match self.seen.current(spec.name()) {
            Some(Container { state: ContainerState::Exited { exit_code: 0, .. }, .. }) => return true,
            Some(Container { state: ContainerState::Exited { exit_code, .. }, .. })
                if !spec::restarts(self.pod, spec, *exit_code) =>
            {
                self.out.outcome = Some(Outcome::Completed);
            }
            Some(container @ Container { state: ContainerState::Running { .. }, .. }) => {
                self.kill_if_unhealthy(spec, container);
            }
            last => self.start(spec, last),
        }
        false
    }

    /// Whether the sidecar has started, so that the next container may.
    fn sidecar(&mut self, spec: ContainerSpec<'a>) -> bool {
        match self.seen.current(spec.name()) {
            Some(container @ Container { state: ContainerState::Running { .. }, .. }) => {
                self.kill_if_unhealthy(spec, container);
                !self.seen.busy.starting.contains(spec.name())
                    && (spec.container.startup_probe.is_none()
                        || self.seen.health.get(&container.id).is_some_and(|h| h.startup == Some(true)))
            }
            last => {
                self.start(spec, last);
                false
            }
        }
    }

    fn app_containers(&mut self) {
        for spec in spec::containers(self.pod).filter(|c| c.role == Role::App) {
            match self.seen.current(spec.name()) {
                Some(container @ Container { state: ContainerState::Running { .. }, .. }) => {
                    self.alive += 1;
                    self.kill_if_unhealthy(spec, container);
                }
                Some(Container { state: ContainerState::Exited { exit_code, .. }, .. })
                    if !spec::restarts(self.pod, spec, *exit_code) => {}
                last => {
                    let ended_before = last.is_none() && self.ended_for_good_before(spec);
                    if !ended_before {
                        self.alive += 1;
                        self.start(spec, last);
                    }
                }
            }
        }
    }

    /// Whether the container ended for good in an earlier sandbox: it does not run again in a new one.
    fn ended_for_good_before(&self, spec: ContainerSpec<'_>) -> bool {
        matches!(
            self.seen.history(spec.name()).next().map(|c| &c.state),
            Some(ContainerState::Exited { exit_code, .. }) if !spec::restarts(self.pod, spec, *exit_code)
        )
    }

    fn start(&mut self, spec: ContainerSpec<'_>, last: Option<&Container>) {
        let name = spec.name();
        if self.seen.busy.starting.contains(name) || last.is_some_and(|c| self.seen.busy.stopping.contains_key(&c.id)) {
            return;
        }
        if let Some(failure) = self.seen.failures.get(name).filter(|f| f.retry_at > self.now) {
            return self.wake(failure.retry_at);
        }
        let known = self.seen.backoff.get(name);
        let mut backoff = None;
        if let Some(ContainerState::Exited { finished_at, .. }) = last.map(|c| &c.state) {
            if let Some(until) = Backoff::until(known, *finished_at, self.now) {
                return self.wake(until);
            }
            backoff = Some(Backoff::next(known, *finished_at, self.now));
        }
        let attempt = self.seen.history(name).map(|c| c.attempt + 1).max().unwrap_or(0);
        self.out.actions.push(Action::Start { name: name.to_owned(), attempt, backoff });
    }

    fn kill_if_unhealthy(&mut self, spec: ContainerSpec<'_>, container: &Container) {
        let health = self.seen.health.get(&container.id);
        let (reason, probe) = match health {
            Some(h) if h.startup == Some(false) => (KillReason::Startup, spec.container.startup_probe.as_ref()),
            Some(h) if !h.live => (KillReason::Liveness, spec.container.liveness_probe.as_ref()),
            _ if container.image != spec.image() => (KillReason::Changed, None),
            _ => return,
        };
        self.kill(container, grace_of(self.pod, probe), reason);
    }

    /// Ends the pod: app containers, then sidecars in reverse order, then the sandbox.
    fn end(&mut self) {
        if self.stop_all(KillReason::PodEnds) || self.seen.busy.sandbox || self.seen.busy.volumes {
            return;
        }
        self.out.actions.push(Action::Finish);
    }

    /// Stops everything that runs. Whether there is still something to wait for.
    fn stop_all(&mut self, reason: KillReason) -> bool {
        let grace = self.remaining_grace();
        let sidecar = |c: &Container| spec::container(self.pod, &c.name).is_some_and(|s| s.role == Role::Sidecar);
        let (sidecars, others): (Vec<_>, Vec<_>) = self.seen.running().partition(|c| sidecar(c));
        let starting = !self.seen.busy.starting.is_empty();
        for container in &others {
            self.kill(container, grace, reason);
        }
        let order = |c: &&&Container| spec::containers(self.pod).position(|s| s.name() == c.name);
        if others.is_empty()
            && !starting
            && let Some(last) = sidecars.iter().max_by_key(order)
        {
            self.kill(last, grace, reason);
        }
        if !others.is_empty() || !sidecars.is_empty() || starting {
            return true;
        }
        let ready: Vec<_> = self.seen.sandboxes.iter().filter(|s| s.ready).map(|s| s.id.clone()).collect();
        if !self.seen.busy.sandbox {
            self.out.actions.extend(ready.iter().map(|id| Action::StopSandbox { id: id.clone() }));
        }
        !ready.is_empty()
    }

    fn remaining_grace(&self) -> Duration {
        let grace = spec::grace(self.pod);
        let Some(since) = self.seen.ending_since else { return grace };
        until(self.now, later(since, grace)).max(Duration::from_secs(1))
    }

    fn kill(&mut self, container: &Container, grace: Duration, reason: KillReason) {
        let deadline = later(self.now, grace);
        if self.seen.busy.stopping.get(&container.id).is_some_and(|known| *known <= deadline) {
            return;
        }
        let (id, name) = (container.id.clone(), container.name.clone());
        self.out.actions.push(Action::Kill { id, name, grace, reason });
    }

    /// Dead containers beyond the newest and the one before it, and sandboxes that hold none.
    fn collect_garbage(&mut self) {
        for spec in spec::containers(self.pod) {
            let dead = |c: &&Container| !matches!(c.state, ContainerState::Running { .. });
            for container in self.seen.history(spec.name()).skip(2).filter(dead) {
                self.out.actions.push(Action::RemoveContainer { id: container.id.clone() });
            }
        }
        let spent = self.seen.sandboxes.iter().skip(1).filter(|s| !s.ready && s.containers.is_empty());
        self.out.actions.extend(spent.map(|s| Action::RemoveSandbox { id: s.id.clone() }));
    }

    fn wake(&mut self, at: Timestamp) {
        self.out.wake_at = Some(self.out.wake_at.map_or(at, |known| known.min(at)));
    }
}

fn grace_of(pod: &Pod, probe: Option<&Probe>) -> Duration {
    match probe.and_then(|p| p.termination_grace_period_seconds) {
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        None => spec::grace(pod),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareVolumes => write!(f, "prepare volumes"),
            Self::CreateSandbox { attempt } => write!(f, "create sandbox #{attempt}"),
            Self::StopSandbox { id } => write!(f, "stop sandbox {id}"),
            Self::RemoveSandbox { id } => write!(f, "remove sandbox {id}"),
            Self::Start { name, attempt, backoff: None } => write!(f, "start {name} #{attempt}"),
            Self::Start { name, attempt, backoff: Some(b) } => {
                write!(f, "start {name} #{attempt}, then back off {}s", b.delay.as_secs())
            }
            Self::Kill { id, grace, reason, .. } => write!(f, "kill {id} within {}s: {reason:?}", grace.as_secs()),
            Self::RemoveContainer { id } => write!(f, "remove container {id}"),
            Self::Finish => write!(f, "finish"),
        }
    }
}

impl fmt::Display for PodActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        if let Some(outcome) = &self.outcome {
            match outcome {
                Outcome::Completed => writeln!(f, "outcome: completed")?,
                Outcome::Failed { reason, .. } => writeln!(f, "outcome: {reason}")?,
            }
        }
        Ok(())
    }
}
