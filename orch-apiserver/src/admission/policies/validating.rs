//! The plugin `ValidatingAdmissionPolicy` (`plugin/policy/validating/dispatcher.go`).

use super::{
    bindings::Binding,
    params,
    validation::{Fault, ValidatingPolicy, Verdict},
};
use crate::admission::{Plugin, Review, View, expression::Input, matching, shown};
use async_trait::async_trait;
use orch_api::{Kind, Reason, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const VALIDATION_FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";
/// Longest value of an annotation, in bytes.
const MAX_ANNOTATION: usize = 10 << 10;

/// The plugin `ValidatingAdmissionPolicy`.
pub struct ValidatingAdmissionPolicy;

/// Why a write is refused.
struct Denial {
    policy: String,
    /// Empty where the policy itself is at fault.
    binding: String,
    message: String,
    reason: String,
}

#[async_trait]
impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        !matching::is_exempt(review)
    }

    async fn validate(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<(), StatusError> {
        let policies = view.core.policies.validating(view.core);
        let bindings = view.core.policies.validating_bindings(view.core);
        let mut denials = Vec::new();
        for policy in policies.iter() {
            let bound: Vec<&Binding> =
                bindings.iter().map(|binding| &**binding).filter(|b| b.policy == policy.policy.name).collect();
            // A policy without a binding is no policy yet.
            if !bound.is_empty() {
                apply(view, review, object, policy, &bound, &mut denials).await?;
            }
        }
        match denials.into_iter().next() {
            Some(denial) => Err(refuse(review, object, &denial)),
            None => Ok(()),
        }
    }
}

async fn apply(
    view: &View<'_>,
    review: &Review<'_>,
    object: &Value,
    policy: &ValidatingPolicy,
    bindings: &[&Binding],
    denials: &mut Vec<Denial>,
) -> Result<(), StatusError> {
    let own = &policy.policy;
    let mut misconfigured = |binding: &str, why: &dyn std::fmt::Display| {
        let what = if binding.is_empty() { "policy" } else { "binding" };
        if !own.ignores_failure {
            let (policy, binding) = (own.name.clone(), binding.to_owned());
            let message = format!("failed to configure {what}: {why}");
            denials.push(Denial { policy, binding, message, reason: String::new() });
        }
    };
    let kind = match own.matched(view, review, object).await {
        Ok(Some(kind)) => kind,
        Ok(None) => return Ok(()),
        Err(why) => {
            misconfigured("", &why);
            return Ok(());
        }
    };
    if let Some(gvk) = own.param_kind.as_ref().filter(|gvk| view.core.registry.by_kind(gvk).is_none()) {
        misconfigured("", &params::unknown(gvk));
        return Ok(());
    }
    let mut verdicts = Vec::new();
    for binding in bindings {
        let collected = match binding.matches(view, review, object).await {
            Ok(true) => params::collect(view, review, own, binding).await,
            Ok(false) => continue,
            Err(why) => Err(why.to_string()),
        };
        let collected = match collected {
            Ok(collected) => collected,
            Err(why) => {
                misconfigured(&binding.name, &why);
                continue;
            }
        };
        if collected.is_empty() {
            continue;
        }
        let mut input = input(view, review, &kind, object).await?;
        for params in collected {
            input.set_params(params.as_ref());
            verdicts.push((*binding, policy.evaluate(&input)));
        }
    }
    settle(review, policy, verdicts, denials);
    Ok(())
}

async fn input(view: &View<'_>, review: &Review<'_>, kind: &Kind, object: &Value) -> Result<Input, StatusError> {
    let new = shown::as_kind(view, review, kind, object).await?;
    let old = shown::old_as_kind(view, review, kind).await?;
    Input::new(view, review, kind, new, old).with_namespace(view, review).await
}

/// Does what the bindings say is to be done about faults.
fn settle(
    review: &Review<'_>,
    policy: &ValidatingPolicy,
    verdicts: Vec<(&Binding, Verdict)>,
    denials: &mut Vec<Denial>,
) {
    let name = &policy.policy.name;
    let mut annotations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (binding, verdict) in verdicts {
        for fault in verdict.faults {
            for action in &binding.actions {
                act(review, name, binding, &fault, action, denials);
            }
        }
        for (key, mut value) in verdict.annotations {
            while value.len() > MAX_ANNOTATION {
                value.pop();
            }
            let values = annotations.entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        for message in verdict.failed_annotations {
            let (policy, binding) = (name.clone(), binding.name.clone());
            denials.push(Denial { policy, binding, message, reason: String::new() });
        }
    }
    for (key, values) in annotations {
        review.call.annotations.add(format!("{name}/{key}"), values.join(", "));
    }
}

fn act(review: &Review<'_>, policy: &str, binding: &Binding, fault: &Fault, action: &str, denials: &mut Vec<Denial>) {
    let Fault { index, message, reason } = fault;
    let name = &binding.name;
    match action {
        "Deny" => denials.push(Denial {
            policy: policy.to_owned(),
            binding: name.clone(),
            message: message.clone(),
            reason: reason.clone(),
        }),
        "Warn" => review.call.warnings.add(format!(
            "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{name}': {message}"
        )),
        "Audit" => {
            let failure = json!([{"message": message, "policy": policy, "binding": name, "expressionIndex": index,
                "validationActions": binding.actions}]);
            review.call.annotations.add(VALIDATION_FAILURE, failure.to_string());
        }
        _ => {}
    }
}

fn refuse(review: &Review<'_>, object: &Value, denial: &Denial) -> StatusError {
    let Denial { policy, binding, message, reason } = denial;
    let message = match &**binding {
        "" => format!("ValidatingAdmissionPolicy '{policy}' denied request: {message}"),
        binding => {
            format!("ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}")
        }
    };
    let forbidden = review.forbidden(object, &message);
    let reason = match &**reason {
        "Forbidden" => Reason::Forbidden,
        "Unauthorized" => Reason::Unauthorized,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    };
    let mut details = forbidden.details().cloned().unwrap_or_default();
    let cause = StatusCause { message: Some(message), ..StatusCause::default() };
    details.causes.get_or_insert_default().push(cause);
    StatusError::new(reason, forbidden.message()).with_details(details)
}
