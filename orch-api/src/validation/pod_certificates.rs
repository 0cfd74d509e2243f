//! Requests for the certificates of pods (`pkg/apis/certificates/validation`). That a request is signed with the key that it
//! names, and that a chain belongs to that key, takes cryptography and is for the signer to see.

use super::{at::At, certificates::signer_name, names::dns_subdomain};

/// The shortest life of a certificate, in seconds.
pub(super) const LEAST_SECONDS: i64 = 60 * 60;

/// What a request may have become, of which it becomes one and stays so.
const VERDICTS: [&str; 3] = ["Issued", "Denied", "Failed"];
const MAX_UID: usize = 128;

/// The longest life of a certificate by this signer, in seconds: 91 days, and a day by one of Kubernetes' own.
pub(super) fn most_seconds(signer: &str) -> i64 {
    let domain = signer.split('/').next().unwrap_or_default();
    let is_own = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    if is_own { 24 * 60 * 60 } else { 91 * 24 * 60 * 60 }
}

pub(super) fn created(request: At<'_>) {
    let spec = request.at("spec");
    signer_name(spec.at("signerName"));
    for (name, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        spec.at(name).text(dns_subdomain);
        let uid = spec.at(uid);
        match uid.str().len() {
            0 => uid.invalid_as("", "must not be empty"),
            length if length > MAX_UID => uid.too_long(MAX_UID),
            _ => {}
        }
    }
    let seconds = spec.at("maxExpirationSeconds");
    let most = most_seconds(spec.at("signerName").str());
    match seconds.int() {
        None => return seconds.required("must be set"),
        Some(given) if !(LEAST_SECONDS..=most).contains(&given) => {
            seconds.invalid(format!("must be in the range [{LEAST_SECONDS}, {most}]"));
        }
        Some(_) => {}
    }
    if spec.at("stubPKCS10Request").is_empty() {
        spec.at("stubPKCS10Request").required("must be set");
    }
}

/// Nothing but metadata changes.
pub(super) fn updated<'a>(new: At<'a>, old: At<'a>) {
    new.at("spec").immutable(old.at("spec"));
}

/// A request is issued, denied or failed once; only what was issued has a certificate.
pub(super) fn status_updated<'a>(new: At<'a>, old: At<'a>) {
    let (status, before) = (new.at("status"), old.at("status"));
    let faults = new.faults();
    for (number, condition) in status.at("conditions").items().enumerate() {
        if !VERDICTS.contains(&condition.at("type").str()) {
            condition.at("type").not_supported(&VERDICTS);
            continue;
        }
        if number > 0 {
            condition
                .at("type")
                .invalid(r#"There may be at most one condition with type "Issued", "Denied", or "Failed""#);
        }
        condition.at("status").one_of(&["True"]);
    }
    if new.faults() > faults {
        return;
    }
    if verdict(before).is_some() {
        if !status.same(before) {
            status.invalid("immutable after PodCertificateRequest is issued, denied, or failed");
        }
        return;
    }
    match verdict(status) {
        Some("Issued") => issued(status),
        Some(_) if status.fields().any(|field| field != "conditions" && !status.at(field).is_empty()) => {
            status
                .invalid("non-condition status fields must be empty when denying or failing the PodCertificateRequest");
        }
        _ => {}
    }
}

fn verdict(status: At<'_>) -> Option<&'static str> {
    let conditions = || status.at("conditions").items();
    VERDICTS.into_iter().find(|verdict| conditions().any(|c| c.at("type").str() == *verdict))
}

fn issued(status: At<'_>) {
    let chain = status.at("certificateChain");
    if !chain.str().contains("-----BEGIN CERTIFICATE-----") {
        return chain.invalid("issued certificate chain must contain at least one certificate");
    }
    for field in ["notBefore", "notAfter"] {
        status.at(field).require("must be present and consistent with the issued certificate");
    }
    status.at("beginRefreshAt").require("must be present and in the range [notbefore+10min, notafter-10min]");
}

#[cfg(test)]
mod tests {
    use crate::{kinds, validation};
    use serde_json::{Value, json};

    fn request() -> Value {
        json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"signerName": "example.com/signer",
            "podName": "pod", "podUID": "1", "serviceAccountName": "sa", "serviceAccountUID": "2", "nodeName": "node",
            "nodeUID": "3", "maxExpirationSeconds": 3600, "stubPKCS10Request": "AAAA"}})
    }

    fn faults(change: impl Fn(&mut Value)) -> Vec<String> {
        let kind = kinds::all().iter().find(|kind| &*kind.kind == "PodCertificateRequest").unwrap();
        let mut request = request();
        change(&mut request);
        let faults = validation::create(kind, &request, validation::Setting::default());
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_request_names_whom_it_is_for_and_how_long() {
        assert_eq!(faults(|_| {}), [""; 0]);
        assert_eq!(
            faults(|r| r["spec"]["podUID"] = "".into()),
            [r#"spec.podUID: Invalid value: "": must not be empty"#]
        );
        assert_eq!(
            faults(|r| r["spec"]["maxExpirationSeconds"] = 3599.into()),
            ["spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]"]
        );
        assert_eq!(
            faults(|r| {
                r["spec"]["signerName"] = "kubernetes.io/pod".into();
                r["spec"]["maxExpirationSeconds"] = 100_000.into();
            }),
            ["spec.maxExpirationSeconds: Invalid value: 100000: must be in the range [3600, 86400]"]
        );
    }

    #[test]
    fn a_verdict_is_final() {
        let kind = kinds::all().iter().find(|kind| &*kind.kind == "PodCertificateRequest").unwrap();
        let with = |kind: &str| {
            let mut request = request();
            let condition = json!({"type": kind, "status": "True", "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z"});
            request["status"] = json!({"conditions": [condition]});
            request
        };
        let check = |new: &Value, old: &Value| validation::status_update(kind, new, old).0.len();
        assert_eq!(check(&with("Denied"), &request()), 0);
        assert_eq!(check(&with("Failed"), &with("Denied")), 1);
        assert_eq!(check(&with("Issued"), &request()), 1, "nothing was issued");
        assert_eq!(check(&with("Other"), &request()), 1);
    }
}
