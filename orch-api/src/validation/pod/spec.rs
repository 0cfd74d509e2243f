//! A pod's spec (`ValidatePodSpec`).

use super::{
    Whose, containers, mounts, os, resources,
    scheduling::{affinity, scheduling_gates, spread_constraints, tolerations},
    security, volumes,
};
use crate::validation::{
    at::At,
    names::{dns_label, dns_subdomain, ip, qualified},
    selector,
};

/// The spec of a pod or of a template.
pub(super) fn spec<'a>(spec: At<'a>, whose: Whose<'a>) {
    if !spec.at("terminationGracePeriodSeconds").is_set() {
        spec.at("terminationGracePeriodSeconds").required("");
    }
    let volumes = volumes::volumes(spec.at("volumes"), whose);
    resource_claims(spec.at("resourceClaims"), whose);
    let shared = containers::Shared::new(spec, &volumes);
    containers::containers(spec.at("containers"), &shared);
    containers::init_containers(spec.at("initContainers"), &shared);
    containers::ephemeral_containers(spec.at("ephemeralContainers"), &shared);
    resources::pod_resources(spec);
    host_network_ports(spec, whose);
    restart_policy(spec.at("restartPolicy"));
    spec.at("dnsPolicy").required_one_of(&["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"]);
    selector::labels(spec.at("nodeSelector"));
    security::pod_security(spec);
    affinity(spec.at("affinity"));
    dns_config(spec);
    for gate in spec.at("readinessGates").items() {
        gate.at("conditionType").text(qualified);
    }
    scheduling_gates(spec.at("schedulingGates"));
    spread_constraints(spec.at("topologySpreadConstraints"));
    security::host_users(spec);
    names(spec);
    tolerations(spec.at("tolerations"));
    host_aliases(spec.at("hostAliases"));
    if spec.at("preemptionPolicy").is_set() {
        spec.at("preemptionPolicy").required_one_of(&["PreemptLowerPriority", "Never"]);
    }
    resources::overhead(spec.at("overhead"));
    os::os(spec);
    mounts::file_key_refs(spec);
}

fn restart_policy(policy: At<'_>) {
    policy.required_one_of(&["Always", "OnFailure", "Never"]);
}

fn names(spec: At<'_>) {
    host_name_override(spec);
    for (field, rule) in [
        ("serviceAccountName", dns_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", dns_subdomain),
        ("hostname", dns_label),
        ("subdomain", dns_label),
        ("priorityClassName", dns_subdomain),
        ("runtimeClassName", dns_subdomain),
    ] {
        if !spec.at(field).is_empty() {
            spec.at(field).text(rule);
        }
    }
    spec.at("activeDeadlineSeconds").within(1, i64::from(i32::MAX));
}

fn host_name_override(spec: At<'_>) {
    let name = spec.at("hostnameOverride");
    if !name.is_set() {
        return;
    }
    if spec.at("setHostnameAsFQDN").flag() {
        name.forbidden("may not be specified when setHostnameAsFQDN is true");
    }
    if spec.at("hostNetwork").flag() {
        name.forbidden("may not be specified when hostNetwork is true");
    }
    if name.str().len() > 64 {
        name.too_long(64);
    }
    name.text(dns_subdomain);
}

fn resource_claims(claims: At<'_>, whose: Whose<'_>) {
    let mut seen = Vec::new();
    for claim in claims.items() {
        if let Whose::Pod(meta) = whose
            && meta.at("annotations").at("kubernetes.io/config.mirror").is_set()
        {
            claim.forbidden("static pods do not support resource claims");
            continue;
        }
        let name = claim.at("name");
        if name.require("") {
            if seen.contains(&name.str()) {
                name.duplicate();
            } else {
                name.text(dns_label);
                seen.push(name.str());
            }
        }
        let (direct, template) = (claim.at("resourceClaimName"), claim.at("resourceClaimTemplateName"));
        match (direct.is_set(), template.is_set()) {
            (true, true) => {
                claim.invalid("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
            }
            (false, false) => {
                claim.invalid("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            (true, false) => direct.text(dns_subdomain),
            (false, true) => template.text(dns_subdomain),
        }
    }
}

fn host_network_ports(spec: At<'_>, whose: Whose<'_>) {
    if !spec.at("hostNetwork").flag() {
        return;
    }
    for port in spec.at("containers").items().flat_map(|c| c.at("ports").items().collect::<Vec<_>>()) {
        let host = port.at("hostPort").int().unwrap_or_default();
        let is_demanded = whose != Whose::Template || host != 0;
        if is_demanded && host != port.at("containerPort").int().unwrap_or_default() {
            port.at("hostPort").invalid_as(host, "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

fn dns_config(spec: At<'_>) {
    let config = spec.at("dnsConfig");
    let (servers, searches) = (config.at("nameservers"), config.at("searches"));
    if spec.at("dnsPolicy").str() == "None" {
        if !config.is_set() {
            return config.required("must provide `dnsConfig` when `dnsPolicy` is None");
        }
        if servers.is_empty() {
            return servers.required("must provide at least one DNS nameserver when `dnsPolicy` is None");
        }
    }
    if servers.len() > 3 {
        servers.invalid("must not have more than 3 nameservers");
    }
    servers.items().for_each(|server| server.text(ip));
    if searches.len() > 32 {
        searches.invalid("must not have more than 32 search paths");
    }
    let length: usize = searches.items().map(|s| s.str().len() + 1).sum();
    if length > 2049 {
        searches.invalid("must not have more than 2048 characters (including spaces) in the search list");
    }
    for search in searches.items().filter(|s| s.str() != ".") {
        let name = search.str().strip_suffix('.').unwrap_or(search.str());
        for message in crate::validation::names::dns_subdomain_with_underscore(name) {
            search.invalid_as(name, message);
        }
    }
    for option in config.at("options").items().filter(|o| o.at("name").is_empty()) {
        option.required("must not be empty");
    }
}

fn host_aliases(aliases: At<'_>) {
    for alias in aliases.items() {
        alias.at("ip").text(ip);
        alias.at("hostnames").items().for_each(|name| name.text(dns_subdomain));
    }
}
