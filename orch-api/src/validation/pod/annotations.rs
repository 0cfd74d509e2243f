//! Annotations of pods that mean something (`ValidatePodSpecificAnnotations`).

use crate::validation::at::At;

const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// The annotations of a pod or template.
pub(super) fn pod<'a>(annotations: At<'a>, spec: At<'a>) {
    for (key, value) in annotations.entries() {
        match key {
            MIRROR if spec.at("nodeName").is_empty() => {
                value.invalid("must set spec.nodeName if mirror pod annotation is set");
            }
            DELETION_COST if !is_cost(value.str()) => value.invalid("must be a 32bit integer"),
            SECCOMP => seccomp(annotations.at(SECCOMP)),
            _ if key.starts_with(SECCOMP_CONTAINER) => seccomp(annotations.at(key)),
            _ => {
                if let Some(container) = key.strip_prefix(APP_ARMOR) {
                    app_armor(value, container, spec);
                }
            }
        }
    }
}

/// Annotations that never change while a pod lives.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    for (key, value) in old.entries() {
        if new.at(key).value() == value.value() {
            continue;
        }
        if key.starts_with(APP_ARMOR) {
            new.key(key).forbidden("may not remove or update AppArmor annotations");
        }
        if key == MIRROR {
            new.key(key).forbidden("may not remove or update mirror pod annotation");
        }
    }
    for (key, value) in new.entries().filter(|(key, _)| !old.at(key).is_set()) {
        if key.starts_with(APP_ARMOR) {
            value.forbidden("may not add AppArmor annotations");
        }
        if key == MIRROR {
            value.forbidden("may not add mirror pod annotation");
        }
    }
}

/// An integer without leading zeros or plus sign.
fn is_cost(text: &str) -> bool {
    let is_plain = text == "0" || !(text.starts_with('0') || text.starts_with('+') || text.starts_with("-0"));
    is_plain && text.parse::<i32>().is_ok()
}

fn seccomp(profile: At<'_>) {
    match profile.str() {
        "runtime/default" | "docker/default" | "unconfined" => {}
        name if name.starts_with("localhost/") => {
            if name.split('/').any(|part| part == "..") {
                profile.invalid("must not contain '..'");
            }
        }
        _ => profile.invalid("must be a valid seccomp profile"),
    }
}

fn app_armor<'a>(profile: At<'a>, container: &str, spec: At<'a>) {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec.at(list));
    if !lists.iter().flat_map(|list| list.items()).any(|c| c.at("name").str() == container) {
        profile.invalid_as(container, "container not found");
    }
    let name = profile.str();
    if !matches!(name, "" | "runtime/default" | "unconfined") && !name.starts_with("localhost/") {
        profile.invalid(format!("invalid AppArmor profile name: {name:?}"));
    }
}
