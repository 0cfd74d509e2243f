//! NetworkPolicy, Ingress and IngressClass (`pkg/apis/networking/validation`).

use super::{
    at::At,
    names::{cidr, dns_1035_label, dns_subdomain, ip, path_segment, port_name, wildcard_dns_subdomain},
    pod::port_number,
    selector::label_selector,
};
use std::net::IpAddr;

/// NetworkPolicy.
pub(super) fn network_policy(policy: At<'_>) {
    let spec = policy.at("spec");
    label_selector(spec.at("podSelector"));
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(list).items() {
            rule.at("ports").items().for_each(policy_port);
            rule.at(peers).items().for_each(policy_peer);
        }
    }
    let types = spec.at("policyTypes");
    if types.len() > 2 {
        return types.invalid("may not specify more than two policyTypes");
    }
    types.items().for_each(|kind| kind.one_of(&["Ingress", "Egress"]));
}

fn policy_port(port: At<'_>) {
    port.at("protocol").one_of(&["TCP", "UDP", "SCTP"]);
    let (start, end) = (port.at("port"), port.at("endPort"));
    if start.is_set() {
        port_number(start);
    }
    match (start.int(), end.int()) {
        (_, None) => {}
        (Some(low), Some(high)) => {
            if high < low {
                end.invalid_as(low, "must be greater than or equal to `port`");
            }
            end.within(1, 65535);
        }
        (None, Some(_)) if start.is_set() => end.invalid("may not be specified when `port` is non-numeric"),
        (None, Some(_)) => end.invalid("may not be specified when `port` is not specified"),
    }
}

fn policy_peer(peer: At<'_>) {
    let selectors = ["podSelector", "namespaceSelector"].map(|field| peer.at(field));
    selectors.iter().for_each(|selector| label_selector(*selector));
    let block = peer.at("ipBlock");
    match (selectors.iter().any(|s| s.is_set()), block.is_set()) {
        (false, false) => peer.required("must specify a peer"),
        (true, true) => peer.forbidden("may not specify both ipBlock and another peer"),
        _ => {}
    }
    if block.is_set() && block.at("cidr").require("") {
        ip_block(block);
    }
}

fn ip_block(block: At<'_>) {
    let range = block.at("cidr");
    range.text(cidr);
    let Some(range) = network(range.str()) else { return };
    for except in block.at("except").items() {
        except.text(cidr);
        if network(except.str()).is_some_and(|inner| !contains(range, inner)) {
            except.invalid("must be a strict subset of `cidr`");
        }
    }
}

/// An address as a number, its width and the length of its prefix.
type Network = (u128, u32, u32);

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/')?;
    let bits = bits.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(v4) => Some((u32::from(v4).into(), 32, bits)),
        IpAddr::V6(v6) => Some((v6.into(), 128, bits)),
    }
    .filter(|(_, width, bits)| bits <= width)
}

/// Whether `inner` is smaller than `outer` and lies in it.
fn contains(outer: Network, inner: Network) -> bool {
    let (address, width, bits) = outer;
    let shift = width - bits;
    let prefix = |address: u128| address.checked_shr(shift).unwrap_or_default();
    inner.1 == width && inner.2 > bits && prefix(inner.0) == prefix(address)
}

/// A new Ingress.
pub(super) fn ingress(ingress: At<'_>) {
    spec(ingress);
    let annotations = ingress.at("metadata").at("annotations");
    let (class, annotation) =
        (ingress.at("spec").at("ingressClassName"), annotations.at("kubernetes.io/ingress.class"));
    if class.is_set() && annotation.is_set() && class.str() != annotation.str() {
        let at = ingress.at("annotations").at("kubernetes.io/ingress.class");
        at.invalid_as(annotation.str(), "must match `ingressClassName` when both are specified");
    }
}

/// An update of an Ingress.
pub(super) fn ingress_updated<'a>(new: At<'a>, _: At<'a>) {
    spec(new);
}

fn spec(ingress: At<'_>) {
    let spec = ingress.at("spec");
    let (default, rules) = (spec.at("defaultBackend"), spec.at("rules"));
    if rules.is_empty() && !default.is_set() {
        spec.invalid_as(serde_json::Value::Null, "either `defaultBackend` or `rules` must be specified");
    }
    if default.is_set() {
        backend(default);
    }
    rules.items().for_each(rule);
    for tls in spec.at("tls").items() {
        tls.at("hosts").items().for_each(host);
        if !tls.at("secretName").is_empty() {
            tls.at("secretName").text(dns_subdomain);
        }
    }
    if spec.at("ingressClassName").is_set() {
        spec.at("ingressClassName").text(dns_subdomain);
    }
}

fn host(host: At<'_>) {
    if host.str().contains('*') {
        host.text(wildcard_dns_subdomain);
    } else {
        host.text(dns_subdomain);
    }
}

fn rule(rule: At<'_>) {
    let name = rule.at("host");
    if !name.is_empty() {
        if ip(name.str()).is_empty() {
            name.invalid("must be a DNS name, not an IP address");
        }
        host(name);
    }
    let http = rule.at("http");
    if http.is_set() {
        http.at("paths").require("");
        http.at("paths").items().for_each(path);
    }
}

fn path(path: At<'_>) {
    let (kind, text) = (path.at("pathType"), path.at("path"));
    if !kind.is_set() {
        return kind.required("pathType must be specified");
    }
    match kind.str() {
        "Exact" | "Prefix" => {
            if !text.str().starts_with('/') {
                text.invalid("must be an absolute path");
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.str().contains(sequence) {
                    text.invalid(format!("must not contain '{sequence}'"));
                }
            }
            for suffix in ["/..", "/."] {
                if text.str().ends_with(suffix) {
                    text.invalid(format!("cannot end with '{suffix}'"));
                }
            }
        }
        "ImplementationSpecific" if !text.is_empty() && !text.str().starts_with('/') => {
            text.invalid("must be an absolute path");
        }
        "ImplementationSpecific" => {}
        _ => kind.not_supported(&["Exact", "ImplementationSpecific", "Prefix"]),
    }
    backend(path.at("backend"));
}

fn backend(backend: At<'_>) {
    let (resource, service) = (backend.at("resource"), backend.at("service"));
    match (resource.is_set(), service.is_set()) {
        (true, true) => backend.invalid_as("", "cannot set both resource and service backends"),
        (false, false) => backend.invalid_as("", "resource or service backend is required"),
        (true, false) => {
            if resource.at("apiGroup").is_set() {
                resource.at("apiGroup").text(dns_subdomain);
            }
            for field in ["kind", "name"] {
                if resource.at(field).require("") {
                    resource.at(field).text(path_segment);
                }
            }
        }
        (false, true) => service_backend(backend, service),
    }
}

fn service_backend<'a>(backend: At<'a>, service: At<'a>) {
    if service.at("name").require("") {
        service.at("name").text(dns_1035_label);
    }
    let (name, number) = (service.at("port").at("name"), service.at("port").at("number"));
    match (name.is_empty(), number.int().unwrap_or_default() == 0) {
        (false, false) => backend.invalid_as("", "cannot set both port name & port number"),
        (false, true) => name.text(port_name),
        (true, false) => number.within(1, 65535),
        (true, true) => backend.required("port name or number is required"),
    }
}

/// IngressClass.
pub(super) fn ingress_class(class: At<'_>) {
    let controller = class.at("spec").at("controller");
    if controller.str().len() > 250 {
        controller.too_long(250);
    }
    if controller.require("") {
        match controller.str().split_once('/').filter(|(host, path)| !host.is_empty() && !path.is_empty()) {
            Some((host, _)) => dns_subdomain(host).into_iter().for_each(|m| controller.invalid_as(host, m)),
            None => controller.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")"),
        }
    }
}

/// An update of an IngressClass: its controller stays.
pub(super) fn ingress_class_updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("spec").at("controller").immutable(old.at("spec").at("controller"));
    ingress_class(new);
}
