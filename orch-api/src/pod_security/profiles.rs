//! Checks of AppArmor, SELinux and seccomp.

use super::subject::{Subject, Violation, blamed, containers_named, distinct, plural, quoted, security, violation};
use crate::access::text;
use serde_json::Value;

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SE_LINUX_TYPES: [&str; 4] = ["", "container_t", "container_init_t", "container_kvm_t"];
const SE_LINUX_ENGINES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// The type of a profile, where one is set.
fn profile<'a>(owner: &'a Value, field: &str) -> Option<&'a str> {
    security(owner, field).map(|profile| text(profile, "type"))
}

fn is_confined(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

fn unconfined<'a>(owner: &'a Value, field: &str) -> Option<&'a str> {
    profile(owner, field).filter(|kind| !is_confined(kind))
}

pub(super) fn app_armor(subject: &Subject<'_>) -> Option<Violation> {
    let field = "appArmorProfile";
    let bad = subject.names(|c| unconfined(c, field).is_some());
    let kinds = subject.containers().filter_map(|c| unconfined(c, field));
    let mut values: Vec<String> =
        distinct(kinds.chain(unconfined(subject.spec, field))).into_iter().map(str::to_owned).collect();
    let mut who: Vec<String> = blamed(unconfined(subject.spec, field).is_some(), &bad).into_iter().collect();
    let allowed =
        |profile: &str| profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/");
    let mut annotations: Vec<String> = annotations(subject)
        .filter(|(key, value)| key.starts_with(APP_ARMOR) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    annotations.sort();
    if !annotations.is_empty() {
        who.push(plural(annotations.len(), "annotation", "annotations").to_owned());
        values.extend(annotations);
    }
    if who.is_empty() {
        return None;
    }
    let reason = plural(values.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
    violation(reason, format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(values)))
}

fn annotations<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = subject.annotations.into_iter().flatten();
    all.filter_map(|(key, value)| Some((&**key, value.as_str()?)))
}

pub(super) fn se_linux(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_of(subject, &SE_LINUX_TYPES)
}

pub(super) fn se_linux_with_engines(subject: &Subject<'_>) -> Option<Violation> {
    se_linux_of(subject, &SE_LINUX_ENGINES)
}

fn se_linux_of(subject: &Subject<'_>, allowed: &[&str]) -> Option<Violation> {
    fn options(owner: &Value) -> Option<&Value> {
        security(owner, "seLinuxOptions")
    }
    let sets = |options: &Value, field: &str| !text(options, field).is_empty();
    let bad_type = |options: &Value| !allowed.contains(&text(options, "type"));
    let is_bad = |owner: &Value| options(owner).is_some_and(|o| bad_type(o) || sets(o, "user") || sets(o, "role"));
    let who = blamed(is_bad(subject.spec), &subject.names(is_bad))?;
    let all = || subject.containers().chain([subject.spec]).filter_map(options);
    let types = distinct(all().filter(|o| bad_type(o)).map(|o| text(o, "type")));
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", plural(types.len(), "type", "types"), quoted(types)));
    }
    for field in ["user", "role"] {
        if all().any(|o| sets(o, field)) {
            data.push(format!("{field} may not be set"));
        }
    }
    let words = "set forbidden securityContext.seLinuxOptions:";
    violation("seLinuxOptions", format!("{who} {words} {}", data.join("; ")))
}

pub(super) fn seccomp_annotations(subject: &Subject<'_>) -> Option<Violation> {
    let allowed = |v: &str| v == "runtime/default" || v == "docker/default" || v.starts_with("localhost/");
    let known = |key: &str| {
        let names = || subject.containers().map(|c| text(c, "name"));
        key == SECCOMP_POD || key.strip_prefix(SECCOMP_CONTAINER).is_some_and(|name| names().any(|own| own == name))
    };
    let bad = annotations(subject).filter(|(key, value)| known(key) && !allowed(value));
    let mut bad: Vec<String> = bad.map(|(key, value)| format!("{key}={value:?}")).collect();
    bad.sort();
    let word = plural(bad.len(), "annotation", "annotations");
    if bad.is_empty() { None } else { violation("seccompProfile", format!("forbidden {word} {}", bad.join(", "))) }
}

pub(super) fn seccomp(subject: &Subject<'_>) -> Option<Violation> {
    let field = "seccompProfile";
    let bad = subject.names(|c| unconfined(c, field).is_some());
    let who = blamed(unconfined(subject.spec, field).is_some(), &bad)?;
    let kinds = subject.containers().chain([subject.spec]).filter_map(|owner| unconfined(owner, field));
    let words = "must not set securityContext.seccompProfile.type to";
    violation("seccompProfile", format!("{who} {words} {}", quoted(distinct(kinds))))
}

pub(super) fn seccomp_required(subject: &Subject<'_>) -> Option<Violation> {
    if let Some(explicit) = seccomp(subject) {
        return Some(explicit);
    }
    let silent = subject.names(|c| security(c, "seccompProfile").is_none());
    if silent.is_empty() || profile(subject.spec, "seccompProfile").is_some() {
        return None;
    }
    let words = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
    violation("seccompProfile", format!("pod or {} {words}", containers_named(&silent)))
}
