//! The plugin `MutatingAdmissionPolicy` (`plugin/policy/mutating/dispatcher.go`).

use super::{bindings::Binding, mutation::MutatingPolicy, params};
use crate::{
    admission::{
        Plugin, Review, View,
        expression::{Held, Input},
        matching, shown,
    },
    core::{decode, json},
};
use async_trait::async_trait;
use orch_api::{Kind, Reason, StatusError, k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause};
use serde_json::Value;
use std::sync::Arc;

/// The plugin `MutatingAdmissionPolicy`.
pub struct MutatingAdmissionPolicy;

/// A policy that is about to change the object.
struct Invocation<'a> {
    policy: &'a MutatingPolicy,
    binding: &'a Binding,
    kind: Arc<Kind>,
    params: Option<Value>,
}

/// What went wrong with a policy or its binding.
struct Fault {
    policy: String,
    /// Empty where the policy itself is at fault.
    binding: String,
    message: String,
    ignored: bool,
    invalid: bool,
}

#[async_trait]
impl Plugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        !matching::is_exempt(review)
    }

    async fn mutate(&self, view: &View<'_>, review: &Review<'_>, object: &mut Value) -> Result<bool, StatusError> {
        let policies = view.core.policies.mutating(view.core);
        let bindings = view.core.policies.mutating_bindings(view.core);
        let mut faults = Vec::new();
        let mut invocations = Vec::new();
        for policy in policies.iter() {
            for binding in bindings.iter().filter(|binding| binding.policy == policy.policy.name) {
                match invoked(view, review, object, policy, binding).await {
                    Ok(more) => invocations.extend(more),
                    Err(fault) => faults.push(fault),
                }
            }
        }
        if invocations.is_empty() && faults.is_empty() {
            return Ok(false);
        }
        let second = view.round.is_second();
        if second {
            view.round.policies(|tracker| tracker.enter(object));
        }
        let mut changed = false;
        for invocation in &invocations {
            changed |= invocation.run(view, review, object, &mut faults).await?;
        }
        view.round.policies(|tracker| tracker.leave(object));
        match refusal(review, object, &faults) {
            Some(error) => Err(error),
            None => Ok(changed),
        }
    }
}

async fn invoked<'a>(
    view: &View<'_>,
    review: &Review<'_>,
    object: &Value,
    policy: &'a MutatingPolicy,
    binding: &'a Binding,
) -> Result<Vec<Invocation<'a>>, Fault> {
    let own = &policy.policy;
    let fault = |binding: &str, message: String| Fault {
        policy: own.name.clone(),
        binding: binding.to_owned(),
        message,
        ignored: own.ignores_failure,
        invalid: false,
    };
    let matched = own.matched(view, review, object).await;
    let Some(kind) = matched.map_err(|why| fault("", format!("failed to configure policy: {why}")))? else {
        return Ok(Vec::new());
    };
    let applies = binding.matches(view, review, object).await;
    if !applies.map_err(|why| fault(&binding.name, format!("failed to configure binding: {why}")))? {
        return Ok(Vec::new());
    }
    let params = params::collect(view, review, own, binding).await;
    let params = params.map_err(|why| fault(&binding.name, format!("failed to configure binding: {why}")))?;
    Ok(params.into_iter().map(|params| Invocation { policy, binding, kind: kind.clone(), params }).collect())
}

impl Invocation<'_> {
    /// Lets the policy change the object; says whether it did.
    async fn run(
        &self,
        view: &View<'_>,
        review: &Review<'_>,
        object: &mut Value,
        faults: &mut Vec<Fault>,
    ) -> Result<bool, StatusError> {
        let own = &self.policy.policy;
        let mut fault = |message: String| {
            faults.push(Fault {
                policy: own.name.clone(),
                binding: self.binding.name.clone(),
                message,
                ignored: own.ignores_failure,
                invalid: true,
            });
        };
        let mut input = self.input(view, review, object).await?;
        match own.conditions.hold(&input) {
            Held::Yes => {}
            Held::No => return Ok(false),
            Held::Failed(why) => {
                fault(why);
                return Ok(false);
            }
        }
        let id = self.id();
        if view.round.is_second() && !view.round.policies(|tracker| tracker.runs_again(&id)) {
            return Ok(false);
        }
        let before = input.object.clone();
        let schema = decode::schema_of(&self.kind);
        for mutation in &self.policy.mutations {
            // Nothing can be changed of what is deleted.
            if input.object.is_null() {
                break;
            }
            match mutation.perform(own, &input, &schema) {
                Ok(new) => input.object = shown::settle(review, &self.kind, new)?,
                Err(why) => fault(why),
            }
        }
        let changed = input.object != before;
        if changed {
            *object = shown::from_kind(view, review, &self.kind, input.object).await?;
            view.round.policies(super::super::round::Tracker::changed);
            view.round.want();
        }
        if self.policy.reinvocable {
            view.round.policies(|tracker| tracker.ran(&id));
        }
        Ok(changed)
    }

    async fn input(&self, view: &View<'_>, review: &Review<'_>, object: &Value) -> Result<Input, StatusError> {
        let new = shown::as_kind(view, review, &self.kind, object).await?;
        let old = shown::old_as_kind(view, review, &self.kind).await?;
        let input = Input::new(view, review, &self.kind, new, old);
        let mut input = input.with_namespace(view, review).await?;
        input.set_params(self.params.as_ref());
        Ok(input)
    }

    /// Tells the invocation from all others.
    fn id(&self) -> String {
        let param = self.params.as_ref();
        let param = param.map(|p| format!("{}/{}", json::meta(p, "namespace"), json::meta(p, "name")));
        format!("{}/{}/{}", self.policy.policy.name, self.binding.name, param.unwrap_or_default())
    }
}

/// What the client is told: the first fault, with all of them as causes.
fn refusal(review: &Review<'_>, object: &Value, faults: &[Fault]) -> Option<StatusError> {
    let said: Vec<(String, bool)> = faults.iter().filter(|f| !f.ignored).map(|f| (f.words(), f.invalid)).collect();
    let (message, invalid) = said.first()?.clone();
    let forbidden = review.forbidden(object, "admission request denied by policy");
    let mut details = forbidden.details().cloned().unwrap_or_default();
    let causes = said.into_iter().map(|(words, _)| StatusCause { message: Some(words), ..StatusCause::default() });
    details.causes.get_or_insert_default().extend(causes);
    let reason = if invalid { Reason::Invalid } else { Reason::Forbidden };
    // Only the reason is that of the fault: the code stays.
    Some(StatusError::new(reason, message).with_code(forbidden.code()).with_details(details))
}

impl Fault {
    fn words(&self) -> String {
        let Self { policy, binding, message, .. } = self;
        match &**binding {
            "" => format!("policy {policy:?} denied request: {message}"),
            binding => format!("policy '{policy}' with binding '{binding}' denied request: {message}"),
        }
    }
}
