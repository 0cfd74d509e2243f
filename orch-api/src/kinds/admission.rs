//! The group `admissionregistration.k8s.io`.

use super::{
    cells::{UNSET, selector},
    row::{Group, Row, integer, named, text},
};
use crate::{
    access::{get, list, text as field},
    kind::{Column, Kind},
};
use serde_json::Value;

const ADMISSION: Group =
    Group { group: "admissionregistration.k8s.io", version: "v1", package: "io.k8s.api.admissionregistration.v1" };

pub(super) fn kinds() -> Vec<Kind> {
    let kinds = [
        ADMISSION.cluster("MutatingAdmissionPolicy", "mutatingadmissionpolicies").columns(policy(integer(
            "Mutations",
            "Mutation indicates the number of mutations rules defined in this configuration",
            |o, _| list(o, "spec.mutations").len().into(),
        ))),
        ADMISSION.cluster("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings").columns(binding()),
        ADMISSION.cluster("MutatingWebhookConfiguration", "mutatingwebhookconfigurations").columns(webhooks()),
        ADMISSION.cluster("ValidatingAdmissionPolicy", "validatingadmissionpolicies").status().columns(policy(
            integer(
                "Validations",
                "Validations indicates the number of validation rules defined in this configuration",
                |o, _| list(o, "spec.validations").len().into(),
            ),
        )),
        ADMISSION.cluster("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings").columns(binding()),
        ADMISSION.cluster("ValidatingWebhookConfiguration", "validatingwebhookconfigurations").columns(webhooks()),
    ];
    kinds.map(|kind| kind.categories(&["api-extensions"])).into()
}

fn webhooks() -> Vec<Column> {
    let words = "Webhooks indicates the number of webhooks registered in this configuration";
    named([integer("Webhooks", words, |o, _| list(o, "webhooks").len().into())])
}

fn policy(rules: Column) -> Vec<Column> {
    let words = "ParamKind specifies the kind of resources used to parameterize this policy";
    named([rules, text("ParamKind", words, |o, _| param_kind(o).into())])
}

fn param_kind(policy: &Value) -> String {
    let kind = get(policy, "spec.paramKind");
    kind.map_or_else(|| UNSET.into(), |kind| format!("{}/{}", field(kind, "apiVersion"), field(kind, "kind")))
}

fn binding() -> Vec<Column> {
    named([
        text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to", |o, _| {
            field(o, "spec.policyName").into()
        }),
        text("ParamRef", "ParamRef indicates the param resource which sets the configuration param", |o, _| {
            param_ref(o)
        }),
    ])
}

fn param_ref(binding: &Value) -> Value {
    let Some(reference) = get(binding, "spec.paramRef") else { return UNSET.into() };
    match (field(reference, "namespace"), field(reference, "name")) {
        (_, "") if get(reference, "selector").is_none() => UNSET.into(),
        (_, "") => selector(get(reference, "selector")),
        ("", name) => format!("*/{name}").into(),
        (namespace, name) => format!("{namespace}/{name}").into(),
    }
}
