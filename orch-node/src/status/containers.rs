//! Container statuses (`kubelet_pods.go`, convertToAPIContainerStatuses).

use crate::pod::{
    Observed,
    spec::{self, ContainerSpec, Role},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod, PodStatus,
};
use orch_runtime::node::container::{Container, ContainerState};

pub(super) fn fill(pod: &Pod, seen: &Observed, old: &PodStatus, runtime: &str, now: Timestamp, status: &mut PodStatus) {
    let mut writer = Writer { pod, seen, old, runtime, now, initializing: initializing(pod, seen) };
    let all: Vec<_> = spec::containers(pod).collect();
    let of = |writer: &mut Writer<'_>, early: bool| {
        all.iter().filter(|c| (c.role != Role::App) == early).map(|c| writer.status(*c)).collect::<Vec<_>>()
    };
    let early = of(&mut writer, true);
    status.init_container_statuses = (!early.is_empty()).then_some(early);
    status.container_statuses = Some(of(&mut writer, false));
}

struct Writer<'a> {
    pod: &'a Pod,
    seen: &'a Observed,
    old: &'a PodStatus,
    runtime: &'a str,
    now: Timestamp,
    initializing: bool,
}

impl Writer<'_> {
    fn status(&self, spec: ContainerSpec<'_>) -> ContainerStatus {
        let name = spec.name();
        let before = super::phase::find(self.old, spec.role, name);
        let mut history = self.seen.history(name).filter(|c| c.state != ContainerState::Created);
        let newest = history.next();
        let mut status = ContainerStatus {
            name: name.to_owned(),
            image: newest.map_or(spec.image(), |c| c.image.as_str()).to_owned(),
            image_id: newest.map(|c| c.image_id.clone()).unwrap_or_default(),
            container_id: newest.map(|c| self.id(c)),
            restart_count: newest.map_or(0, |c| i32::try_from(c.attempt).unwrap_or(i32::MAX)),
            ..ContainerStatus::default()
        };
        status.restart_count = status.restart_count.max(before.map_or(0, |b| b.restart_count));
        let Some(newest) = newest else {
            status.state = Some(self.waiting(spec));
            status.last_state = before.and_then(|b| b.last_state.clone());
            status.started = Some(false);
            return status;
        };
        status.last_state = history.next().map(|c| self.state(c));
        match &newest.state {
            ContainerState::Exited { .. } => {
                let ended = self.state(newest);
                match self.held_back(spec, newest) {
                    Some(waiting) => (status.state, status.last_state) = (Some(waiting), Some(ended)),
                    None => status.state = Some(ended),
                }
                status.started = Some(false);
            }
            _ => {
                status.state = Some(self.state(newest));
                status.started = Some(self.started(spec, newest));
            }
        }
        status.ready = self.ready(spec, newest, status.started == Some(true));
        status
    }

    fn started(&self, spec: ContainerSpec<'_>, container: &Container) -> bool {
        if self.seen.busy.starting.contains(spec.name()) {
            return false;
        }
        let probed = self.seen.health.get(&container.id).and_then(|h| h.startup);
        spec.container.startup_probe.is_none() || probed == Some(true)
    }

    fn ready(&self, spec: ContainerSpec<'_>, container: &Container, started: bool) -> bool {
        match (&container.state, spec.role) {
            (ContainerState::Exited { exit_code, .. }, Role::Init) => *exit_code == 0,
            (ContainerState::Running { .. }, Role::Sidecar | Role::App) if started => {
                spec.container.readiness_probe.is_none() || self.seen.health.get(&container.id).is_some_and(|h| h.ready)
            }
            _ => false,
        }
    }

    /// Why a container that ended does not run yet, when it is to run again.
    fn held_back(&self, spec: ContainerSpec<'_>, ended: &Container) -> Option<ApiState> {
        let ContainerState::Exited { finished_at, exit_code, .. } = &ended.state else { return None };
        let over = self.seen.outcome.is_some() || self.seen.gone || self.pod.metadata.deletion_timestamp.is_some();
        if over || !spec::restarts(self.pod, spec, *exit_code) {
            return None;
        }
        if let Some(state) = self.failure(spec.name()) {
            return Some(state);
        }
        self.seen.held_back_until(spec.name(), *finished_at, self.now)?;
        let delay = display_delay(self.seen.backoff.get(spec.name())?.delay);
        let (name, pod) = (spec.name(), spec::display(self.pod));
        Some(waiting("CrashLoopBackOff", &format!("back-off {delay} restarting failed container={name} pod={pod}")))
    }

    fn waiting(&self, spec: ContainerSpec<'_>) -> ApiState {
        if let Some(state) = self.failure(spec.name()) {
            return state;
        }
        let reason = match spec.role {
            Role::App if !self.initializing => "ContainerCreating",
            _ => "PodInitializing",
        };
        waiting(reason, "")
    }

    fn failure(&self, name: &str) -> Option<ApiState> {
        let (reason, message) = self.seen.failures.get(name)?.words(self.now);
        Some(waiting(reason, message))
    }

    fn state(&self, container: &Container) -> ApiState {
        match &container.state {
            ContainerState::Created => waiting("ContainerCreating", ""),
            ContainerState::Running { started_at, .. } => ApiState {
                running: Some(ContainerStateRunning { started_at: Some(super::time(*started_at)) }),
                ..ApiState::default()
            },
            ContainerState::Exited { started_at, finished_at, exit_code, signal, reason, message } => {
                let reason = match (reason.as_str(), exit_code) {
                    ("", 0) => "Completed",
                    ("", _) => "Error",
                    (reason, _) => reason,
                };
                let written = self.seen.messages.get(&container.id).unwrap_or(message);
                let ended = ContainerStateTerminated {
                    container_id: Some(self.id(container)),
                    exit_code: *exit_code,
                    signal: (*signal != 0).then_some(*signal),
                    reason: Some(reason.to_owned()),
                    message: (!written.is_empty()).then(|| written.clone()),
                    started_at: Some(super::time(*started_at)),
                    finished_at: Some(super::time(*finished_at)),
                };
                ApiState { terminated: Some(ended), ..ApiState::default() }
            }
        }
    }

    fn id(&self, container: &Container) -> String {
        format!("{}://{}", self.runtime, container.id)
    }
}

/// Whether app containers still wait for init containers.
fn initializing(pod: &Pod, seen: &Observed) -> bool {
    let init = pod.spec.as_ref().is_some_and(|s| s.init_containers.iter().flatten().next().is_some());
    init && !spec::containers(pod).any(|c| c.role == Role::App && seen.current(c.name()).is_some())
}

fn waiting(reason: &str, message: &str) -> ApiState {
    let message = (!message.is_empty()).then(|| message.to_owned());
    ApiState { waiting: Some(ContainerStateWaiting { reason: Some(reason.into()), message }), ..ApiState::default() }
}

/// A delay as Go prints it: `10s`, `2m40s`, `5m0s`.
pub(crate) fn display_delay(delay: std::time::Duration) -> String {
    match (delay.as_secs() / 60, delay.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
