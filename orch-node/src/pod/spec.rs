//! A pod's containers as the agent looks at them.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use std::time::Duration;

/// When a container runs in the life of its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to completion before the next one starts.
    Init,
    /// Starts in order among the init containers and runs as long as the pod (`restartPolicy: Always`).
    Sidecar,
    /// An ordinary container.
    App,
}

/// One container of a pod, with its role.
#[derive(Clone, Copy, Debug)]
pub struct ContainerSpec<'a> {
    /// Its role.
    pub role: Role,
    /// The container.
    pub container: &'a Container,
}

impl<'a> ContainerSpec<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.container.name
    }

    /// The image that it names.
    pub fn image(&self) -> &'a str {
        self.container.image.as_deref().unwrap_or_default()
    }
}

/// All containers: init containers and sidecars in order, then the others.
pub fn containers(pod: &Pod) -> impl Iterator<Item = ContainerSpec<'_>> {
    let spec = pod.spec.as_ref();
    let early = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten();
    let late = spec.into_iter().flat_map(|s| &s.containers);
    early
        .map(|container| ContainerSpec { role: early_role(container), container })
        .chain(late.map(|container| ContainerSpec { role: Role::App, container }))
}

/// The container of that name.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<ContainerSpec<'a>> {
    containers(pod).find(|c| c.name() == name)
}

/// Whether a container that ended with this code runs again, by its rules, its policy or the pod's
/// (`podutil.ContainerShouldRestart`, KEP-5307).
pub fn restarts(pod: &Pod, spec: ContainerSpec<'_>, exit_code: i32) -> bool {
    let container = spec.container;
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|v| *v == exit_code);
        let matches = match codes.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        };
        if matches && rule.action.starts_with("Restart") {
            return true;
        }
    }
    let of_pod = pod.spec.as_ref().and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always");
    match (spec.role, container.restart_policy.as_deref()) {
        (Role::Sidecar, _) => true,
        (Role::Init, None) => exit_code != 0 && of_pod != "Never",
        (Role::Init, Some(own)) => exit_code != 0 && own != "Never",
        (Role::App, own) => match own.unwrap_or(of_pod) {
            "Never" => false,
            "OnFailure" => exit_code != 0,
            _ => true,
        },
    }
}

/// How long the pod's containers get to stop: the deletion's grace period or the pod's own, at least a second
/// (`pod_workers.go`, calculateEffectiveGracePeriod).
pub fn grace(pod: &Pod) -> Duration {
    let own = pod.spec.as_ref().and_then(|s| s.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(own).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
}

/// Whether the pod uses the node's network.
pub fn host_network(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|s| s.host_network == Some(true))
}

/// `web_default(uid)`, as messages name a pod.
pub fn display(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!(
        "{}_{}({})",
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default()
    )
}

/// The quality of service class (`qos.ComputePodQOS`).
pub fn qos_class(spec: &PodSpec) -> &'static str {
    let all = || spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|c| c.resources.as_ref());
    let of_pod = spec.resources.iter();
    let mut any = false;
    for resources in all().chain(of_pod) {
        for (name, quantity) in resources.requests.iter().flatten().chain(resources.limits.iter().flatten()) {
            any |= matches!(name.as_str(), "cpu" | "memory") && crate::quantity::milli(&quantity.0) > 0;
        }
    }
    if !any {
        return "BestEffort";
    }
    let guaranteed = |resources: Option<&k8s_openapi::api::core::v1::ResourceRequirements>| {
        ["cpu", "memory"].into_iter().all(|name| {
            let limit = resources.and_then(|r| r.limits.as_ref()?.get(name)).map(|q| crate::quantity::milli(&q.0));
            let request = resources.and_then(|r| r.requests.as_ref()?.get(name)).map(|q| crate::quantity::milli(&q.0));
            limit.is_some_and(|l| l > 0 && request.is_none_or(|r| r == l))
        })
    };
    let each = spec.init_containers.iter().flatten().chain(&spec.containers).all(|c| guaranteed(c.resources.as_ref()));
    if each || (spec.resources.is_some() && guaranteed(spec.resources.as_ref())) { "Guaranteed" } else { "Burstable" }
}

fn early_role(container: &Container) -> Role {
    if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init }
}
