//! [`Binding`]: where a policy applies, and with which parameters.

use crate::admission::{Review, View, matching::Criteria};
use orch_api::{
    StatusError,
    k8s_openapi::api::admissionregistration::v1::{MatchResources, ParamRef},
};
use serde_json::Value;

/// Where a policy applies, and with which parameters.
pub(super) struct Binding {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) param_ref: Option<ParamRef>,
    /// `Deny`, `Warn`, `Audit`; of validating policies.
    pub(super) actions: Vec<String>,
    criteria: Criteria,
}

impl Binding {
    pub(super) fn new(
        name: &str,
        policy: &str,
        param_ref: Option<&ParamRef>,
        resources: Option<&MatchResources>,
        actions: &[String],
    ) -> Self {
        Self {
            name: name.to_owned(),
            policy: policy.to_owned(),
            param_ref: param_ref.cloned(),
            actions: actions.to_vec(),
            criteria: Criteria::of_policy(resources),
        }
    }

    pub(super) async fn matches(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &Value,
    ) -> Result<bool, StatusError> {
        Ok(self.criteria.matched(view, review, object).await?.is_some())
    }
}
