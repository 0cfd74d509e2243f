//! Checks of the pod as a whole, and of what containers take over from it.

use super::subject::{Subject, Violation, blamed, containers_named, security, violation};
use crate::access::{list, text};
use serde_json::Value;

const SYSCTLS: [(u32, &str); 12] = [
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

pub(super) fn host_namespaces(subject: &Subject<'_>) -> Option<Violation> {
    let shared = |field: &&str| subject.spec.get(*field) == Some(&Value::Bool(true));
    let shared: Vec<String> =
        ["hostNetwork", "hostPID", "hostIPC"].iter().filter(|f| shared(f)).map(|f| format!("{f}=true")).collect();
    if shared.is_empty() { None } else { violation("host namespaces", shared.join(", ")) }
}

fn sysctls(subject: &Subject<'_>, minor: u32) -> Option<Violation> {
    let allowed = |name: &str| SYSCTLS.iter().any(|(since, known)| *since <= minor && *known == name);
    let all = subject.spec.get("securityContext").map_or(&[][..], |context| list(context, "sysctls"));
    let bad: Vec<&str> = all.iter().map(|s| text(s, "name")).filter(|name| !allowed(name)).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

pub(super) fn sysctls_0(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, 0)
}

pub(super) fn sysctls_27(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, 27)
}

pub(super) fn sysctls_29(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, 29)
}

pub(super) fn sysctls_32(subject: &Subject<'_>) -> Option<Violation> {
    sysctls(subject, 32)
}

pub(super) fn host_process(subject: &Subject<'_>) -> Option<Violation> {
    let path = "windowsOptions.hostProcess";
    let set = |value: Option<&Value>| value == Some(&Value::Bool(true));
    let who = blamed(set(subject.context(path)), &subject.names(|c| set(security(c, path))))?;
    violation("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}

pub(super) fn non_root(subject: &Subject<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let pod = subject.context("runAsNonRoot");
    let says = |c: &Value, word: bool| security(c, "runAsNonRoot") == Some(&Value::Bool(word));
    let explicit = subject.names(|c| says(c, false));
    if let Some(who) = blamed(pod == Some(&Value::Bool(false)), &explicit) {
        return violation(reason, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    let pod_says = pod == Some(&Value::Bool(true));
    let silent = subject.names(|c| security(c, "runAsNonRoot").is_none());
    if silent.is_empty() || pod_says {
        return None;
    }
    violation(reason, format!("pod or {} must set securityContext.runAsNonRoot=true", containers_named(&silent)))
}

pub(super) fn run_as_user(subject: &Subject<'_>) -> Option<Violation> {
    let root = |value: Option<&Value>| value.and_then(Value::as_i64) == Some(0);
    let containers = subject.names(|c| root(security(c, "runAsUser")));
    let who = blamed(root(subject.context("runAsUser")), &containers)?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}
