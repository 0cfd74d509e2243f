//! Certificate signing requests (`pkg/apis/certificates/validation`, `pkg/apis/core/validation/names.go`).

use super::{
    at::At,
    names::{dns_label, dns_subdomain},
};

/// `example.com/signer-name`
pub(super) fn signer_name(name: At<'_>) {
    if !name.require("") {
        return;
    }
    let Some((domain, path)) = name.str().split_once('/').filter(|(_, path)| !path.contains('/')) else {
        return name.invalid("must be a fully qualified domain and path of the form 'example.com/signer-name'");
    };
    if domain.len() > 253 {
        name.too_long(253);
    }
    labels(name, domain, domain.split('.'), dns_label);
    if !domain.contains('.') {
        name.invalid_as(domain, "should be a domain with at least two segments separated by dots");
    }
    labels(name, path, path.split('.'), dns_subdomain);
    if name.str().len() > 571 {
        name.too_long(571);
    }
}

/// Complains about the first label that breaks the rule.
fn labels<'t>(at: At<'_>, shown: &str, labels: impl Iterator<Item = &'t str>, rule: fn(&str) -> Vec<String>) {
    let broken = labels.map(|label| (label, rule(label))).find(|(_, complaints)| !complaints.is_empty());
    if let Some((label, complaints)) = broken {
        for message in complaints {
            at.invalid_as(shown, format!("validating label {label:?}: {message}"));
        }
    }
}
