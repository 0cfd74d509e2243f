//! Containers of all kinds (`validateContainers`, `validateInitContainers`, `validateEphemeralContainers`).

use super::{
    env::{env, env_from},
    handlers::{Probe, lifecycle, probe},
    mounts, resources, security,
};
use crate::validation::{
    at::At,
    names::{dns_label, port_name},
};

pub(in crate::validation) const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];
const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";

/// What containers of a pod know of their pod.
pub(super) struct Shared<'a, 'v> {
    /// The pod's spec.
    pub(super) spec: At<'a>,
    /// Volumes that mounts may name.
    pub(super) volumes: &'v [At<'a>],
    /// Seconds that the pod has to stop.
    pub(super) grace: Option<i64>,
    /// Whether users of the pod are users of the node.
    pub(super) host_users: bool,
}

impl<'a, 'v> Shared<'a, 'v> {
    /// What the spec says.
    pub(super) fn new(spec: At<'a>, volumes: &'v [At<'a>]) -> Self {
        let users = spec.at("hostUsers");
        let grace = spec.at("terminationGracePeriodSeconds").int();
        Self { spec, volumes, grace, host_users: !users.is_set() || users.flag() }
    }
}

/// `containers`
pub(super) fn containers<'a>(list: At<'a>, shared: &Shared<'a, '_>) {
    if list.is_empty() {
        return list.required("");
    }
    let mut names = Vec::new();
    for container in list.items() {
        common(container, shared);
        unique(container.at("name"), &mut names);
        running(container, shared);
        restart_rules(container);
    }
    host_ports(list.items());
}

/// `initContainers`; those that restart always are sidecars.
pub(super) fn init_containers<'a>(list: At<'a>, shared: &Shared<'a, '_>) {
    let mut names: Vec<&str> = shared.spec.at("containers").items().map(|c| c.at("name").str()).collect();
    for container in list.items() {
        common(container, shared);
        restart_rules(container);
        if !container.at("name").is_empty() {
            unique(container.at("name"), &mut names);
        }
        host_ports(std::iter::once(container));
        let is_sidecar = container.at("restartPolicy").str() == "Always";
        if is_sidecar {
            running(container, shared);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.at(field).is_set() {
                container.at(field).forbidden("may not be set for init containers without restartPolicy=Always");
            }
        }
        for policy in container.at("resizePolicy").items().map(|p| p.at("restartPolicy")) {
            if policy.str() == "RestartContainer" {
                policy.invalid("must not be set to 'RestartContainer' for non-sidecar initContainers");
            }
        }
    }
}

/// `ephemeralContainers`
pub(super) fn ephemeral_containers<'a>(list: At<'a>, shared: &Shared<'a, '_>) {
    let others = ["containers", "initContainers"].map(|l| shared.spec.at(l));
    let others: Vec<&str> = others.iter().flat_map(|l| l.items()).map(|c| c.at("name").str()).collect();
    let mut names = others.clone();
    for container in list.items() {
        common(container, shared);
        unique(container.at("name"), &mut names);
        let target = container.at("targetContainerName");
        if !target.is_empty() && !others.contains(&target.str()) {
            target.not_found();
        }
        for field in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources"] {
            if container.at(field).is_set() && !(field == "resources" && container.at(field).is_empty()) {
                container.at(field).forbidden(NOT_EPHEMERAL);
            }
        }
        for mount in container.at("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.at(field).is_empty() {
                    mount.at(field).forbidden(NOT_EPHEMERAL);
                }
            }
        }
    }
}

/// Images of pods have no blanks around them; a template's are looked at when its pods are made.
pub(super) fn image_is_trimmed(image: At<'_>) {
    if image.str().trim().len() != image.str().len() {
        image.invalid("must not have leading or trailing whitespace");
    }
}

/// When the image is pulled.
pub(super) fn pull_policy(policy: At<'_>) {
    policy.required_one_of(&PULL_POLICIES);
}

fn common<'a>(container: At<'a>, shared: &Shared<'a, '_>) {
    if container.at("name").require("") {
        container.at("name").text(dns_label);
    }
    container.at("image").require("");
    container.at("terminationMessagePolicy").required_one_of(&["File", "FallbackToLogsOnError"]);
    ports(container.at("ports"));
    env(container.at("env"));
    env_from(container.at("envFrom"));
    mounts::mounts(container, shared.volumes);
    mounts::devices(container, shared.volumes);
    pull_policy(container.at("imagePullPolicy"));
    resources::container(container.at("resources"), shared.spec.at("resourceClaims"));
    resize_policy(container.at("resizePolicy"), shared.spec.at("restartPolicy").str());
    security::container(container.at("securityContext"), shared.host_users);
}

/// What a container that keeps running may have: hooks and probes.
fn running<'a>(container: At<'a>, shared: &Shared<'a, '_>) {
    lifecycle(container.at("lifecycle"), shared.grace, shared.spec.at("os").at("name"));
    probe(container.at("livenessProbe"), Probe::Liveness);
    probe(container.at("readinessProbe"), Probe::Readiness);
    probe(container.at("startupProbe"), Probe::Startup);
}

fn unique<'a>(name: At<'a>, names: &mut Vec<&'a str>) {
    if names.contains(&name.str()) {
        name.duplicate();
    } else {
        names.push(name.str());
    }
}

fn ports(list: At<'_>) {
    let mut names = Vec::new();
    for port in list.items() {
        let name = port.at("name");
        if !name.is_empty() {
            let complaints = port_name(name.str());
            if complaints.is_empty() {
                unique(name, &mut names);
            }
            complaints.into_iter().for_each(|message| name.invalid(message));
        }
        match port.at("containerPort").int() {
            None | Some(0) => port.at("containerPort").required(""),
            Some(_) => port.at("containerPort").within(1, 65535),
        }
        if port.at("hostPort").int() != Some(0) {
            port.at("hostPort").within(1, 65535);
        }
        port.at("protocol").required_one_of(&["SCTP", "TCP", "UDP"]);
    }
}

/// Two containers cannot have the same port of the node.
fn host_ports<'a>(containers: impl Iterator<Item = At<'a>>) {
    let mut taken = Vec::new();
    for port in containers.flat_map(|c| c.at("ports").items().collect::<Vec<_>>()) {
        let number = port.at("hostPort").int().unwrap_or_default();
        if number == 0 {
            continue;
        }
        let triple = (port.at("protocol").str(), port.at("hostIP").str(), number);
        if taken.contains(&triple) {
            let text = format!("{}/{}/{}", triple.0, triple.1, triple.2);
            port.at("hostPort").duplicate_as(text);
        } else {
            taken.push(triple);
        }
    }
}

fn resize_policy(list: At<'_>, pod_restarts: &str) {
    let mut seen = Vec::new();
    for policy in list.items() {
        let (resource, restart) = (policy.at("resourceName"), policy.at("restartPolicy"));
        if seen.contains(&resource.str()) {
            policy.duplicate_as(resource.str());
        }
        seen.push(resource.str());
        // Faults stand, as upstream has it, on the list.
        list.with(resource.value()).required_one_of(&["cpu", "memory"]);
        list.with(restart.value()).required_one_of(&["NotRequired", "RestartContainer"]);
        if pod_restarts == "Never" && restart.str() != "NotRequired" {
            list.with(restart.value()).invalid("must be 'NotRequired' when pod `restartPolicy` is 'Never'");
        }
    }
}

fn restart_rules(container: At<'_>) {
    let (policy, rules) = (container.at("restartPolicy"), container.at("restartPolicyRules"));
    if policy.is_set() && !RESTART_POLICIES.contains(&policy.str()) {
        policy.not_supported(&RESTART_POLICIES);
    }
    if !policy.is_set() && !rules.is_empty() {
        policy.required("must specify restartPolicy when restart rules are used");
    }
    if rules.len() > 20 {
        rules.too_many(20);
    }
    for rule in rules.items() {
        let supported = ["Restart", "RestartAllContainers"];
        if !supported.contains(&rule.at("action").str()) {
            rule.at("action").not_supported(&supported);
        }
        let codes = rule.at("exitCodes");
        if !codes.is_set() {
            codes.required("must be specified");
            continue;
        }
        if !matches!(codes.at("operator").str(), "In" | "NotIn") {
            codes.at("operator").not_supported(&["In", "NotIn"]);
        }
        if codes.at("values").len() > 255 {
            codes.at("values").too_many(255);
        }
    }
}
