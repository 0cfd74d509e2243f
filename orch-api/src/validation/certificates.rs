//! Names of signers, and bundles of trust (`pkg/apis/certificates/validation`, `pkg/apis/core/validation/names.go`).

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

/// A ClusterTrustBundle: its name begins with that of its signer.
pub(super) fn trust_bundle(bundle: At<'_>) {
    let (name, spec) = (bundle.at("metadata").at("name"), bundle.at("spec"));
    let signer = spec.at("signerName");
    if signer.is_empty() {
        match name.str().contains(':') {
            true => name.invalid("ClusterTrustBundle without signer name must not have \":\" in its name"),
            false => name.text(dns_subdomain),
        }
    } else {
        let prefix = format!("{}:", signer.str().replace('/', ":"));
        match name.str().strip_prefix(&prefix) {
            Some(own) => dns_subdomain(own).into_iter().for_each(|message| name.invalid(message)),
            None => name.invalid(format!(
                "ClusterTrustBundle for signerName {} must be named with prefix {prefix}",
                signer.str()
            )),
        }
        signer_name(signer);
    }
    if !spec.at("trustBundle").str().contains("-----BEGIN CERTIFICATE-----") {
        spec.at("trustBundle").invalid_as("<value omitted>", "at least one trust anchor must be provided");
    }
}

/// An update of a ClusterTrustBundle: its signer stays.
pub(super) fn trust_bundle_updated<'a>(new: At<'a>, old: At<'a>) {
    trust_bundle(new);
    new.at("spec").at("signerName").immutable(old.at("spec").at("signerName"));
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

#[cfg(test)]
mod tests {
    use crate::{kinds, validation};
    use serde_json::json;

    #[test]
    fn a_trust_bundle_is_called_after_its_signer() {
        let kind = kinds::all().iter().find(|kind| &*kind.kind == "ClusterTrustBundle").unwrap();
        let faults = |name: &str, signer: &str| {
            let pem = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
            let bundle = json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": pem}});
            let faults = validation::create(kind, &bundle, validation::Setting::default());
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(faults("a", ""), [""; 0]);
        assert_eq!(faults("example.com:signer:a", "example.com/signer"), [""; 0]);
        assert_eq!(
            faults("a:b", ""),
            [
                r#"metadata.name: Invalid value: "a:b": ClusterTrustBundle without signer name must not have ":" in its name"#
            ]
        );
        assert_eq!(
            faults("a", "example.com/signer"),
            [
                r#"metadata.name: Invalid value: "a": ClusterTrustBundle for signerName example.com/signer must be named with prefix example.com:signer:"#
            ]
        );
    }
}
