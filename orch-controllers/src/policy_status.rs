//! `validatingadmissionpolicy-status`: the status of a policy says which of its expressions cannot be meant of the kinds
//! that it is about (`pkg/controller/validatingadmissionpolicystatus`).

use jiff::Timestamp;
use k8s_openapi::{
    api::admissionregistration::v1::ValidatingAdmissionPolicy,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use orch_api::{Gvr, Key, Kind, Object, crd, kinds, type_check};
use orch_runtime::{Controller, Plan, Target, View, Watches};
use serde_json::{Value, json};
use std::sync::Arc;

/// Checks the types of policies, once for each generation.
pub struct PolicyStatus;

/// A policy that was not checked yet, and the kinds that it is about.
pub struct World {
    policy: Value,
    key: Key,
    kinds: Vec<Arc<Kind>>,
}

impl Controller for PolicyStatus {
    const NAME: &'static str = "validatingadmissionpolicy-status";
    const ABOUT: &'static str =
        "Warns in the status of a ValidatingAdmissionPolicy of expressions that do not fit the kinds it is about.";
    type World = World;

    fn watches(&self) -> Watches {
        // What is served later does not bring a policy back: it is checked when it changes.
        Watches::root::<ValidatingAdmissionPolicy>().reads::<CustomResourceDefinition>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let policy: Value = view.stored(&ValidatingAdmissionPolicy::gvr(), key)?.parse().ok()?;
        let number = |at: &str| policy.pointer(at).and_then(Value::as_i64).unwrap_or_default();
        if number("/metadata/generation") <= number("/status/observedGeneration") {
            return None;
        }
        let definitions = CustomResourceDefinition::gvr();
        let custom = |group: &str, resource: &str| {
            let stored = view.stored(&definitions, &Key::cluster(format!("{resource}.{group}")))?;
            stored.parse::<Value>().ok()
        };
        let mut kinds = Vec::new();
        for Gvr { group, version, resource } in type_check::resources(&policy) {
            match built_in(|kind| kind.group == group && kind.version == version && kind.plural == resource) {
                Some(kind) => kinds.push(kind),
                None => kinds.extend(custom(&group, &resource).into_iter().flat_map(|d| served(&d, &version))),
            }
        }
        if let Some(params) = type_check::param_kind(&policy) {
            match built_in(|kind| kind.gvk() == params) {
                Some(kind) => kinds.push(kind),
                None => {
                    let all = view.list_stored(&definitions, "");
                    let all = all.iter().filter_map(|stored| stored.parse::<Value>().ok());
                    kinds.extend(all.flat_map(|d| served(&d, &params.version)).filter(|kind| kind.gvk() == params));
                }
            }
        }
        Some(World { policy, key: key.clone(), kinds })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let warnings: Vec<Value> = type_check::check(&world.policy, &world.kinds)
            .into_iter()
            .map(|found| json!({"fieldRef": found.field, "warning": found.warning}))
            .collect();
        let mut checked = json!({});
        if !warnings.is_empty() {
            checked = json!({"expressionWarnings": warnings});
        }
        let generation = world.policy.pointer("/metadata/generation");
        let gvr = ValidatingAdmissionPolicy::gvr();
        let body = json!({
            "apiVersion": gvr.api_version(), "kind": "ValidatingAdmissionPolicy", "metadata": {"name": world.key.name},
            "status": {"observedGeneration": generation, "typeChecking": checked},
        });
        let mut plan = Plan::default();
        let kind = "ValidatingAdmissionPolicy".into();
        plan.apply_status(Target { gvr, kind, key: world.key.clone() }, Self::NAME, body);
        plan
    }
}

fn built_in(is: impl Fn(&Kind) -> bool) -> Option<Arc<Kind>> {
    kinds::all().iter().find(|kind| is(kind)).map(|kind| Arc::new(kind.clone()))
}

/// The kind that a definition serves in a version.
fn served(definition: &Value, version: &str) -> Option<Arc<Kind>> {
    let rows = crd::rows(definition, true).into_iter();
    rows.filter(|row| row.served).map(|row| row.kind).find(|kind| kind.version == version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    fn policy(expression: &str, observed: i64) -> ValidatingAdmissionPolicy {
        let policy = json!({
            "metadata": {"name": "p", "uid": "p", "generation": 2, "resourceVersion": "1"},
            "spec": {"validations": [{"expression": expression}], "matchConstraints": {"resourceRules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}]}},
            "status": {"observedGeneration": observed},
        });
        serde_json::from_value(policy).unwrap()
    }

    fn check(policy: &ValidatingAdmissionPolicy, expect: &Expect) {
        let objects = Objects::new(&PolicyStatus.watches()).with(policy);
        let world = PolicyStatus.observe(&policy.key(), &View::fixed(&objects));
        let plan = world.map(|world| PolicyStatus.plan(&world, now())).unwrap_or_default();
        expect_plan(&plan, expect);
    }

    #[test]
    fn a_policy_is_checked_once_for_each_generation() {
        check(
            &policy("object.spec.replicas > 1", 1),
            &expect![[r#"
            apply status of ValidatingAdmissionPolicy p as validatingadmissionpolicy-status {"observedGeneration":2,"typeChecking":{}}
        "#]],
        );
        check(&policy("object.spec.replicas > 1", 2), &expect![[""]]);
    }

    #[test]
    fn an_expression_that_cannot_be_meant_is_warned_of() {
        check(
            &policy("object.spec.maxReplicas > 1", 1),
            &expect![[r#"
            apply status of ValidatingAdmissionPolicy p as validatingadmissionpolicy-status {"observedGeneration":2,"typeChecking":{"expressionWarnings":[{"fieldRef":"spec.validations[0].expression","warning":"apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:12: undefined field 'maxReplicas'\n | object.spec.maxReplicas > 1\n | ...........^\n"}]}}
        "#]],
        );
    }
}
