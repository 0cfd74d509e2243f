//! Checks of single containers.

use super::subject::{Subject, Violation, containers_named, distinct, plural, quoted, security, violation};
use crate::access::{get, list, text, texts};
use serde_json::Value;

const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub(super) fn privileged(subject: &Subject<'_>) -> Option<Violation> {
    let bad = subject.names(|c| security(c, "privileged") == Some(&Value::Bool(true)));
    let detail = format!("{} must not set securityContext.privileged=true", containers_named(&bad));
    if bad.is_empty() { None } else { violation("privileged", detail) }
}

pub(super) fn privilege_escalation(subject: &Subject<'_>) -> Option<Violation> {
    let bad = subject.names(|c| security(c, "allowPrivilegeEscalation") != Some(&Value::Bool(false)));
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers_named(&bad));
    if bad.is_empty() { None } else { violation("allowPrivilegeEscalation != false", detail) }
}

/// The capabilities that a container adds beyond those allowed.
fn added<'a>(container: &'a Value, allowed: &'static [&str]) -> impl Iterator<Item = &'a str> {
    let added = container.get("securityContext").into_iter().flat_map(|s| texts(s, "capabilities.add"));
    added.filter(move |capability| !allowed.contains(capability))
}

fn must_not_add(subject: &Subject<'_>, allowed: &'static [&str]) -> Option<String> {
    let bad = subject.names(|c| added(c, allowed).next().is_some());
    let capabilities = distinct(subject.containers().flat_map(|c| added(c, allowed)));
    let words = "in securityContext.capabilities.add";
    let detail = format!("{} must not include {} {words}", containers_named(&bad), quoted(capabilities));
    (!bad.is_empty()).then_some(detail)
}

pub(super) fn capabilities(subject: &Subject<'_>) -> Option<Violation> {
    must_not_add(subject, &DEFAULT_CAPABILITIES).and_then(|detail| violation("non-default capabilities", detail))
}

pub(super) fn capabilities_dropped(subject: &Subject<'_>) -> Option<Violation> {
    let drops_all = |c: &Value| {
        let context = c.get("securityContext").unwrap_or(&Value::Null);
        texts(context, "capabilities.drop").any(|capability| capability == "ALL")
    };
    let keeping = subject.names(|c| !drops_all(c));
    let words = "must set securityContext.capabilities.drop=[\"ALL\"]";
    let keeping = (!keeping.is_empty()).then(|| format!("{} {words}", containers_named(&keeping)));
    let details: Vec<String> = keeping.into_iter().chain(must_not_add(subject, &["NET_BIND_SERVICE"])).collect();
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

pub(super) fn host_ports(subject: &Subject<'_>) -> Option<Violation> {
    let ports = |c: &Value| -> Vec<String> {
        let numbers = list(c, "ports").iter().filter_map(|p| p.get("hostPort").and_then(Value::as_i64));
        numbers.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let bad = subject.names(|c| !ports(c).is_empty());
    let used: Vec<String> = subject.containers().flat_map(ports).collect();
    let used = distinct(used.iter().map(|port| &**port));
    let uses = plural(bad.len(), "uses", "use");
    let word = plural(used.len(), "hostPort", "hostPorts");
    let detail = format!("{} {uses} {word} {}", containers_named(&bad), used.join(", "));
    if bad.is_empty() { None } else { violation("hostPort", detail) }
}

/// Whom probes and hooks of a container ask, if not the pod.
fn hosts(container: &Value) -> Vec<&str> {
    const HANDLERS: [&str; 5] =
        ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop"];
    let handlers = HANDLERS.into_iter().filter_map(|path| get(container, path));
    let hosts = handlers.flat_map(|handler| [text(handler, "httpGet.host"), text(handler, "tcpSocket.host")]);
    hosts.filter(|host| !host.is_empty()).collect()
}

pub(super) fn probe_hosts(subject: &Subject<'_>) -> Option<Violation> {
    let bad = distinct(subject.names(|c| !hosts(c).is_empty()));
    let used = distinct(subject.containers().flat_map(hosts));
    let uses = plural(bad.len(), "uses", "use");
    let word = plural(used.len(), "probe or lifecycle host", "probe or lifecycle hosts");
    let detail = format!("{} {uses} {word} {}", containers_named(&bad), quoted(used));
    if bad.is_empty() { None } else { violation("probe or lifecycle host", detail) }
}

pub(super) fn proc_mount(subject: &Subject<'_>) -> Option<Violation> {
    fn unusual(container: &Value) -> Option<&str> {
        security(container, "procMount").and_then(Value::as_str).filter(|kind| *kind != "Default")
    }
    let bad = subject.names(|c| unusual(c).is_some());
    let kinds = distinct(subject.containers().filter_map(unusual));
    let detail = format!("{} must not set securityContext.procMount to {}", containers_named(&bad), quoted(kinds));
    if bad.is_empty() { None } else { violation("procMount", detail) }
}

pub(super) fn proc_mount_of_host_users(subject: &Subject<'_>) -> Option<Violation> {
    subject.unless_own_users(proc_mount)
}
