//! [`ValidatingPolicy`]: expressions that must hold (`plugin/policy/validating/validator.go`).

use super::policy::{Policy, Spec};
use crate::admission::expression::{Budget, Held, Input, Values};
use orch_api::{
    cel::RUNTIME_BUDGET, expressions::Compiled,
    k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicySpec,
};
use serde_json::Value;

/// Longest message that an expression may make, in bytes.
const MAX_MESSAGE: usize = 5 << 10;

/// A policy that refuses what its expressions do not hold for.
pub(super) struct ValidatingPolicy {
    pub(super) policy: Policy,
    validations: Vec<Validation>,
    annotations: Vec<(String, Compiled)>,
}

struct Validation {
    condition: Compiled,
    message: String,
    message_expression: Option<Compiled>,
    reason: String,
}

/// One thing that a policy has against a write.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    /// Which of the expressions.
    pub(super) index: usize,
    pub(super) message: String,
    /// The reason of the refusal; empty where the policy could not be evaluated.
    pub(super) reason: String,
}

/// What came of the evaluation of a policy with one set of parameters.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) faults: Vec<Fault>,
    /// For the audit log.
    pub(super) annotations: Vec<(String, String)>,
    /// Annotations that could not be made: these refuse whatever the binding's actions are.
    pub(super) failed_annotations: Vec<String>,
}

impl ValidatingPolicy {
    pub(super) fn compile(name: &str, spec: &ValidatingAdmissionPolicySpec) -> Self {
        let policy = Policy::compile(
            name,
            &Spec {
                constraints: spec.match_constraints.as_ref(),
                conditions: spec.match_conditions.as_deref(),
                failure_policy: spec.failure_policy.as_deref(),
                param_kind: spec.param_kind.as_ref(),
                variables: spec.variables.as_deref(),
            },
        );
        let with_authorizer = policy.scope.with_authorizer();
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
        let validations = spec.validations.iter().flatten().map(|validation| Validation {
            condition: with_authorizer.condition(&validation.expression),
            message: text(&validation.message),
            message_expression: validation
                .message_expression
                .as_deref()
                .filter(|expression| !expression.is_empty())
                .map(|expression| policy.scope.message(expression)),
            reason: text(&validation.reason),
        });
        let annotations = spec.audit_annotations.iter().flatten();
        let annotations = annotations.map(|a| (a.key.clone(), policy.scope.any(&a.value_expression)));
        Self { validations: validations.collect(), annotations: annotations.collect(), policy }
    }

    /// Evaluates the policy.
    pub(super) fn evaluate(&self, input: &Input) -> Verdict {
        match self.policy.conditions.hold(input) {
            Held::Yes => {}
            Held::No => return Verdict::default(),
            Held::Failed(why) => return self.failed(why),
        }
        let values = Values::new(input, &self.policy.variables);
        let mut budget = Budget::new(RUNTIME_BUDGET);
        let mut verdict = Verdict::default();
        let mut results = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            match budget.evaluate(&validation.condition, input, &values) {
                Ok(result) => results.push(result),
                Err(why) => return self.failed(why),
            }
        }
        for (index, (validation, result)) in self.validations.iter().zip(results).enumerate() {
            match result {
                Ok(Value::Bool(true)) => {}
                Ok(_) => {
                    let message = validation.words(input, &values, &mut budget);
                    let reason = if validation.reason.is_empty() { "Invalid" } else { &validation.reason };
                    verdict.faults.push(Fault { index, message, reason: reason.to_owned() });
                }
                Err(_) if self.policy.ignores_failure => {}
                Err(message) => verdict.faults.push(Fault { index, message, reason: String::new() }),
            }
        }
        self.annotate(input, &values, &mut verdict);
        verdict
    }

    fn failed(&self, message: String) -> Verdict {
        let fault = Fault { index: 0, message, reason: String::new() };
        let faults = if self.policy.ignores_failure { Vec::new() } else { vec![fault] };
        Verdict { faults, ..Verdict::default() }
    }

    fn annotate(&self, input: &Input, values: &Values<'_>, verdict: &mut Verdict) {
        let mut budget = Budget::new(RUNTIME_BUDGET);
        for (key, expression) in &self.annotations {
            let failed = match budget.evaluate(expression, input, values).and_then(|result| result) {
                Ok(Value::String(text)) => {
                    let text = text.trim();
                    if !text.is_empty() {
                        verdict.annotations.push((key.clone(), text.to_owned()));
                    }
                    continue;
                }
                Ok(Value::Null) => continue,
                Ok(other) => {
                    let kind = kind_of(&other);
                    verdict.failed_annotations.push(format!(
                        "valueExpression '{}' resulted in unsupported return type: {kind}. Return type must be either string \
                         or null.",
                        expression.text
                    ));
                    continue;
                }
                Err(why) => why,
            };
            if !self.policy.ignores_failure {
                verdict.failed_annotations.push(failed);
            }
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "int",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
        Value::String(_) | Value::Null => "string",
    }
}

impl Validation {
    /// What the expression for the message makes, if it is one line; else the message; else the expression.
    fn words(&self, input: &Input, values: &Values<'_>, budget: &mut Budget) -> String {
        let made = self.message_expression.as_ref().map(|expression| budget.evaluate(expression, input, values));
        let made = match made {
            Some(Ok(Ok(Value::String(text)))) => text.trim().to_owned(),
            Some(Err(why)) => return format!("failed messageExpression: {why}"),
            _ => String::new(),
        };
        if !made.is_empty() && made.len() <= MAX_MESSAGE && !made.contains('\n') {
            return made;
        }
        match &*self.message {
            "" => format!("failed expression: {}", self.condition.text.trim()),
            message => message.to_owned(),
        }
    }
}
