//! Probes and lifecycle hooks (`validateProbe`, `validateHandler`, `validateLifecycle`).

use crate::validation::{
    at::At,
    names::{http_header, port_name},
};
use serde_json::Value;

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Liveness,
    Readiness,
    Startup,
}

/// One probe, where there is one.
pub(super) fn probe(probe: At<'_>, purpose: Probe) {
    if !probe.is_set() {
        return;
    }
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], None);
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        probe.at(field).non_negative();
    }
    let grace = probe.at("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|n| n <= 0) {
        grace.invalid("must be greater than 0");
    }
    match purpose {
        Probe::Readiness if grace.is_set() => grace.invalid("must not be set for readinessProbes"),
        Probe::Liveness | Probe::Startup if probe.at("successThreshold").int().is_some_and(|n| n != 1) => {
            probe.at("successThreshold").invalid("must be 1");
        }
        _ => {}
    }
}

/// Hooks of a container that keeps running.
pub(super) fn lifecycle(lifecycle: At<'_>, grace: Option<i64>, os: At<'_>) {
    for hook in ["postStart", "preStop"].map(|hook| lifecycle.at(hook)) {
        if hook.is_set() {
            handler(hook, &["exec", "httpGet", "tcpSocket", "sleep"], grace);
        }
    }
    let signal = lifecycle.at("stopSignal");
    match os.str() {
        _ if !signal.is_set() => {}
        "" => signal.forbidden("may not be set for containers with empty `spec.os.name`"),
        "windows" => signal.one_of(&["SIGKILL", "SIGTERM"]),
        _ if !is_signal(signal.str()) => signal.invalid("must be a signal of Linux, such as SIGTERM"),
        _ => {}
    }
}

fn handler(at: At<'_>, kinds: &[&'static str], grace: Option<i64>) {
    let mut found = false;
    for kind in kinds {
        let action = at.at(kind);
        match (action.is_set(), found) {
            (false, _) => {}
            (true, true) => action.forbidden("may not specify more than 1 handler type"),
            (true, false) => {
                found = true;
                judge(kind, action, grace);
            }
        }
    }
    if !found {
        at.required("must specify a handler type");
    }
}

fn judge(kind: &str, action: At<'_>, grace: Option<i64>) {
    match kind {
        "exec" => {
            action.at("command").require("");
        }
        "httpGet" => {
            action.at("path").require("");
            port_number(action.at("port"));
            if !matches!(action.at("scheme").str(), "HTTP" | "HTTPS") {
                action.at("scheme").not_supported(&["HTTP", "HTTPS"]);
            }
            action.at("httpHeaders").items().for_each(|header| header.at("name").text(http_header));
        }
        "sleep" => {
            let seconds = action.at("seconds").int().unwrap_or_default();
            if let Some(grace) = grace.filter(|grace| seconds < 0 || seconds > *grace) {
                let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                action.invalid_as(seconds, message);
            }
        }
        _ => port_number(action.at("port")),
    }
}

/// A port by number or by name.
pub(in crate::validation) fn port_number(port: At<'_>) {
    match port.value() {
        Some(Value::String(_)) => port.text(port_name),
        Some(_) => port.within(1, 65535),
        None => port.invalid_as(0, "must be between 1 and 65535, inclusive"),
    }
}

/// Whether Linux has a signal of this name.
fn is_signal(name: &str) -> bool {
    const NAMED: [&str; 36] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
        "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
        "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    ];
    let Some(name) = name.strip_prefix("SIG") else { return false };
    let offset = |base: &str, sign: char, max: u8| {
        let number = name.strip_prefix(base).and_then(|rest| rest.strip_prefix(sign));
        number.and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=max).contains(&n))
    };
    NAMED.contains(&name) || offset("RTMIN", '+', 15) || offset("RTMAX", '-', 14)
}
