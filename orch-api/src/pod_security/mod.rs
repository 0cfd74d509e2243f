//! The Pod Security Standards: what pods of a namespace may ask of their node (`k8s.io/pod-security-admission`). Pure.
//!
//! ```text
//! labels of the namespace ─► Policy { enforce, audit, warn } ─► violations(level, pod) ─► words
//! ```

mod containers;
mod level;
mod pod;
mod profiles;
mod subject;
#[cfg(test)]
mod tests;
mod volumes;

pub use level::{Level, LevelVersion, Policy, Version};
pub use subject::{Subject, Violation};

use containers as c;
use pod as p;
use profiles as f;

type Test = fn(&Subject<'_>) -> Option<Violation>;

/// A check with the minor versions of Kubernetes from which on it reads as it does.
struct Check {
    level: Level,
    versions: &'static [(u32, Test)],
    /// The baseline check that this one replaces.
    instead_of: &'static str,
    id: &'static str,
}

const fn baseline(id: &'static str, versions: &'static [(u32, Test)]) -> Check {
    Check { level: Level::Baseline, versions, instead_of: "", id }
}

const fn restricted(id: &'static str, instead_of: &'static str, versions: &'static [(u32, Test)]) -> Check {
    Check { level: Level::Restricted, versions, instead_of, id }
}

/// The newest minor version in which a check changed. Later ones read as this one.
const NEWEST: u32 = 35;

/// All checks, in the order in which their violations are told.
const CHECKS: &[Check] = &[
    baseline("appArmorProfile", &[(0, f::app_armor)]),
    baseline("capabilities_baseline", &[(0, c::capabilities)]),
    baseline("hostNamespaces", &[(0, p::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, volumes::host_paths)]),
    baseline("hostPorts", &[(0, c::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, c::probe_hosts)]),
    baseline("privileged", &[(0, c::privileged)]),
    baseline("procMount", &[(0, c::proc_mount), (35, c::proc_mount_of_host_users)]),
    baseline("seLinuxOptions", &[(0, f::se_linux), (31, f::se_linux_with_engines)]),
    baseline("seccompProfile_baseline", &[(0, f::seccomp_annotations), (19, f::seccomp)]),
    baseline("sysctls", &[(0, p::sysctls_0), (27, p::sysctls_27), (29, p::sysctls_29), (32, p::sysctls_32)]),
    baseline("windowsHostProcess", &[(0, p::host_process)]),
    restricted(
        "allowPrivilegeEscalation",
        "",
        &[(8, c::privilege_escalation), (25, |s| s.unless_windows(c::privilege_escalation))],
    ),
    restricted(
        "capabilities_restricted",
        "capabilities_baseline",
        &[(22, c::capabilities_dropped), (25, |s| s.unless_windows(c::capabilities_dropped))],
    ),
    restricted("procMount_restricted", "procMount", &[(35, c::proc_mount)]),
    restricted("restrictedVolumes", "hostPathVolumes", &[(0, volumes::restricted)]),
    restricted("runAsNonRoot", "", &[(0, p::non_root), (35, |s| s.unless_own_users(p::non_root))]),
    restricted("runAsUser", "", &[(23, p::run_as_user), (35, |s| s.unless_own_users(p::run_as_user))]),
    restricted(
        "seccompProfile_restricted",
        "seccompProfile_baseline",
        &[(19, f::seccomp_required), (25, |s| s.unless_windows(f::seccomp_required))],
    ),
];

/// What a pod does that the level forbids in that version of it, in the order of the checks.
pub fn violations(level: LevelVersion, subject: &Subject<'_>) -> Vec<Violation> {
    let minor = level.version.minor().unwrap_or(NEWEST).min(NEWEST);
    let applies =
        |check: &&Check| check.level <= level.level && check.versions.first().is_some_and(|(since, _)| *since <= minor);
    let active: Vec<&Check> = CHECKS.iter().filter(applies).collect();
    let replaced = |check: &&&Check| active.iter().any(|other| other.instead_of == check.id);
    let tests = active
        .iter()
        .filter(|check| !replaced(check))
        .filter_map(|check| check.versions.iter().rev().find(|(since, _)| *since <= minor).map(|(_, test)| test));
    tests.filter_map(|test| test(subject)).collect()
}

/// The violations as one sentence; `None` where there are none.
pub fn sentence(violations: &[Violation]) -> Option<String> {
    let said: Vec<String> = violations.iter().map(ToString::to_string).collect();
    (!said.is_empty()).then(|| said.join(", "))
}
