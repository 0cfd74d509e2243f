//! Reviews of identity and permission, and disruption budgets.

use super::{
    cells::scalar_or,
    row::{Group, Row, integer, named, text},
};
use crate::{
    access::integer as number,
    kind::{Kind, Verbs},
};

pub(super) fn authentication() -> Vec<Kind> {
    let group = Group { group: "authentication.k8s.io", version: "v1", package: "io.k8s.api.authentication.v1" };
    vec![
        group.cluster("SelfSubjectReview", "selfsubjectreviews").verbs(Verbs::CreateOnly),
        group.cluster("TokenReview", "tokenreviews").verbs(Verbs::CreateOnly),
    ]
}

pub(super) fn authorization() -> Vec<Kind> {
    let group = Group { group: "authorization.k8s.io", version: "v1", package: "io.k8s.api.authorization.v1" };
    vec![
        group.namespaced("LocalSubjectAccessReview", "localsubjectaccessreviews").verbs(Verbs::CreateOnly),
        group.cluster("SelfSubjectAccessReview", "selfsubjectaccessreviews").verbs(Verbs::CreateOnly),
        group.cluster("SelfSubjectRulesReview", "selfsubjectrulesreviews").verbs(Verbs::CreateOnly),
        group.cluster("SubjectAccessReview", "subjectaccessreviews").verbs(Verbs::CreateOnly),
    ]
}

pub(super) fn policy() -> Vec<Kind> {
    let group = Group { group: "policy", version: "v1", package: "io.k8s.api.policy.v1" };
    let budget = group.namespaced("PodDisruptionBudget", "poddisruptionbudgets").short(&["pdb"]).status();
    vec![budget.columns(named([
        text("Min Available", "The minimum number of pods that must be available.", |o, _| {
            scalar_or(o, "spec.minAvailable", "N/A")
        }),
        text("Max Unavailable", "The maximum number of pods that may be unavailable.", |o, _| {
            scalar_or(o, "spec.maxUnavailable", "N/A")
        }),
        integer("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.", |o, _| {
            number(o, "status.disruptionsAllowed").into()
        }),
    ]))]
}
