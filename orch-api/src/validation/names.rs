//! Rules for short texts, as validators use them: the public ones of [`crate::names`] under short names, and a few
//! that only validation needs. Each returns its complaints; none means valid.

pub(crate) use crate::names::{
    config_map_key as config_key, dns1035_label as dns_1035_label, dns1123_label as dns_label,
    dns1123_subdomain as dns_subdomain, env_var_name as env_name, http_header_name as http_header, label_value,
    path_segment, percent, port_name, qualified_name as qualified,
    wildcard_dns1123_subdomain as wildcard_dns_subdomain,
};
use crate::names::{is_label, pattern, too_long};

/// What is wrong with a text; empty when nothing is.
pub(crate) type Complaints = Vec<String>;

/// Like [`dns_subdomain`], and labels may hold underscores: search domains of a resolver.
pub(crate) fn dns_subdomain_with_underscore(value: &str) -> Complaints {
    let mut out = too_long(value, 253);
    // A leading underscore is allowed, a trailing one is not.
    let label = |l: &str| !l.ends_with('_') && is_label(&l.strip_prefix('_').unwrap_or(l).replace('_', "-"));
    if !value.split('.').all(label) {
        let words = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
        let one = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
        out.push(pattern(words, &format!(r"{one}(\.{one})*"), &["example.com"]));
    }
    out
}

/// IPv4 or IPv6, without leading zeros or a zone.
pub(crate) fn ip(value: &str) -> Complaints {
    match value.parse::<std::net::IpAddr>() {
        Ok(_) => Vec::new(),
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
    }
}

/// An IP address and the length of its prefix.
pub(crate) fn cidr(value: &str) -> Complaints {
    let parsed = value.split_once('/').and_then(|(ip, bits)| {
        let ip: std::net::IpAddr = ip.parse().ok()?;
        bits.parse::<u8>().ok().filter(|n| *n <= if ip.is_ipv4() { 32 } else { 128 })
    });
    match parsed {
        Some(_) => Vec::new(),
        None => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()],
    }
}

/// The beginning of a generated name, judged by the rule for whole names.
pub(crate) fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut chars = rest.chars();
            chars.next_back();
            format!("{}a", chars.as_str())
        }
        _ => name.to_owned(),
    }
}

/// Several complaints as one.
pub(crate) fn joined(complaints: &[String]) -> String {
    complaints.join(";")
}
