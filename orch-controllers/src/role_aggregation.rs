//! `clusterrole-aggregation-controller`: the rules of cluster roles that are made of others
//! (`pkg/controller/clusterroleaggregation`).

use crate::common::selector::selects;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::{Stored, informer::Delta};
use serde::{Deserialize, de::IgnoredAny};
use std::sync::Arc;

/// Fills in the rules of roles with an aggregation rule.
pub struct RoleAggregation;

/// A role, and those that its selectors select: once for each selector, by name.
pub struct World {
    role: Arc<ClusterRole>,
    selected: Vec<Arc<ClusterRole>>,
}

impl Controller for RoleAggregation {
    const NAME: &'static str = "clusterrole-aggregation-controller";
    const ABOUT: &'static str = "Fills in the rules of ClusterRoles that are made of others.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<ClusterRole>().maps::<ClusterRole>(aggregated).index(WHOLE, whole_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let role: Arc<ClusterRole> = view.get(key)?;
        let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.clone().unwrap_or_default();
        let all = view.list_stored(&ClusterRole::gvr(), "");
        let mut selected = Vec::new();
        for selector in &selectors {
            let others = all.iter().filter(|other| other.key != *key && selects(selector, &other.meta.labels));
            selected.extend(others.filter_map(|other| other.decode().ok()));
        }
        Some(World { role, selected })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if world.role.is_deleting() {
            return plan;
        }
        let mut rules: Vec<PolicyRule> = Vec::new();
        for rule in world.selected.iter().flat_map(|role| role.rules.iter().flatten()) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        if rules != world.role.rules.clone().unwrap_or_default() {
            plan.update(&*world.role, &ClusterRole { rules: Some(rules), ..(*world.role).clone() });
        }
        plan
    }
}

/// The index of the roles that are made of others, all under one value.
const WHOLE: &str = "aggregated";

fn whole_index(stored: &Stored) -> Vec<Arc<str>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Lite {
        aggregation_rule: Option<IgnoredAny>,
    }
    let is_whole = stored.parse::<Lite>().is_ok_and(|role| role.aggregation_rule.is_some());
    if is_whole { vec![WHOLE.into()] } else { Vec::new() }
}

/// Every role that is made of others: there are few, and which depends on which is not known before it is looked at.
fn aggregated(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let shown = |stored: &Option<Arc<Stored>>| {
        let role = stored.as_ref().and_then(|s| s.decode::<ClusterRole>().ok());
        role.map(|role| (role.metadata.labels.clone(), role.rules.clone()))
    };
    if shown(&delta.old) == shown(&delta.new) {
        return Vec::new();
    }
    view.by_index_stored(&ClusterRole::gvr(), WHOLE, WHOLE).iter().map(|role| role.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;
    use serde_json::{Value, json};

    fn role(name: &str, labels: Value, rules: Value) -> ClusterRole {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "rules": rules})).unwrap()
    }

    #[track_caller]
    fn check(rules: Value, expect: Expect) {
        let mut whole = role("whole", json!({"part": "yes"}), rules);
        let rule =
            json!({"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}, {"matchLabels": {"more": "yes"}}]});
        whole.aggregation_rule = serde_json::from_value(rule).unwrap();
        let read = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
        let objects = Objects::new(&RoleAggregation.watches())
            .with(&whole)
            .with(&role("b", json!({"part": "yes", "more": "yes"}), read.clone()))
            .with(&role("a", json!({"more": "yes"}), json!([{"verbs": ["list"]}])))
            .with(&role("other", json!({}), json!([{"verbs": ["*"]}])));
        let world = RoleAggregation.observe(&whole.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&RoleAggregation.plan(&world, now()), &expect);
    }

    #[test]
    fn rules_of_all_selected_roles_are_taken_once() {
        check(
            json!([]),
            expect![[r#"
            update ClusterRole whole rules=[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]},{"verbs":["list"]}]
        "#]],
        );
        check(
            json!([{"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]}]),
            expect![[r#"
            update ClusterRole whole rules=[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]},{"verbs":["list"]}]
        "#]],
        );
    }

    #[test]
    fn what_is_right_stays() {
        let rules = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, {"verbs": ["list"]}]);
        check(rules, expect![[""]]);
    }
}
