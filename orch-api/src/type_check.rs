//! What a ValidatingAdmissionPolicy says that cannot be true of the kinds it is about: fields that they do not have,
//! comparisons of things that cannot be compared (`apiserver/pkg/admission/plugin/policy/validating/typechecking.go`).
//! Such a policy works all the same; its status has the warnings.

use crate::{
    access::{list, text, texts},
    cel::{Decl, Field, Object, Type},
    crd,
    expressions::Scope,
    key::{Gvk, Gvr},
    kind::Kind,
    schema::{self, Scalar, Schema, Shape},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// As many kinds as are looked at.
const MAX_KINDS: usize = 10;

/// A warning about an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionWarning {
    /// Where the expression is, such as `spec.validations[0].expression`.
    pub field: String,
    /// What is wrong with it, for each kind that it is wrong for.
    pub warning: String,
}

/// The resources that the rules of a policy name. Rules with a wildcard name none.
pub fn resources(policy: &Value) -> Vec<Gvr> {
    let mut all = Vec::new();
    for rule in list(policy, "spec.matchConstraints.resourceRules") {
        let sorted = |field: &str| {
            let mut names: Vec<&str> = texts(rule, field).collect();
            names.sort_unstable();
            names
        };
        let (groups, versions) = (sorted("apiGroups"), sorted("apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        let resources: Vec<&str> = sorted("resources").into_iter().filter(|name| !name.contains(['*', '/'])).collect();
        for group in &groups {
            for version in &versions {
                let own = |name: &str| name.to_owned().into();
                all.extend(resources.iter().map(|name| Gvr {
                    group: own(group),
                    version: own(version),
                    resource: own(name),
                }));
            }
        }
    }
    all
}

/// The kind of a policy's parameters.
pub fn param_kind(policy: &Value) -> Option<Gvk> {
    let (api_version, kind) = (text(policy, "spec.paramKind.apiVersion"), text(policy, "spec.paramKind.kind"));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let own = |name: &str| name.to_owned().into();
    (!kind.is_empty()).then(|| Gvk { group: own(group), version: own(version), kind: own(kind) })
}

/// Checks the expressions of a policy against `kinds`: those of its [`resources`], as far as they are known, and that of
/// its parameters.
pub fn check(policy: &Value, kinds: &[Arc<Kind>]) -> Vec<ExpressionWarning> {
    let wanted = resources(policy);
    let mut objects: Vec<&Arc<Kind>> = kinds.iter().filter(|kind| wanted.contains(&kind.gvr())).collect();
    objects.truncate(MAX_KINDS);
    objects.sort_by_key(|kind| (kind.group.clone(), kind.version.clone(), kind.kind.clone()));
    objects.dedup_by_key(|kind| kind.gvk());
    let params = param_kind(policy).map(|gvk| {
        let known = kinds.iter().find(|kind| kind.gvk() == gvk);
        known.map_or_else(Decl::dynamic, |kind| of_kind(kind))
    });
    let variables: Vec<(&str, &str)> =
        list(policy, "spec.variables").iter().map(|v| (text(v, "name"), text(v, "expression"))).collect();
    let scopes: Vec<(Gvk, Scope)> = objects
        .into_iter()
        .map(|kind| {
            let scope = Scope::over(&of_kind(kind), params.as_ref()).with_authorizer();
            (kind.gvk(), scope.with_variables(variables.iter().copied()).0)
        })
        .collect();
    let mut warnings = Vec::new();
    for (i, validation) in list(policy, "spec.validations").iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = text(validation, field);
            let faults: Vec<String> = match expression {
                "" => Vec::new(),
                _ => scopes.iter().filter_map(|(gvk, scope)| fault(gvk, scope, expression)).collect(),
            };
            if !faults.is_empty() {
                let field = format!("spec.validations[{i}].{field}");
                warnings.push(ExpressionWarning { field, warning: faults.join("\n") });
            }
        }
    }
    warnings
}

fn fault(gvk: &Gvk, scope: &Scope, expression: &str) -> Option<String> {
    let why = scope.any(expression).program.err()?;
    Some(format!("{}/{}, Kind={}: {why}\n", gvk.group, gvk.version, gvk.kind))
}

/// The declaration of a kind's objects.
fn of_kind(kind: &Kind) -> Decl {
    let declared = match &kind.custom {
        Some(custom) => crd::declaration(&custom.node),
        None => schema::builtin(&kind.definition).and_then(|schema| declare(&schema, &mut Vec::new())),
    };
    declared.unwrap_or_else(Decl::dynamic)
}

/// The declaration of a built-in type; `None` for what has no type, which expressions cannot name. `open` are the
/// definitions around it: inside of itself a type may be anything.
fn declare(schema: &Arc<Schema>, open: &mut Vec<String>) -> Option<Decl> {
    let schema = schema::resolve(schema);
    match &schema.shape {
        Shape::Any | Shape::Ref(_) => None,
        Shape::Scalar(scalar) => Some(Decl::of(match scalar {
            Scalar::String => Type::String,
            Scalar::Bytes => Type::Bytes,
            Scalar::Int32 | Scalar::Int64 => Type::Int,
            Scalar::Number => Type::Double,
            Scalar::Boolean => Type::Bool,
            Scalar::IntOrString | Scalar::Quantity => Type::Dyn,
            Scalar::Time | Scalar::MicroTime => Type::Timestamp,
        })),
        Shape::List(items) => Some(Decl::list(declare(&items.items, open)?)),
        Shape::Map { values, .. } => Some(Decl::map(declare(values, open)?)),
        Shape::Object(fields) => {
            let name = fields.definition.to_string();
            if !name.is_empty() && open.contains(&name) {
                return Some(Decl::dynamic());
            }
            open.push(name);
            let declared: BTreeMap<String, Field> = fields
                .properties
                .iter()
                .filter_map(|(name, property)| {
                    let decl = Arc::new(declare(property, open)?);
                    Some((crd::escape(name)?, Field { json: name.to_string(), decl }))
                })
                .collect();
            open.pop();
            let object = Object { name: fields.type_name.to_string(), fields: declared };
            Some(Decl::of(Type::Object(Arc::new(object))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use serde_json::json;

    fn policy(resources: Value, validations: Value) -> Value {
        json!({"spec": {"matchConstraints": {"resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": resources}]}, "validations": validations}})
    }

    fn check_all(policy: &Value, more: &[Arc<Kind>]) -> Vec<(String, String)> {
        let built_in = kinds::all().iter().map(|kind| Arc::new(kind.clone()));
        let kinds: Vec<Arc<Kind>> = built_in.chain(more.iter().cloned()).collect();
        check(policy, &kinds).into_iter().map(|w| (w.field, w.warning)).collect()
    }

    #[test]
    fn an_expression_about_a_field_that_a_kind_does_not_have_is_warned_of() {
        let fine = policy(
            json!(["deployments"]),
            json!([{"expression": "object.spec.replicas > 1",
            "messageExpression": "'wants more than ' + string(object.spec.replicas)"}]),
        );
        assert_eq!(check_all(&fine, &[]), []);
        let wrong = policy(
            json!(["deployments", "replicasets"]),
            json!([
                {"expression": "object.spec.maxReplicas > 1"},
                {"expression": "true", "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas"},
            ]),
        );
        let found = check_all(&wrong, &[]);
        assert_eq!(found[0].0, "spec.validations[0].expression");
        assert_eq!(
            found[0].1,
            "apps/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:12: undefined field 'maxReplicas'\n | \
             object.spec.maxReplicas > 1\n | ...........^\n\n\
             apps/v1, Kind=ReplicaSet: compilation failed: ERROR: <input>:1:12: undefined field 'maxReplicas'\n | \
             object.spec.maxReplicas > 1\n | ...........^\n"
        );
        assert_eq!(found[1].0, "spec.validations[1].messageExpression");
        assert!(
            found[1].1.contains("found no matching overload for '_+_' applied to '(string, int)'"),
            "{}",
            found[1].1
        );
    }

    #[test]
    fn wildcards_and_what_nobody_serves_are_not_checked() {
        let nonsense = json!([{"expression": "object.spec.nothing == 1"}]);
        assert_eq!(check_all(&policy(json!(["*"]), nonsense.clone()), &[]), []);
        assert_eq!(check_all(&policy(json!(["deployments/scale", "gardens"]), nonsense), &[]), []);
    }

    #[test]
    fn custom_kinds_and_variables_are_checked_by_their_schemas() {
        let definition = json!({"spec": {"group": "apps", "scope": "Namespaced", "names": {"plural": "gardens", "kind": "Garden"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                "properties": {"spec": {"type": "object", "properties": {"trees": {"type": "integer"}}}}}}}]}});
        let garden = crd::rows(&definition, false).remove(0).kind;
        let mut policy = policy(json!(["gardens"]), json!([{"expression": "variables.trees == 'three'"}]));
        policy["spec"]["variables"] = json!([{"name": "trees", "expression": "object.spec.trees"}]);
        let found = check_all(&policy, &[garden]);
        assert!(found[0].1.contains("found no matching overload for '_==_' applied to '(int, string)'"), "{found:?}");
    }
}
