//! Services (`ValidateServiceCreate`, `ValidateServiceUpdate`). Addresses and ports have been allocated before.

use super::{
    at::At,
    endpoints::endpoint_ip,
    names::{cidr, dns_label, dns_subdomain, ip, qualified},
    pod::port_number,
    selector::labels,
};
use serde_json::Value;

const SPEC_TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const ONLY_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

/// A new service.
pub(super) fn created(service: At<'_>) {
    let spec = service.at("spec");
    let kind = spec.at("type").str();
    if spec.at("ports").is_empty() && !is_headless(spec) && kind != "ExternalName" {
        spec.at("ports").required("");
    }
    by_type(spec, kind);
    ports(spec);
    labels(spec.at("selector"));
    session_affinity(spec);
    if kind != "ExternalName" {
        cluster_ips(spec);
    }
    for address in spec.at("externalIPs").items() {
        let complaints = ip(address.str());
        if complaints.is_empty() {
            endpoint_ip(address);
        }
        complaints.into_iter().for_each(|message| address.invalid(message));
    }
    spec.at("type").required_one_of(&SPEC_TYPES);
    port_uniqueness(spec);
    load_balancer(spec, kind);
    traffic(spec, kind);
}

fn by_type(spec: At<'_>, kind: &str) {
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let first = spec.at("clusterIPs").index(0);
            first.invalid(format!("may not be set to 'None' for {kind} services"));
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                if !spec.at(field).is_empty() {
                    spec.at(field).forbidden("may not be set for ExternalName services");
                }
            }
            let name = spec.at("externalName");
            if name.require("") {
                let text = name.str().strip_suffix('.').unwrap_or(name.str());
                dns_subdomain(text).into_iter().for_each(|message| name.invalid_as(text, message));
            }
        }
        _ => {}
    }
}

fn ports(spec: At<'_>) {
    let list = spec.at("ports");
    let mut names = Vec::new();
    for port in list.items() {
        let name = port.at("name");
        if name.is_empty() && list.len() > 1 {
            name.required("");
        } else if !name.is_empty() {
            name.text(dns_label);
            if names.contains(&name.str()) {
                name.duplicate();
            }
            names.push(name.str());
        }
        if port.at("port").is_set() {
            port.at("port").within(1, 65535);
        } else {
            port.at("port").invalid_as(0, "must be between 1 and 65535, inclusive");
        }
        port.at("protocol").required_one_of(&["SCTP", "TCP", "UDP"]);
        port_number(port.at("targetPort"));
        if port.at("appProtocol").is_set() {
            port.at("appProtocol").text(qualified);
        }
    }
}

fn port_uniqueness(spec: At<'_>) {
    let is_cluster = spec.at("type").str() == "ClusterIP";
    let (mut node_ports, mut ports) = (Vec::new(), Vec::new());
    for port in spec.at("ports").items() {
        let number = port.at("nodePort").int().unwrap_or_default();
        if number != 0 {
            if is_cluster {
                port.at("nodePort").forbidden("may not be used when `type` is 'ClusterIP'");
            }
            let key = (port.at("protocol").str(), number);
            if node_ports.contains(&key) {
                port.at("nodePort").duplicate();
            }
            node_ports.push(key);
        }
        let key = (port.at("protocol").str(), port.at("port").int());
        if ports.contains(&key) {
            port.duplicate_as(serde_json::json!({"protocol": key.0, "port": key.1}));
        }
        ports.push(key);
    }
}

fn session_affinity(spec: At<'_>) {
    let (affinity, config) = (spec.at("sessionAffinity"), spec.at("sessionAffinityConfig"));
    affinity.required_one_of(&["ClientIP", "None"]);
    match affinity.str() {
        "ClientIP" => {
            let client = config.at("clientIP");
            let missing = [config, client, client.at("timeoutSeconds")].into_iter().find(|at| !at.is_set());
            if let Some(at) = missing {
                return at.required("when session affinity type is ClientIP");
            }
            let timeout = client.at("timeoutSeconds");
            if timeout.int().is_some_and(|n| n <= 0 || n > 86400) {
                timeout.invalid("must be greater than 0 and less than 86400");
            }
        }
        "None" if config.is_set() => config.forbidden("must not be set when session affinity is None"),
        _ => {}
    }
}

/// Addresses and families, as far as they must agree with each other.
pub(super) fn cluster_ips(spec: At<'_>) {
    let (one, all, families) = (spec.at("clusterIP"), spec.at("clusterIPs"), spec.at("ipFamilies"));
    match (one.is_empty(), all.list().first()) {
        (false, None) => all.required(""),
        (false, Some(first)) if Some(first) != one.value() => all.invalid("first value must match `clusterIP`"),
        (true, Some(_)) => all.invalid("must be empty when `clusterIP` is not specified"),
        _ => {}
    }
    let mut seen = Vec::new();
    for family in families.items() {
        family.one_of(&["IPv4", "IPv6"]);
        if seen.contains(&family.str()) {
            family.duplicate();
        }
        seen.push(family.str());
    }
    spec.at("ipFamilyPolicy").one_of(&["PreferDualStack", "RequireDualStack", "SingleStack"]);
    let before = spec.faults();
    for (i, address) in all.items().enumerate() {
        if i > 0 || address.str() != "None" {
            address.text(ip);
        } else if all.len() > 1 {
            all.invalid("'None' must be the first and only value");
        }
    }
    let is_sound = spec.faults() == before;
    if all.len() > 2 {
        all.invalid("may only hold up to 2 values");
    }
    let is_six = |address: &Value| address.as_str().is_some_and(|a| a.contains(':'));
    if !is_sound {
        return;
    }
    if all.len() > 1 && all.list().iter().all(is_six) | !all.list().iter().any(is_six) {
        all.invalid("may specify no more than one IP for each IP family");
    }
    if !is_headless(spec) {
        for (i, (address, family)) in all.items().zip(families.list()).enumerate() {
            let is_six = address.str().contains(':');
            if family == if is_six { "IPv4" } else { "IPv6" } {
                let expected = family.as_str().unwrap_or_default();
                address.invalid(format!("expected an {expected} value as indicated by `ipFamilies[{i}]`"));
            }
        }
    }
}

fn load_balancer(spec: At<'_>, kind: &str) {
    let is_balancer = kind == "LoadBalancer";
    let ranges = spec.at("loadBalancerSourceRanges");
    // The path has, as upstream has it, a capital letter.
    let shown = spec.at("LoadBalancerSourceRanges").with(ranges.value());
    if !ranges.is_empty() && !is_balancer {
        shown.forbidden(ONLY_BALANCERS);
    }
    for range in shown.items() {
        let text = range.str().trim();
        cidr(text).into_iter().for_each(|message| range.invalid_as(text, message));
    }
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    if allocate.is_set() && !is_balancer {
        allocate.forbidden(ONLY_BALANCERS);
    }
    let class = spec.at("loadBalancerClass");
    if class.is_set() {
        if is_balancer {
            class.text(qualified);
        } else {
            class.forbidden(ONLY_BALANCERS);
        }
    }
}

fn traffic(spec: At<'_>, kind: &str) {
    let policy = spec.at("externalTrafficPolicy");
    let is_external =
        matches!(kind, "LoadBalancer" | "NodePort") || (kind == "ClusterIP" && !spec.at("externalIPs").is_empty());
    if is_external {
        policy.required_one_of(&["Cluster", "Local"]);
    } else if !policy.is_empty() {
        policy.invalid("may only be set for externally-accessible services");
    }
    let check = spec.at("healthCheckNodePort");
    let number = check.int().unwrap_or_default();
    if needs_health_check(spec) {
        if number == 0 {
            check.required("");
        } else {
            check.within(1, 65535);
        }
    } else if number != 0 {
        check.invalid("may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    }
    let internal = spec.at("internalTrafficPolicy");
    if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        internal.require("");
    }
    internal.one_of(&["Cluster", "Local"]);
    spec.at("trafficDistribution").one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"]);
}

/// An update of a service.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let has_address = [spec, before].iter().all(|spec| spec.at("type").str() != "ExternalName");
    let headless = (is_headless(spec), is_headless(before));
    if has_address && headless != (true, true) {
        primary(spec, before, "clusterIPs", "primary clusterIP can not be unset", "secondary clusterIP");
    }
    if has_address && headless == (false, false) {
        primary(spec, before, "ipFamilies", "primary ipFamily can not be unset", "secondary ipFamily");
    }
    let class = spec.at("loadBalancerClass");
    let is_balancer = |spec: At<'_>| spec.at("type").str() == "LoadBalancer";
    if is_balancer(spec) && is_balancer(before) && !class.same(before.at("loadBalancerClass")) {
        class.invalid_as(class.value().cloned().unwrap_or_default(), "may not change once set");
    }
    let check = spec.at("healthCheckNodePort");
    if needs_health_check(spec) && needs_health_check(before) && !check.same(before.at("healthCheckNodePort")) {
        check.forbidden("field is immutable");
    }
    created(new);
}

/// The first of a list of addresses or families stays; the second may come and go.
fn primary<'a>(new: At<'a>, old: At<'a>, field: &'static str, unset: &str, second: &str) {
    let (list, before) = (new.at(field), old.at(field).list());
    let shown = list.value().cloned().unwrap_or_default();
    match list.len().cmp(&before.len()) {
        std::cmp::Ordering::Equal => {
            for (i, _) in list.list().iter().zip(before).enumerate().filter(|(_, (new, old))| new != old) {
                list.index(i).invalid_as(shown.clone(), "may not change once set");
            }
        }
        order => {
            if list.is_empty() {
                list.index(0).invalid_as(shown.clone(), unset);
            } else if !before.is_empty() && list.list().first() != before.first() {
                list.index(0).invalid_as(shown.clone(), "may not change once set");
            }
            let policy = new.at("ipFamilyPolicy");
            if order.is_lt() && list.len() == 1 && policy.str() != "SingleStack" {
                policy.invalid(format!("must be set to 'SingleStack' when releasing the {second}"));
            }
        }
    }
}

/// An update of the status: what a cloud balancer got.
pub(super) fn status_updated<'a>(new: At<'a>, _: At<'a>) {
    let ingress = new.at("status").at("loadBalancer").at("ingress");
    if new.at("spec").at("type").str() != "LoadBalancer" && !ingress.is_empty() {
        return ingress.forbidden("may only be used when `spec.type` is 'LoadBalancer'");
    }
    for point in ingress.items() {
        let (address, mode, host) = (point.at("ip"), point.at("ipMode"), point.at("hostname"));
        if !address.is_empty() {
            address.text(ip);
            mode.require("must be specified when `ip` is set");
        } else if mode.is_set() {
            mode.forbidden("may not be specified when `ip` is not set");
        }
        mode.one_of(&["Proxy", "VIP"]);
        if !host.is_empty() {
            host.text(dns_subdomain);
            if ip(host.str()).is_empty() {
                host.invalid("must be a DNS name, not an IP address");
            }
        }
    }
}

fn is_headless(spec: At<'_>) -> bool {
    matches!(spec.at("clusterIPs").list(), [only] if only == "None")
}

fn needs_health_check(spec: At<'_>) -> bool {
    spec.at("type").str() == "LoadBalancer" && spec.at("externalTrafficPolicy").str() == "Local"
}
