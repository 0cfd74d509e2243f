//! Security contexts of pods and containers (`validatePodSpecSecurityContext`, `ValidateSecurityContext`).

use super::volumes::descending_path;
use crate::validation::at::At;

const MAX_ID: i64 = i32::MAX as i64;

/// The security context of a pod, and the fields of its spec that belong to it.
pub(super) fn pod_security(spec: At<'_>) {
    let context = spec.at("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        context.at(field).within(0, MAX_ID);
    }
    context.at("supplementalGroups").items().for_each(|group| group.within(0, MAX_ID));
    if spec.at("shareProcessNamespace").flag() && spec.at("hostPID").flag() {
        let at = context.at("shareProcessNamespace");
        at.invalid_as(true, "ShareProcessNamespace and HostPID cannot both be enabled");
    }
    sysctls(context.at("sysctls"), spec);
    context.at("fsGroupChangePolicy").one_of(&["Always", "OnRootMismatch"]);
    seccomp(context.at("seccompProfile"));
    app_armor(context.at("appArmorProfile"));
    context.at("supplementalGroupsPolicy").one_of(&["Merge", "Strict"]);
    context.at("seLinuxChangePolicy").one_of(&["MountOption", "Recursive"]);
}

/// The security context of a container.
pub(super) fn container(context: At<'_>, host_users: bool) {
    for field in ["runAsUser", "runAsGroup"] {
        context.at(field).within(0, MAX_ID);
    }
    let proc_mount = context.at("procMount");
    proc_mount.one_of(&["Default", "Unmasked"]);
    if host_users && proc_mount.str() == "Unmasked" {
        proc_mount.invalid("`hostUsers` must be false to use `Unmasked`");
    }
    seccomp(context.at("seccompProfile"));
    let escalation = context.at("allowPrivilegeEscalation");
    if escalation.is_set() && !escalation.flag() {
        if context.at("privileged").flag() {
            context.invalid("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        if context.at("capabilities").at("add").items().any(|c| c.str() == "CAP_SYS_ADMIN") {
            context.invalid("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    app_armor(context.at("appArmorProfile"));
}

/// Users of their own exclude namespaces of the node.
pub(super) fn host_users(spec: At<'_>) {
    let users = spec.at("hostUsers");
    if !users.is_set() || users.flag() {
        return;
    }
    for (field, path) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.at(field).flag() {
            spec.at(path).forbidden("when `hostUsers` is false");
        }
    }
}

fn sysctls(list: At<'_>, spec: At<'_>) {
    let mut seen = Vec::new();
    for name in list.items().map(|sysctl| sysctl.at("name")) {
        let segment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        if name.is_empty() {
            name.required("");
        } else if !is_sysctl(name.str()) {
            name.invalid(format!("must have at most 253 characters and match regex ^({segment}[\\./])*{segment}$"));
        } else if seen.contains(&name.str()) {
            name.duplicate();
        }
        let dotted = name.str().replace('/', ".");
        if spec.at("hostNetwork").flag() && dotted.starts_with("net.") {
            name.invalid("may not be specified when 'hostNetwork' is true");
        }
        let is_ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        if spec.at("hostIPC").flag() && is_ipc {
            name.invalid("may not be specified when 'hostIPC' is true");
        }
        seen.push(name.str());
    }
}

fn is_sysctl(name: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        bytes.first().is_some_and(|b| alnum(*b))
            && bytes.last().is_some_and(|b| alnum(*b))
            && bytes.iter().all(|b| alnum(*b) || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split(['.', '/']).all(segment)
}

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(profile: At<'_>) {
    if !profile.is_set() {
        return;
    }
    let (kind, file) = (profile.at("type"), profile.at("localhostProfile"));
    if kind.require("type is required when seccompProfile is set") {
        kind.one_of(&PROFILES);
    }
    match (kind.str() == "Localhost", file.is_set()) {
        (true, false) => file.required("must be set when seccomp type is Localhost"),
        (true, true) => descending_path(file),
        (false, true) => file.invalid("can only be set when seccomp type is Localhost"),
        (false, false) => {}
    }
}

fn app_armor(profile: At<'_>) {
    if !profile.is_set() {
        return;
    }
    let (kind, name) = (profile.at("type"), profile.at("localhostProfile"));
    match kind.str() {
        "Localhost" if name.str().trim().len() != name.str().len() => {
            name.invalid("must not be padded with whitespace");
        }
        "Localhost" => {
            name.require("must be set when AppArmor type is Localhost");
            if name.str().len() > 4095 {
                name.too_long(4095);
            }
        }
        "RuntimeDefault" | "Unconfined" if name.is_set() => {
            name.invalid("can only be set when AppArmor type is Localhost");
        }
        "RuntimeDefault" | "Unconfined" => {}
        "" => kind.required("type is required when appArmorProfile is set"),
        _ => kind.not_supported(&PROFILES),
    }
}
