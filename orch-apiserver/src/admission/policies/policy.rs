//! [`Policy`]: what policies of both kinds have, compiled.

use crate::admission::{Review, View, expression::Conditions, matching::Criteria};
use orch_api::{
    Gvk, Kind, StatusError,
    expressions::{Scope, Variable},
    k8s_openapi::api::admissionregistration::v1::{MatchCondition, MatchResources, ParamKind, Variable as Declared},
};
use serde_json::Value;
use std::sync::Arc;

/// What policies of both kinds have.
pub(super) struct Policy {
    pub(super) name: String,
    criteria: Criteria,
    pub(super) conditions: Conditions,
    pub(super) ignores_failure: bool,
    /// The kind of its parameters.
    pub(super) param_kind: Option<Gvk>,
    pub(super) variables: Vec<Variable>,
    /// The scope of its expressions, with the variables.
    pub(super) scope: Scope,
}

/// The parts of a policy's spec that both kinds have.
pub(super) struct Spec<'a> {
    pub(super) constraints: Option<&'a MatchResources>,
    pub(super) conditions: Option<&'a [MatchCondition]>,
    pub(super) failure_policy: Option<&'a str>,
    pub(super) param_kind: Option<&'a ParamKind>,
    pub(super) variables: Option<&'a [Declared]>,
}

impl Policy {
    pub(super) fn compile(name: &str, spec: &Spec<'_>) -> Self {
        let ignores_failure = spec.failure_policy == Some("Ignore");
        let plain = Scope::new(spec.param_kind.is_some());
        let declared = spec.variables.unwrap_or_default().iter().map(|v| (&*v.name, &*v.expression));
        let (scope, variables) = plain.with_variables(declared);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            name: name.to_owned(),
            criteria: Criteria::of_policy(spec.constraints),
            // What to do about a failure is the policy's business as a whole.
            conditions: Conditions::compile(
                &plain.with_authorizer(),
                spec.conditions.unwrap_or_default(),
                ignores_failure,
            ),
            ignores_failure,
            param_kind: spec.param_kind.map(|kind| Gvk::parse(&text(&kind.api_version), &text(&kind.kind))),
            variables,
            scope,
        }
    }

    /// The kind as which the policy sees the object, if it is about such writes.
    pub(super) async fn matched(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<Option<Arc<Kind>>, StatusError> {
        self.criteria.matched(view, review, object).await
    }
}
