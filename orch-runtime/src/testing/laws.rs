//! The laws of every controller, checked by walking a list of loops over a list of worlds.

use super::Objects;
use crate::{
    ControlLoop, Deletes, Plan, View,
    controller::Decide,
    plan::{Action, Target},
};
use jiff::Timestamp;
use orch_api::{Gvr, Key};
use std::{collections::HashSet, sync::Arc};

/// After so many rounds a controller that still writes will never end.
const ROUNDS: usize = 60;

/// Every loop has a name of its own and says what it does.
///
/// # Panics
///
/// If the law is broken.
pub fn names_are_unique(loops: &[Arc<dyn ControlLoop>]) {
    let mut seen = HashSet::new();
    for each in loops {
        let description = each.describe();
        assert!(seen.insert(description.name), "two loops are called {}", description.name);
        assert!(!description.about.is_empty(), "{} does not say what it does", description.name);
    }
}

/// Checks every law for every controller of the list, on every root object of the world.
///
/// # Panics
///
/// If a law is broken; the message names the controller, the key and the plan.
pub fn check_all(loops: &[Arc<dyn ControlLoop>], world: &Objects, now: Timestamp) {
    for each in loops {
        let name = each.describe().name;
        let Some(decider) = each.decider() else { continue };
        let world = world.clone().indexed(&decider.watches());
        let Some(root) = decider.root() else { continue };
        for stored in world.list(&root, "") {
            check(name, decider, &root, &stored.key, world.clone(), now);
        }
    }
}

/// Checks every law for one key: deterministic, converging, careful with what is being deleted and with
/// what belongs to others.
///
/// # Panics
///
/// If a law is broken.
pub fn check(name: &str, decider: &dyn Decide, root: &Gvr, key: &Key, mut world: Objects, now: Timestamp) {
    let mut last = Plan::default();
    for _ in 0..ROUNDS {
        let Some(plan) = decider.decide(key, &View::fixed(&world), now) else { return };
        let again = decider.decide(key, &View::fixed(&world), now);
        assert_eq!(Some(&plan), again.as_ref(), "{name}: the plan for {key} is not deterministic");
        creates_nothing_for_the_dying(name, root, key, &world, &plan);
        deletes_only_its_own(name, decider.deletes(), root, key, &world, &plan);
        if plan.writes_nothing() {
            return;
        }
        world.apply(&plan, now);
        last = plan;
    }
    panic!("{name}: {key} does not converge; the last plan was\n{last}");
}

fn creates_nothing_for_the_dying(name: &str, root: &Gvr, key: &Key, world: &Objects, plan: &Plan) {
    let dying = world.get(root, key).is_none_or(|s| s.meta.deletion_timestamp.is_some());
    let creates = plan.actions.iter().any(|a| matches!(a, Action::Create { .. }));
    assert!(!(dying && creates), "{name}: creates something for {key}, which is being deleted:\n{plan}");
}

fn deletes_only_its_own(name: &str, deletes: Deletes, root: &Gvr, key: &Key, world: &Objects, plan: &Plan) {
    let Some(root) = world.get(root, key) else { return };
    let is_owned = |target: &Target| {
        let stored = world.get(&target.gvr, &target.key);
        stored.is_none_or(|s| s.meta.owner_references.iter().any(|o| o.controller && o.uid == root.meta.uid))
    };
    for action in &plan.actions {
        let allowed = match (deletes, action) {
            (Deletes::Owned, Action::Delete { target, .. }) => is_owned(target),
            (Deletes::Owned, Action::DeleteAll { .. }) => false,
            (Deletes::Contents, Action::Delete { target, .. }) => target.key.namespace == key.name,
            (Deletes::Contents, Action::DeleteAll { namespace, .. }) => *namespace == key.name,
            _ => true,
        };
        assert!(allowed, "{name}: for {key} deletes what is not its own: {action}");
    }
}
