//! The phase of a pod (`kubelet_pods.go`, getPhase).

use crate::pod::spec::{self, Role};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

#[derive(Default)]
struct Count {
    pending_init: usize,
    pending_sidecars: usize,
    failed_init: usize,
    failed_init_for_good: usize,
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    stopped_for_good: usize,
    succeeded: usize,
}

/// The phase that follows from container statuses. `terminal`: no container will be started again.
pub fn phase(pod: &Pod, status: &PodStatus, terminal: bool) -> &'static str {
    let count = count(pod, status);
    let started = status.container_statuses.iter().flatten().any(has_started);
    if count.failed_init_for_good > 0 {
        return "Failed";
    }
    if (count.pending_init > 0 || count.failed_init > 0 || count.pending_sidecars > 0) && !started {
        return if terminal && count.failed_init > 0 { "Failed" } else { "Pending" };
    }
    match count {
        Count { waiting: 1.., .. } => "Pending",
        Count { running: 1.., unknown: 0, .. } => "Running",
        Count { running: 0, stopped: s @ 1.., unknown: 0, succeeded, .. } if terminal => {
            if s == succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        Count { running: 0, stopped: s @ 1.., unknown: 0, stopped_for_good, succeeded, .. } => {
            if stopped_for_good < s {
                "Running"
            } else if s == succeeded {
                "Succeeded"
            } else {
                "Failed"
            }
        }
        _ => "Pending",
    }
}

fn count(pod: &Pod, status: &PodStatus) -> Count {
    let mut count = Count::default();
    for spec in spec::containers(pod) {
        let Some(of) = find(status, spec.role, spec.name()) else {
            match spec.role {
                Role::Init => count.pending_init += 1,
                _ => count.unknown += 1,
            }
            continue;
        };
        let restarts = |code| spec::restarts(pod, spec, code);
        match spec.role {
            Role::Init => match last_exit(of) {
                Some(0) if ended(of) => {}
                Some(code) if code != 0 && !running(of) => {
                    count.failed_init += 1;
                    count.failed_init_for_good += usize::from(!restarts(code));
                }
                _ => count.pending_init += 1,
            },
            Role::Sidecar if running(of) => {
                count.pending_sidecars += usize::from(of.started != Some(true));
                count.running += 1;
            }
            Role::Sidecar if last_exit(of).is_some() => {}
            Role::Sidecar => {
                count.pending_sidecars += 1;
                count.waiting += 1;
            }
            Role::App if running(of) => count.running += 1,
            Role::App => match last_exit(of) {
                Some(code) => {
                    count.stopped += 1;
                    count.succeeded += usize::from(ended(of) && code == 0);
                    count.stopped_for_good += usize::from(ended(of) && !restarts(code));
                }
                None => count.waiting += 1,
            },
        }
    }
    count
}

pub(super) fn find<'a>(status: &'a PodStatus, role: Role, name: &str) -> Option<&'a ContainerStatus> {
    let list = if role == Role::App { &status.container_statuses } else { &status.init_container_statuses };
    list.iter().flatten().find(|s| s.name == name)
}

pub(super) fn running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|s| s.running.is_some())
}

fn ended(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|s| s.terminated.is_some())
}

/// Whether a container has run at least once.
pub(super) fn has_started(status: &ContainerStatus) -> bool {
    running(status) || last_exit(status).is_some()
}

/// The exit code of a container that does not run, now or before it began to wait.
fn last_exit(status: &ContainerStatus) -> Option<i32> {
    let of = |s: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        s.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code)
    };
    of(&status.state).or_else(|| of(&status.last_state))
}
