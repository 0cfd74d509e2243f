//! Endpoints and EndpointSlice (`pkg/apis/core/validation`, `pkg/apis/discovery/validation`).

use super::{
    at::At,
    names::{dns_label, dns_subdomain, ip, label_value, qualified},
    selector::labels,
};
use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Endpoints.
pub(super) fn endpoints(object: At<'_>) {
    for subset in object.at("subsets").items() {
        let (ready, waiting) = (subset.at("addresses"), subset.at("notReadyAddresses"));
        if ready.is_empty() && waiting.is_empty() {
            subset.required("must specify `addresses` or `notReadyAddresses`");
        }
        ready.items().chain(waiting.items()).for_each(address);
        let ports = subset.at("ports");
        for port in ports.items() {
            if !port.at("name").is_empty() {
                port.at("name").text(dns_label);
            } else if ports.len() > 1 {
                port.at("name").required("");
            }
            if port.at("port").is_set() {
                port.at("port").within(1, 65535);
            } else {
                port.at("port").invalid_as(0, "must be between 1 and 65535, inclusive");
            }
            protocol(port);
        }
    }
}

/// An update of Endpoints: subsets that were stored are not judged again.
pub(super) fn endpoints_updated<'a>(new: At<'a>, old: At<'a>) {
    if !new.at("subsets").same(old.at("subsets")) {
        endpoints(new);
    }
}

fn address(address: At<'_>) {
    address.at("ip").text(ip);
    if !address.at("hostname").is_empty() {
        address.at("hostname").text(dns_label);
    }
    if address.at("nodeName").is_set() {
        address.at("nodeName").text(dns_subdomain);
    }
    endpoint_ip(address.at("ip"));
}

fn protocol(port: At<'_>) {
    port.at("protocol").required_one_of(&PROTOCOLS);
    if port.at("appProtocol").is_set() {
        port.at("appProtocol").text(qualified);
    }
}

/// An address that others can reach.
pub(super) fn endpoint_ip(address: At<'_>) {
    let Ok(parsed) = address.str().parse::<IpAddr>() else {
        return address.invalid("must be a valid IP address");
    };
    let (is_local, is_local_multicast) = match parsed {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.octets().starts_with(&[0xff, 0x02])),
    };
    if parsed.is_unspecified() {
        address.invalid(format!("may not be unspecified ({})", address.str()));
    }
    if parsed.is_loopback() && !address.setting().pods_on_loopback {
        address.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if is_local {
        address.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if is_local_multicast {
        address.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

/// EndpointSlice.
pub(super) fn slice(slice: At<'_>) {
    slice.at("addressType").required_one_of(&["FQDN", "IPv4", "IPv6"]);
    slice_ports(slice.at("ports"));
    slice_endpoints(slice);
}

/// An update of an EndpointSlice: endpoints that were stored are not judged again.
pub(super) fn slice_updated<'a>(new: At<'a>, old: At<'a>) {
    slice_ports(new.at("ports"));
    if !new.at("endpoints").same(old.at("endpoints")) {
        slice_endpoints(new);
    }
    new.at("addressType").immutable(old.at("addressType"));
}

fn slice_ports(ports: At<'_>) {
    if ports.len() > 20000 {
        return ports.too_many(20000);
    }
    let mut names = Vec::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() {
            name.text(dns_label);
        }
        if names.contains(&name.str()) {
            name.duplicate();
        }
        names.push(name.str());
        protocol(port);
    }
}

fn slice_endpoints(slice: At<'_>) {
    let endpoints = slice.at("endpoints");
    if endpoints.len() > 1000 {
        return endpoints.too_many(1000);
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.at("addresses");
        addresses.require("must contain at least 1 address");
        if addresses.len() > 100 {
            addresses.too_many(100);
        }
        addresses.items().for_each(|a| slice_address(addresses, a, slice.at("addressType").str()));
        if endpoint.at("nodeName").is_set() {
            endpoint.at("nodeName").text(dns_subdomain);
        }
        labels(endpoint.at("deprecatedTopology"));
        if endpoint.at("hostname").is_set() {
            endpoint.at("hostname").text(dns_label);
        }
        hints(endpoint.at("hints").at("forZones"), label_value);
        hints(endpoint.at("hints").at("forNodes"), dns_subdomain);
    }
}

fn slice_address<'a>(list: At<'a>, address: At<'a>, kind: &str) {
    match kind {
        "IPv4" | "IPv6" => {
            let complaints = ip(address.str());
            if complaints.is_empty() {
                if address.str().contains(':') != (kind == "IPv6") {
                    list.invalid_as(address.str(), format!("must be an {kind} address"));
                }
                endpoint_ip(address);
            }
            complaints.into_iter().for_each(|message| address.invalid(message));
        }
        "FQDN" => {
            let name = address.str().strip_suffix('.').unwrap_or(address.str());
            if !address.require("") {
                return;
            }
            let complaints = dns_subdomain(name);
            if !complaints.is_empty() {
                address.invalid_as(name, complaints.join(","));
            } else if !name.contains('.') {
                address.invalid_as(name, "should be a domain with at least two segments separated by dots");
            }
        }
        _ => {}
    }
}

fn hints(list: At<'_>, rule: fn(&str) -> Vec<String>) {
    if list.len() > 8 {
        return list.too_many(8);
    }
    let mut seen = Vec::new();
    for name in list.items().map(|hint| hint.at("name")) {
        if seen.contains(&name.str()) {
            name.duplicate();
        }
        seen.push(name.str());
        name.text(rule);
    }
}
