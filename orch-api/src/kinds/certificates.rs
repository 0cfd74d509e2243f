//! The group `certificates.k8s.io`.

use super::{
    cells::{self, NONE, age, name, text_or},
    row::{Group, Row, text},
};
use crate::{
    access::{get, list, map, text as field},
    duration,
    kind::Kind,
};
use serde_json::Value;

const CERTIFICATES: Group =
    Group { group: "certificates.k8s.io", version: "v1", package: "io.k8s.api.certificates.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    vec![signing_request(), trust_bundle(), pod_certificate_request()]
}

fn signing_request() -> Kind {
    CERTIFICATES
        .cluster("CertificateSigningRequest", "certificatesigningrequests")
        .short(&["csr"])
        .part("approval")
        .status()
        .columns(vec![
            name(),
            age(),
            text("SignerName", "Who is asked to sign.", |o, _| text_or(o, "spec.signerName", NONE)),
            text("Requestor", "Who asks.", |o, _| field(o, "spec.username").into()),
            text("RequestedDuration", "How long the certificate should be valid.", |o, _| {
                let seconds = get(o, "spec.expirationSeconds").and_then(Value::as_i64);
                Value::from(seconds.map_or_else(|| NONE.into(), duration::human))
            }),
            text("Condition", "What became of the request.", |o, _| condition(o).into()),
        ])
        .selectable(&["spec.signerName"])
}

fn condition(request: &Value) -> String {
    let has = |kind: &str| list(request, "status.conditions").iter().any(|c| field(c, "type") == kind);
    let decision = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if field(request, "status.certificate").is_empty() { "" } else { ",Issued" };
    format!("{decision}{failed}{issued}")
}

fn trust_bundle() -> Kind {
    let signer =
        text("SignerName", "Whose certificates the bundle trusts.", |o, _| text_or(o, "spec.signerName", NONE));
    CERTIFICATES
        .cluster("ClusterTrustBundle", "clustertrustbundles")
        .columns(vec![name(), signer])
        .selectable(&["spec.signerName"])
}

fn pod_certificate_request() -> Kind {
    let state = "Is the request Pending, Issued, Denied, or Failed?";
    CERTIFICATES
        .namespaced("PodCertificateRequest", "podcertificaterequests")
        .status()
        .columns(vec![
            name(),
            text("PodName", "The pod that gets the certificate.", |o, _| field(o, "spec.podName").into()),
            text("ServiceAccountName", "The pod's service account.", |o, _| field(o, "spec.serviceAccountName").into()),
            text("NodeName", "The pod's node.", |o, _| field(o, "spec.nodeName").into()),
            text("SignerName", "Who is asked to sign.", |o, _| field(o, "spec.signerName").into()),
            text("State", state, |o, _| {
                let mut kinds = list(o, "status.conditions").iter().map(|c| field(c, "type"));
                let decided = kinds.rfind(|kind| matches!(*kind, "Issued" | "Denied" | "Failed"));
                Value::from(decided.unwrap_or("Pending"))
            }),
            text("UnverifiedUserAnnotations", "What the pod's author tells the signer.", |o, _| {
                cells::labels(map(o, "spec.unverifiedUserAnnotations"))
            }),
        ])
        .selectable(&["spec.signerName", "spec.podName", "spec.nodeName"])
}
