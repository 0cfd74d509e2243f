//! Limits and security of a container, from its spec (`kuberuntime_container_linux.go`, `qos/policy.go`).

use crate::{pod::spec, quantity};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements, SeccompProfile};
use orch_runtime::node::container::{Image, Resources, Security};
use std::collections::BTreeMap;

/// Microseconds of a CPU period.
const PERIOD_US: u64 = 100_000;

/// The pod's cgroup below the runtime's root.
pub(crate) fn cgroup(pod: &Pod, uid: &str) -> String {
    match pod.spec.as_ref().map(spec::qos_class) {
        Some("Guaranteed") => format!("kubepods/pod{uid}"),
        Some("Burstable") => format!("kubepods/burstable/pod{uid}"),
        _ => format!("kubepods/besteffort/pod{uid}"),
    }
}

/// Limits of the whole pod: those of the pod itself, or the sum when every container has one.
pub(crate) fn of_pod(spec: &PodSpec) -> Resources {
    let own = spec.resources.as_ref();
    let sum = |limits: bool, name: &str| -> Option<i128> {
        let get = |r: &ResourceRequirements| {
            let list = if limits { r.limits.as_ref() } else { r.requests.as_ref() };
            list.and_then(|l| l.get(name)).map(|q| quantity::milli(&q.0))
        };
        let each: Option<i128> = match limits {
            true => spec.containers.iter().map(|c| c.resources.as_ref().and_then(get)).sum(),
            false => Some(spec.containers.iter().filter_map(|c| c.resources.as_ref().and_then(get)).sum()),
        };
        let early = spec.init_containers.iter().flatten().filter_map(|c| c.resources.as_ref().and_then(get)).max();
        own.and_then(get).or_else(|| each.map(|e| e.max(early.unwrap_or(0))))
    };
    limits(sum(true, "cpu"), sum(false, "cpu"), sum(true, "memory"))
}

/// Limits of one container.
pub(crate) fn of_container(pod: &Pod, container: &Container, allocatable: &BTreeMap<String, String>) -> Resources {
    let resources = container.resources.clone().unwrap_or_default();
    let get = |list: &Option<BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>, name: &str| {
        list.as_ref().and_then(|l| l.get(name)).map(|q| quantity::milli(&q.0))
    };
    let cpu = get(&resources.limits, "cpu");
    let mut out = limits(cpu, get(&resources.requests, "cpu").or(cpu), get(&resources.limits, "memory"));
    let capacity = allocatable.get("memory").map_or(0, |q| quantity::units(q));
    let request = get(&resources.requests, "memory").or(get(&resources.limits, "memory")).unwrap_or(0) / 1000;
    out.oom_score_adj = Some(oom_score(pod, request, i128::from(capacity)));
    out
}

fn limits(cpu_limit: Option<i128>, cpu_request: Option<i128>, memory: Option<i128>) -> Resources {
    let quota = cpu_limit.filter(|c| *c > 0).map(|milli| (milli * i128::from(PERIOD_US) / 1000).max(1000));
    Resources {
        cpu_shares: Some(u64::try_from(cpu_request.unwrap_or(0) * 1024 / 1000).unwrap_or(0).clamp(2, 262_144)),
        cpu_quota_us: quota.and_then(|q| i64::try_from(q).ok()),
        cpu_period_us: quota.map(|_| PERIOD_US),
        memory_bytes: memory.filter(|m| *m > 0).and_then(|m| i64::try_from(m / 1000).ok()),
        pids: None,
        oom_score_adj: None,
    }
}

/// `qos.GetContainerOOMScoreAdjust`
fn oom_score(pod: &Pod, request: i128, capacity: i128) -> i64 {
    match pod.spec.as_ref().map(spec::qos_class) {
        Some("Guaranteed") => -997,
        Some("Burstable") if capacity > 0 => {
            let score = 1000 - 1000 * request / capacity;
            i64::try_from(score).unwrap_or(999).clamp(3, 999)
        }
        Some("Burstable") => 999,
        _ => 1000,
    }
}

/// User, capabilities and the like: the container's own settings before the pod's.
pub(crate) fn security(pod: &Pod, container: &Container) -> Security {
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let capabilities = own.capabilities.unwrap_or_default();
    let groups = of_pod.supplemental_groups.into_iter().flatten().chain(of_pod.fs_group);
    Security {
        privileged: own.privileged == Some(true),
        run_as_user: own.run_as_user.or(of_pod.run_as_user),
        run_as_group: own.run_as_group.or(of_pod.run_as_group),
        supplemental_groups: groups.collect(),
        read_only_root: own.read_only_root_filesystem == Some(true),
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        seccomp_profile: own.seccomp_profile.or(of_pod.seccomp_profile).map(profile),
    }
}

fn profile(profile: SeccompProfile) -> String {
    match profile.type_.as_str() {
        "Localhost" => profile.localhost_profile.unwrap_or_default(),
        name => name.to_owned(),
    }
}

/// `runAsNonRoot` (`security_context.go`, verifyRunAsNonRoot).
pub(crate) fn check_non_root(
    pod: &Pod,
    container: &Container,
    security: &Security,
    image: &Image,
) -> Result<(), String> {
    let of_pod = pod.spec.as_ref().and_then(|s| s.security_context.as_ref()).and_then(|s| s.run_as_non_root);
    let own = container.security_context.as_ref().and_then(|s| s.run_as_non_root);
    if own.or(of_pod) != Some(true) {
        return Ok(());
    }
    let named = image.user.split(':').next().unwrap_or_default();
    match (security.run_as_user, named.parse::<i64>()) {
        (Some(0), _) => Err("container's runAsUser breaks non-root policy".into()),
        (Some(_), _) => Ok(()),
        (None, Ok(0)) => Err("container has runAsNonRoot and image will run as root".into()),
        (None, Ok(_)) => Ok(()),
        (None, Err(_)) if named.is_empty() => Err("container has runAsNonRoot and image will run as root".into()),
        (None, Err(_)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({named}), cannot verify user is non-root"
        )),
    }
}
