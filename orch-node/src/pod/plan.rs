//! [`plan`]: what a pod needs next. Pure; the behaviour is that of
//! `kuberuntime_manager.go` (computePodActions, computeInitContainerActions) and `pod_workers.go`.

mod containers;

use super::{
    action::{Action, DEADLINE_EXCEEDED, KillReason, Outcome, PodActions},
    backoff::{later, until},
    observed::{Observed, Volumes},
    spec::{self, Role},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orch_runtime::node::container::{Container, ContainerState};
use std::time::Duration;

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
