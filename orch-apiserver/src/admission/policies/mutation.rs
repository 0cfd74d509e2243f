//! [`MutatingPolicy`]: expressions that make a change (`plugin/policy/mutating/patch`).

use super::policy::{Policy, Spec};
use crate::{
    admission::expression::{Budget, Input, Values},
    apply,
    core::json,
    patch::apply_json_patch,
};
use orch_api::{
    cel::RUNTIME_BUDGET,
    expressions::Compiled,
    k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicySpec,
    schema::{self, ListMerge, Schema, Shape},
};
use serde_json::Value;
use std::sync::Arc;

/// A policy that changes what it matches.
pub(super) struct MutatingPolicy {
    pub(super) policy: Policy,
    pub(super) mutations: Vec<Mutation>,
    /// Whether it wants to see what others made of the object after it.
    pub(super) reinvocable: bool,
}

/// One change.
pub(super) enum Mutation {
    /// Fields that are laid over the object, as server-side apply does it.
    Apply(Compiled),
    /// Operations of a JSON patch.
    Patch(Compiled),
}

impl MutatingPolicy {
    pub(super) fn compile(name: &str, spec: &MutatingAdmissionPolicySpec) -> Self {
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
        let scope = policy.scope.with_authorizer().with_structs();
        let text = |expression: Option<&Option<String>>| expression.cloned().flatten().unwrap_or_default();
        let mutations = spec.mutations.iter().flatten().map(|mutation| match &*mutation.patch_type {
            "JSONPatch" => Mutation::Patch(scope.any(&text(mutation.json_patch.as_ref().map(|p| &p.expression)))),
            _ => Mutation::Apply(scope.any(&text(mutation.apply_configuration.as_ref().map(|a| &a.expression)))),
        });
        let mutations = mutations.collect();
        let reinvocable = spec.reinvocation_policy.as_deref() == Some("IfNeeded");
        Self { policy, mutations, reinvocable }
    }
}

impl Mutation {
    /// The object after the change; the error is the policy's.
    pub(super) fn perform(&self, policy: &Policy, input: &Input, schema: &Arc<Schema>) -> Result<Value, String> {
        let values = Values::new(input, &policy.variables);
        let mut budget = Budget::new(RUNTIME_BUDGET);
        let mut evaluate = |expression| budget.evaluate(expression, input, &values).and_then(|result| result);
        match self {
            Self::Patch(expression) => patch(&input.object, &evaluate(expression)?),
            Self::Apply(expression) => lay_over(schema, &input.object, evaluate(expression)?),
        }
    }
}

fn patch(object: &Value, operations: &Value) -> Result<Value, String> {
    if !operations.is_array() {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".into());
    }
    match apply_json_patch(object, operations) {
        Ok(patched) => Ok(patched),
        // An operation `test` that fails says: not this object.
        Err(why) if why.ends_with("test failed") => Ok(object.clone()),
        Err(why) => Err(format!("JSON Patch: {why}")),
    }
}

fn lay_over(schema: &Arc<Schema>, object: &Value, mut configuration: Value) -> Result<Value, String> {
    if !configuration.is_object() {
        return Err("unsupported return type from ApplyConfiguration expression".into());
    }
    for field in ["apiVersion", "kind"] {
        json::set(&mut configuration, &[field], object.get(field).cloned().unwrap_or_default());
    }
    let mut atomic = Vec::new();
    find_atomic(schema, &configuration, &mut String::new(), &mut atomic);
    if !atomic.is_empty() {
        let why = format!("may not mutate atomic arrays, maps or structs: {}", atomic.join(", "));
        return Err(format!("error applying patch: invalid ApplyConfiguration: {why}"));
    }
    Ok(apply::merge(schema, object, &configuration))
}

/// The parts of a configuration that could only be replaced as a whole.
fn find_atomic(schema: &Arc<Schema>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    let schema = schema::resolve(schema);
    match (&schema.shape, value) {
        (Shape::Map { values, atomic }, Value::Object(map)) => {
            if *atomic {
                found.push(path.clone());
            }
            for (key, value) in map {
                path.push('.');
                path.push_str(key);
                find_atomic(values, value, path, found);
                path.truncate(length);
            }
        }
        (Shape::Object(fields), Value::Object(map)) => {
            if fields.atomic {
                found.push(path.clone());
            }
            for (key, value) in map {
                if let Some(property) = fields.properties.get(&**key) {
                    path.push('.');
                    path.push_str(key);
                    find_atomic(property, value, path, found);
                    path.truncate(length);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            if list.merge == ListMerge::Atomic {
                found.push(path.clone());
            }
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_atomic(&list.items, item, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}
