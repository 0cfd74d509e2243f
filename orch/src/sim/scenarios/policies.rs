//! Admission policies.

use crate::sim::{Change, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

const POLICY: &str = "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy";

/// The scenarios of what looks after policies.
pub(super) fn all() -> Vec<Scenario> {
    let key = Key::cluster("sizes");
    vec![
        Scenario::new(
            "policy",
            "A ValidatingAdmissionPolicy is created, gets an expression that fits no Deployment, and is mended.",
            &["validatingadmissionpolicy-status"],
        )
        .with([
            Change::given(policy()),
            Change::patch(4_000, POLICY, &key, expression("object.spec.maxReplicas < 9")),
            Change::patch(8_000, POLICY, &key, expression("object.spec.replicas < 9")),
        ])
        .about_object(POLICY, key),
    ]
}

fn expression(text: &str) -> Value {
    json!({"spec": {"validations": [{"expression": text}]}})
}

fn policy() -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "sizes"}, "spec": {"failurePolicy": "Fail",
            "validations": [{"expression": "object.spec.replicas < 5"}],
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]}}})
}
