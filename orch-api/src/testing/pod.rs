//! Pods in the states that tests need.

use super::{CREATED, container, later, quantities};
use crate::conditions;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
    PodCondition, PodIP, PodSpec, PodStatus, Toleration,
};

/// Adjectives of a pod. Without any it is pending, unscheduled, and has no containers but those it is given.
pub trait PodFixture: Sized {
    /// With a container.
    #[must_use]
    fn container(self, name: &str, image: &str) -> Self;
    /// Bound to a node.
    #[must_use]
    fn on_node(self, node: &str) -> Self;
    /// Not scheduled yet.
    #[must_use]
    fn pending(self) -> Self;
    /// Running, and not ready.
    #[must_use]
    fn running(self) -> Self;
    /// Running and ready, as long as it lives.
    #[must_use]
    fn ready(self) -> Self;
    /// Ended well.
    #[must_use]
    fn succeeded(self) -> Self;
    /// Ended badly.
    #[must_use]
    fn failed(self) -> Self;
    /// With an address.
    #[must_use]
    fn ip(self, ip: &str) -> Self;
    /// Whose first container asks for so much CPU and memory.
    #[must_use]
    fn requests(self, cpu: &str, memory: &str) -> Self;
    /// With this priority.
    #[must_use]
    fn priority(self, priority: i32) -> Self;
    /// That tolerates a taint by key and effect, whatever its value.
    #[must_use]
    fn tolerates(self, key: &str, effect: &str) -> Self;
    /// With this condition.
    #[must_use]
    fn condition(self, kind: &str, status: &str, reason: &str) -> Self;
    /// One of whose containers waits for this reason.
    #[must_use]
    fn waiting(self, container: &str, reason: &str) -> Self;
    /// One of whose containers ended with this code after so many restarts.
    #[must_use]
    fn exited(self, container: &str, code: i32, restarts: i32) -> Self;
}

impl PodFixture for Pod {
    fn container(mut self, name: &str, image: &str) -> Self {
        container(spec(&mut self), name, image);
        self
    }

    fn on_node(mut self, node: &str) -> Self {
        spec(&mut self).node_name = Some(node.into());
        self.condition("PodScheduled", "True", "")
    }

    fn pending(mut self) -> Self {
        status(&mut self).phase = Some("Pending".into());
        self
    }

    fn running(mut self) -> Self {
        if spec(&mut self).containers.is_empty() {
            self = self.container("main", "image:1");
        }
        let names: Vec<String> = spec(&mut self).containers.iter().map(|c| c.name.clone()).collect();
        for name in names {
            let state = ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(later(1)) }),
                ..ContainerState::default()
            };
            let container = container_status(&mut self, &name);
            (container.state, container.started) = (Some(state), Some(true));
        }
        let status = status(&mut self);
        (status.phase, status.start_time) = (Some("Running".into()), Some(later(1)));
        self
    }

    fn ready(self) -> Self {
        let mut pod = self.running();
        for container in status(&mut pod).container_statuses.iter_mut().flatten() {
            container.ready = true;
        }
        pod.condition("Initialized", "True", "").condition("ContainersReady", "True", "").condition("Ready", "True", "")
    }

    fn succeeded(mut self) -> Self {
        status(&mut self).phase = Some("Succeeded".into());
        self
    }

    fn failed(mut self) -> Self {
        status(&mut self).phase = Some("Failed".into());
        self
    }

    fn ip(mut self, ip: &str) -> Self {
        let status = status(&mut self);
        status.pod_ip = Some(ip.into());
        status.pod_ips = Some(vec![PodIP { ip: ip.into() }]);
        self
    }

    fn requests(mut self, cpu: &str, memory: &str) -> Self {
        let spec = spec(&mut self);
        let name = spec.containers.first().map_or_else(|| "main".to_owned(), |c| c.name.clone());
        let requests = Some(quantities([("cpu", cpu), ("memory", memory)]));
        container(spec, &name, "image:1").resources.get_or_insert_default().requests = requests;
        self
    }

    fn priority(mut self, priority: i32) -> Self {
        spec(&mut self).priority = Some(priority);
        self
    }

    fn tolerates(mut self, key: &str, effect: &str) -> Self {
        spec(&mut self).tolerations.get_or_insert_default().push(Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        });
        self
    }

    fn condition(mut self, kind: &str, state: &str, reason: &str) -> Self {
        let condition = PodCondition {
            type_: kind.into(),
            status: state.into(),
            reason: (!reason.is_empty()).then(|| reason.into()),
            ..PodCondition::default()
        };
        conditions::set(status(&mut self).conditions.get_or_insert_default(), condition, CREATED);
        self
    }

    fn waiting(mut self, container: &str, reason: &str) -> Self {
        container_status(&mut self, container).state = Some(ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.into()), ..ContainerStateWaiting::default() }),
            ..ContainerState::default()
        });
        self
    }

    fn exited(mut self, container: &str, code: i32, restarts: i32) -> Self {
        let container = container_status(&mut self, container);
        container.restart_count = restarts;
        container.ready = false;
        container.state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                exit_code: code,
                reason: Some(if code == 0 { "Completed" } else { "Error" }.into()),
                started_at: Some(later(1)),
                finished_at: Some(later(2)),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        });
        self
    }
}

fn spec(pod: &mut Pod) -> &mut PodSpec {
    pod.spec.get_or_insert_default()
}

fn status(pod: &mut Pod) -> &mut PodStatus {
    pod.status.get_or_insert_with(|| PodStatus { phase: Some("Pending".into()), ..PodStatus::default() })
}

fn container_status<'a>(pod: &'a mut Pod, name: &str) -> &'a mut ContainerStatus {
    let image = spec(pod).containers.iter().find(|c| c.name == name).and_then(|c| c.image.clone());
    let statuses = status(pod).container_statuses.get_or_insert_default();
    let at = statuses.iter().position(|c| c.name == name).unwrap_or_else(|| {
        statuses.push(ContainerStatus {
            name: name.into(),
            image: image.unwrap_or_default(),
            ..ContainerStatus::default()
        });
        statuses.len() - 1
    });
    &mut statuses[at]
}
