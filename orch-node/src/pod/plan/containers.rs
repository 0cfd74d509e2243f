//! Which containers start, start again, or are stopped while the pod is to run (`computeInitContainerActions`,
//! `computePodActions`).

use super::Planner;
use crate::pod::{
    action::{Action, KillReason, Outcome},
    backoff::Backoff,
    spec::{self, ContainerSpec, Role},
};
use k8s_openapi::api::core::v1::{Pod, Probe};
use orch_runtime::node::container::{Container, ContainerState};
use std::time::Duration;

impl<'a> Planner<'a> {
    /// Whether app containers may run. Starts and restarts init containers and sidecars.
    pub(super) fn init_containers(&mut self) -> bool {
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

    pub(super) fn app_containers(&mut self) {
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
}

fn grace_of(pod: &Pod, probe: Option<&Probe>) -> Duration {
    match probe.and_then(|p| p.termination_grace_period_seconds) {
        Some(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        None => spec::grace(pod),
    }
}
