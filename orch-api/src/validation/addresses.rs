//! IPAddress and ServiceCIDR (`pkg/apis/networking/validation`).

use super::{
    at::At,
    names::{cidr, dns_subdomain, ip, path_segment},
};
use serde_json::Value;
use std::net::IpAddr;

/// The name of an IPAddress: the address, as it is usually written.
pub(super) fn address_name(name: &str) -> Vec<String> {
    match name.parse::<IpAddr>() {
        Ok(address) if address.to_string() != name => {
            vec![format!("must be in canonical form ({:?})", address.to_string())]
        }
        _ => ip(name),
    }
}

/// A new IPAddress.
pub(super) fn address(address: At<'_>) {
    let parent = address.at("spec").at("parentRef");
    if !parent.require("") {
        return;
    }
    parent.at("group").text(|group| if group.is_empty() { Vec::new() } else { dns_subdomain(group) });
    for field in ["resource", "name"] {
        if parent.at(field).require("") {
            parent.at(field).text(path_segment);
        }
    }
    parent.at("namespace").text(|name| if name.is_empty() { Vec::new() } else { path_segment(name) });
}

/// An update of an IPAddress: whose it is stays.
pub(super) fn address_updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("spec").at("parentRef").immutable(old.at("spec").at("parentRef"));
}

/// A new ServiceCIDR.
pub(super) fn service_cidr(object: At<'_>) {
    let cidrs = object.at("spec").at("cidrs");
    if cidrs.is_empty() {
        return cidrs.required("at least one CIDR required");
    }
    if cidrs.len() > 2 {
        return cidrs
            .invalid_as(object.at("spec").value().cloned().unwrap_or_default(), "may only hold up to 2 values");
    }
    cidrs.items().for_each(|each| each.text(network));
    let families: Vec<bool> = cidrs.list().iter().filter_map(Value::as_str).filter_map(is_v6).collect();
    if families.len() == 2 && families[0] == families[1] {
        cidrs.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
    }
}

/// An update of a ServiceCIDR: a network of the other family may be added, and that is all.
pub(super) fn service_cidr_updated<'a>(new: At<'a>, old: At<'a>) {
    let (cidrs, before) = (new.at("spec").at("cidrs"), old.at("spec").at("cidrs"));
    let grows = (before.len(), cidrs.len()) == (1, 2);
    if before.len() != cidrs.len() && !grows {
        return cidrs.invalid(IMMUTABLE);
    }
    for (each, old) in cidrs.items().zip(before.list()) {
        if each.value() != Some(old) {
            each.invalid(IMMUTABLE);
        }
    }
    if grows {
        service_cidr(new);
    }
}

const IMMUTABLE: &str = "field is immutable";

/// A network as it is usually written: without bits beyond its prefix.
fn network(text: &str) -> Vec<String> {
    let complaints = cidr(text);
    let Some((base, bits)) = text.split_once('/').filter(|_| complaints.is_empty()) else { return complaints };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return complaints };
    let beyond = match base {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let canonical = format!("{base}/{bits}");
    match beyond.checked_shl(bits) {
        Some(set) if set != 0 => vec!["must not have bits set beyond the prefix length".into()],
        _ if canonical != text => vec![format!("must be in canonical form ({canonical:?})")],
        _ => complaints,
    }
}

fn is_v6(cidr: &str) -> Option<bool> {
    Some(cidr.split_once('/')?.0.parse::<IpAddr>().ok()?.is_ipv6())
}
