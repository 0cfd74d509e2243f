//! `serviceaccount`: every namespace has a service account `default`
//! (`pkg/controller/serviceaccount/serviceaccounts_controller.go`).

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::informer::Delta;
use std::sync::Arc;

/// Every namespace has a service account `default`.
pub struct ServiceAccountController;

const NAME: &str = "default";

/// A namespace, and whether it has its account.
pub struct World {
    namespace: Arc<Namespace>,
    exists: bool,
}

impl Controller for ServiceAccountController {
    const NAME: &'static str = "serviceaccount";
    const ABOUT: &'static str = "Gives every namespace a ServiceAccount called `default`.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Namespace>().maps::<ServiceAccount>(namespace_of).only(|d| is_gone(d, NAME))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let exists = view.stored(&ServiceAccount::gvr(), &Key::new(key.name.clone(), NAME)).is_some();
        Some(World { namespace: view.get(key)?, exists })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if !world.exists && !is_ending(&world.namespace) {
            let metadata = ObjectMeta {
                name: Some(NAME.into()),
                namespace: world.namespace.metadata.name.clone(),
                ..ObjectMeta::default()
            };
            plan.ensure(&ServiceAccount { metadata, ..ServiceAccount::default() });
        }
        plan
    }
}

/// Whether the namespace takes no new objects.
pub(crate) fn is_ending(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|s| s.phase.as_deref());
    namespace.is_deleting() || phase == Some("Terminating")
}

/// The namespace of the changed object.
pub(crate) fn namespace_of(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    let stored = delta.new.as_ref().or(delta.old.as_ref());
    stored.map(|s| Key::cluster(s.key.namespace.clone())).into_iter().collect()
}

fn is_gone(delta: &Delta, name: &str) -> bool {
    delta.new.is_none() && delta.old.as_ref().is_some_and(|old| &*old.key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(namespace: Namespace, account: bool, expect: Expect) {
        let controller = ServiceAccountController;
        let mut objects = Objects::new(&controller.watches()).with(&namespace);
        if account {
            let metadata = fixtures::meta("demo", "default", "");
            objects.insert(&ServiceAccount { metadata, ..ServiceAccount::default() });
        }
        let world = controller.observe(&namespace.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&controller.plan(&world, now()), &expect);
    }

    #[test]
    fn a_namespace_without_its_account_gets_it() {
        check(
            fixtures::namespace("demo"),
            false,
            expect![[r#"
            create ServiceAccount demo/default
        "#]],
        );
    }

    #[test]
    fn a_namespace_with_its_account_is_left_alone() {
        check(fixtures::namespace("demo"), true, expect![[""]]);
    }

    #[test]
    fn a_namespace_that_is_being_deleted_gets_nothing() {
        check(fixtures::deleting(fixtures::namespace("demo")), false, expect![[""]]);
    }
}
