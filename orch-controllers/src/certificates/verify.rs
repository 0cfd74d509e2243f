//! Who may ask which signer for what (`pkg/apis/certificates/helpers.go`, `validAPIServerClientUsages`).

use super::{API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY};
use orch_runtime::certificates::Asked;
use std::collections::BTreeSet;

/// Whether a request is one for that signer: `None` for signers that are not ours, else what is wrong with it.
pub(super) fn verify(signer: &str, asked: &Asked, usages: &[String]) -> Option<Result<(), String>> {
    match signer {
        KUBELET_SERVING => Some(kubelet_serving(asked, usages)),
        KUBELET_CLIENT => Some(kubelet_client(asked, usages)),
        API_CLIENT => Some(api_client(usages)),
        LEGACY => Some(Ok(())),
        _ => None,
    }
}

/// A kubelet that wants to be a client.
pub(super) fn kubelet_client(asked: &Asked, usages: &[String]) -> Result<(), String> {
    of_a_node(asked)?;
    let forbidden = [
        (&asked.dns_names, "DNS"),
        (&asked.email_addresses, "Email"),
        (&asked.ip_addresses, "IP"),
        (&asked.uris, "URI"),
    ];
    none_of(&forbidden)?;
    named_like_a_node(asked)?;
    exactly(usages, &["client auth", "digital signature", "key encipherment"])
}

fn kubelet_serving(asked: &Asked, usages: &[String]) -> Result<(), String> {
    of_a_node(asked)?;
    if asked.dns_names.is_empty() && asked.ip_addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".into());
    }
    none_of(&[(&asked.email_addresses, "Email"), (&asked.uris, "URI")])?;
    exactly(usages, &["digital signature", "key encipherment", "server auth"])?;
    named_like_a_node(asked)
}

fn api_client(usages: &[String]) -> Result<(), String> {
    let allowed = ["digital signature", "key encipherment", "client auth"];
    if let Some(other) = usages.iter().find(|usage| !allowed.contains(&usage.as_str())) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    match usages.iter().any(|usage| usage == "client auth") {
        true => Ok(()),
        false => Err("missing required usage for client certificate: client auth".into()),
    }
}

fn of_a_node(asked: &Asked) -> Result<(), String> {
    let right = asked.organizations == ["system:nodes"];
    if right { Ok(()) } else { Err("subject organization is not system:nodes".into()) }
}

fn named_like_a_node(asked: &Asked) -> Result<(), String> {
    let right = asked.common_name.starts_with("system:node:");
    if right { Ok(()) } else { Err("subject common name does not begin with system:node:".into()) }
}

fn none_of(names: &[(&Vec<String>, &str)]) -> Result<(), String> {
    let found = names.iter().find(|(names, _)| !names.is_empty());
    found.map_or(Ok(()), |(_, kind)| Err(format!("{kind} subjectAltNames are not allowed")))
}

/// These usages and no others; key encipherment is for RSA alone.
fn exactly(usages: &[String], wanted: &[&str]) -> Result<(), String> {
    let asked: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let all: BTreeSet<&str> = wanted.iter().copied().collect();
    let without: BTreeSet<&str> = all.iter().copied().filter(|usage| *usage != "key encipherment").collect();
    match asked == all || asked == without {
        true => Ok(()),
        false => Err(format!("usages did not match [{}]", wanted.join(" "))),
    }
}
