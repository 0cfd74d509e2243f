//! Pods and their templates (`pkg/api/pod/warnings.go`).

use super::whole_bytes;
use crate::validation::at::At;

/// Labels of nodes that were renamed or dropped.
const OLD_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
];

const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// A pod or template: `pod` has `metadata` and `spec`.
pub(super) fn pod(pod: At<'_>, is_template: bool, out: &mut Vec<String>) {
    let spec = pod.at("spec");
    for (key, value) in spec.at("nodeSelector").entries() {
        if let Some(message) = old_label(key) {
            out.push(format!("{}: {message}", value.path()));
        }
    }
    spread(spec, out);
    annotations(pod.at("metadata").at("annotations"), out);
    volumes(spec.at("volumes"), out);
    duplicates(spec.at("hostAliases"), "ip", out);
    duplicates(spec.at("imagePullSecrets"), "name", out);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        spec.at(list).items().for_each(|container| self::container(container, out));
    }
    ports(spec, out);
    let grace = spec.at("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|n| n < 0) {
        let words = "must be >= 0; negative values are invalid and will be treated as 1";
        out.push(format!("{}: {words}", grace.path()));
    }
    affinity(spec.at("affinity"), out);
    if is_template {
        app_armor(pod, out);
    }
}

fn old_label(key: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, message)| *message)
}

fn spread(spec: At<'_>, out: &mut Vec<String>) {
    for constraint in spec.at("topologySpreadConstraints").items() {
        let key = constraint.at("topologyKey");
        if let Some(message) = old_label(key.str()) {
            out.push(format!("{}: {} is {message}", key.path(), key.str()));
        }
        null_selector(constraint, out);
    }
}

fn null_selector(term: At<'_>, out: &mut Vec<String>) {
    let selector = term.at("labelSelector");
    if !selector.is_set() {
        out.push(format!("{}: a null labelSelector results in matching no pod", selector.path()));
    }
}

fn affinity(affinity: At<'_>, out: &mut Vec<String>) {
    for side in ["podAffinity", "podAntiAffinity"].map(|side| affinity.at(side)) {
        let required = side.at("requiredDuringSchedulingIgnoredDuringExecution");
        required.items().for_each(|term| null_selector(term, out));
        let preferred = side.at("preferredDuringSchedulingIgnoredDuringExecution");
        preferred.items().for_each(|term| null_selector(term.at("podAffinityTerm"), out));
    }
}

fn annotations(annotations: At<'_>, out: &mut Vec<String>) {
    for (key, message) in OLD_ANNOTATIONS {
        let annotation = annotations.key(key);
        if annotation.is_set() {
            out.push(format!("{}: {message}", annotation.path()));
        }
    }
}

fn app_armor(pod: At<'_>, out: &mut Vec<String>) {
    let prefix = "container.apparmor.security.beta.kubernetes.io/";
    for (key, annotation) in pod.at("metadata").at("annotations").entries() {
        let Some(name) = key.strip_prefix(prefix) else { continue };
        let has_field = pod
            .at("spec")
            .at("containers")
            .items()
            .any(|c| c.at("name").str() == name && c.at("securityContext").at("appArmorProfile").is_set());
        if !has_field {
            let words = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            out.push(format!("{}: {words}", annotation.path()));
        }
    }
}

fn volumes(volumes: At<'_>, out: &mut Vec<String>) {
    for volume in volumes.items() {
        for (field, message) in OLD_VOLUMES {
            if volume.at(field).is_set() {
                out.push(format!("{}: {message}", volume.at(field).path()));
            }
        }
    }
}

fn duplicates(list: At<'_>, field: &'static str, out: &mut Vec<String>) {
    let mut seen = Vec::new();
    for value in list.items().map(|item| item.at(field)) {
        if seen.contains(&value.str()) {
            out.push(format!("{}: duplicate {field} {:?}", value.path(), value.str()));
        }
        if field == "name" && value.is_empty() {
            out.push(format!("{}: invalid empty name \"\"", value.path()));
        }
        seen.push(value.str());
    }
}

fn container(container: At<'_>, out: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for resource in ["memory", "ephemeral-storage"] {
            whole_bytes(container.at("resources").at(list).key(resource), out);
        }
    }
    let mut seen = Vec::new();
    for variable in container.at("env").items() {
        let name = variable.at("name").str();
        let reference = format!("$({name})");
        let value = variable.at("value").str();
        let hides = variable.at("valueFrom").is_set() || value == reference || !value.contains(&reference);
        if seen.contains(&name) && hides {
            let words = "which may be dropped when using apply";
            out.push(format!("{}: hides previous definition of {name:?}, {words}", variable.path()));
        }
        seen.push(name);
    }
}

fn ports(spec: At<'_>, out: &mut Vec<String>) {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| spec.at(list));
    let all: Vec<At<'_>> =
        lists.iter().flat_map(|list| list.items()).flat_map(|c| c.at("ports").items().collect::<Vec<_>>()).collect();
    let key = |port: &At<'_>| (port.at("containerPort").int(), port.at("protocol").str().to_owned());
    let host = |port: &At<'_>| (port.at("hostIP").str().to_owned(), port.at("hostPort").int().unwrap_or_default());
    for (i, port) in all.iter().enumerate() {
        for other in all.iter().take(i).filter(|other| key(other) == key(port)) {
            let (mine, theirs) = (host(port), host(other));
            let words = match () {
                () if mine == theirs => "duplicate",
                () if mine.1 == 0 || theirs.1 == 0 => "overlapping",
                () if mine.1 == theirs.1 && mine.0.is_empty() != theirs.0.is_empty() => "dangerously ambiguous",
                () => continue,
            };
            out.push(format!("{}: {words} port definition with {}", port.path(), other.path()));
        }
    }
    for (i, port) in all.iter().enumerate().filter(|(_, port)| !port.at("name").is_empty()) {
        let name = port.at("name").str();
        if let Some(other) = all.iter().take(i).find(|other| other.at("name").str() == name) {
            let other = other.path();
            out.push(format!(
                "{}: duplicate port name {name:?} with {other}, services and probes that select ports by name will use {other}",
                port.path()
            ));
        }
    }
}
