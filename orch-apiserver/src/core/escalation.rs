//! Roles and bindings give nobody more than their author has (`pkg/registry/rbac/*/policybased`).

use super::{Call, Core, json};
use crate::authz::{Attributes, Rule, confirm_no_escalation};
use orch_api::{Gvr, Key, StatusError};
use serde_json::Value;

const GROUP: &str = "rbac.authorization.k8s.io";

impl Core {
    /// Refuses the write of a role or binding that would grant what its author does not have. He may all the
    /// same with the verb `escalate` on the role, or `bind` on the role that he binds. A write that leaves
    /// the grant as it was is not asked.
    pub(crate) async fn check_escalation(
        &self,
        call: &Call,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        if &*call.kind.group != GROUP || call.subresource.is_some() {
            return Ok(());
        }
        match &*call.kind.plural {
            "roles" | "clusterroles" => self.check_role(call, object, old),
            "rolebindings" | "clusterrolebindings" => self.check_binding(call, object, old).await,
            _ => Ok(()),
        }
    }

    fn check_role(&self, call: &Call, role: &Value, old: Option<&Value>) -> Result<(), StatusError> {
        let same = |field: &str| old.is_some_and(|old| old.get(field) == role.get(field));
        let escalate = Attributes::resource(&call.user, "escalate", GROUP, &call.kind.plural)
            .within(&call.key.namespace)
            .named(&call.key.name);
        let confirm = |rules: &[Rule]| {
            confirm_no_escalation(&*self.authorizer, &call.user, &call.key.namespace, rules, Some(&escalate))
        };
        let refuse =
            |why: &dyn std::fmt::Display| Err(StatusError::forbidden(&call.kind.gvr(), json::meta(role, "name"), why));
        if !same("rules")
            && let Err(denied) = confirm(&rules_of(role))
        {
            return refuse(&denied);
        }
        let aggregates = role.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if aggregates && !same("aggregationRule") && confirm(&everything()).is_err() {
            return refuse(&"must have cluster-admin privileges to use the aggregationRule");
        }
        Ok(())
    }

    async fn check_binding(&self, call: &Call, binding: &Value, old: Option<&Value>) -> Result<(), StatusError> {
        let same = |field: &str| old.is_some_and(|old| old.get(field) == binding.get(field));
        if same("roleRef") && same("subjects") {
            return Ok(());
        }
        let (kind, name) = (json::text(binding, &["roleRef", "kind"]), json::text(binding, &["roleRef", "name"]));
        let (resource, namespace) = match kind {
            "ClusterRole" => ("clusterroles", ""),
            _ => ("roles", &*call.key.namespace),
        };
        let bind = Attributes::resource(&call.user, "bind", GROUP, resource).within(&call.key.namespace).named(name);
        // Whoever may bind the role may bind one that does not exist yet.
        if self.allow(&bind).is_ok() {
            return Ok(());
        }
        let gvr = Gvr::of(GROUP, "v1", resource);
        let role = match self.registry.find(&gvr) {
            Some(roles) => self.storage.find(&roles, &Key::new(namespace, name)).await?,
            None => None,
        };
        let refuse = |why: &dyn std::fmt::Display| {
            Err(StatusError::forbidden(&call.kind.gvr(), json::meta(binding, "name"), why))
        };
        let Some(role) = role else { return Err(StatusError::not_found(&gvr, name)) };
        let rules = rules_of(&role.parse()?);
        match confirm_no_escalation(&*self.authorizer, &call.user, &call.key.namespace, &rules, None) {
            Ok(()) => Ok(()),
            Err(denied) => refuse(&denied),
        }
    }
}

fn rules_of(role: &Value) -> Vec<Rule> {
    let rules = json::items(role, &["rules"]).iter();
    rules.filter_map(|rule| serde_json::from_value(rule.clone()).ok()).collect()
}

/// What a role without limits grants.
fn everything() -> Vec<Rule> {
    crate::authz::Rules::everything().rules
}
