//! `taint-eviction-controller`: deletes pods from nodes whose `NoExecute` taints they do not tolerate, at once
//! or when their toleration ends (`pkg/controller/tainteviction`).

use crate::{
    common::{
        facts::PodFacts,
        time::{plus_seconds, until},
    },
    node_lifecycle::{BY_NODE, node_index},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, Pod, PodCondition, Taint, Toleration},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::{Gvr, Key, Object};
use orch_runtime::{
    Controller, Deletes, Error, Plan, View, Watches,
    plan::Notice,
    view::{Facts, Known},
};
use orch_store::{Stored, informer::Delta, stored::Parts};
use parking_lot::Mutex;
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};

/// Deletes pods from nodes whose `NoExecute` taints they do not tolerate.
#[derive(Default)]
pub struct TaintEviction {
    /// Pods whose time runs.
    waiting: Mutex<BTreeSet<Key>>,
}

/// A pod and the taints that it stands under.
pub struct World {
    pod: Known<PodFacts>,
    taints: Arc<NoExecuteTaints>,
    /// Whether its time ran until now.
    waited: bool,
}

impl Controller for TaintEviction {
    const NAME: &'static str = "taint-eviction-controller";
    const ABOUT: &'static str = "Deletes Pods from Nodes whose NoExecute taints they do not tolerate (any more).";
    const DELETES: Deletes = Deletes::Others("pods that do not tolerate their node");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Pod>()
            .only(|delta| delta.old.is_none() || delta.new.as_ref().is_none_or(|new| changed(delta, new)))
            .index(BY_NODE, node_index)
            .maps::<Node>(pods_of_node)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let waited = self.waiting.lock().contains(key);
        let pod = view.known::<PodFacts>(key).filter(|pod| !pod.stored.meta.is_deleting());
        let found = pod.and_then(|pod| {
            let node = view.known::<NoExecuteTaints>(&Key::cluster(&*pod.facts.node))?;
            (waited || !node.facts.0.is_empty()).then_some(World { pod, taints: node.facts, waited })
        });
        if found.is_none() && waited {
            self.waiting.lock().remove(key);
        }
        found
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match evict_at(&world.taints.0, &world.pod, now) {
            None if world.waited => {
                if let Ok(pod) = world.pod.stored.decode::<Pod>() {
                    let message = format!("Cancelling deletion of Pod {}", world.pod.stored.key);
                    plan.event(Notice::normal(&*pod, "TaintManagerEviction", message));
                }
            }
            None => {}
            Some(at) if at > now => plan.requeue_within(until(at, now)),
            Some(_) => evict(&world.pod, now, &mut plan),
        }
        plan
    }

    fn remember(&self, world: &World, now: Timestamp, error: Option<&Error>) {
        let key = &world.pod.stored.key;
        match evict_at(&world.taints.0, &world.pod, now) {
            Some(at) if at > now => drop(self.waiting.lock().insert(key.clone())),
            _ if error.is_none() => drop(self.waiting.lock().remove(key)),
            _ => {}
        }
    }
}

/// When the pod has to go: now if it does not tolerate all taints; else when the first toleration ends, counted from when
/// the pod and the taint met; `None` if it may stay. Of several tolerations of one taint the first one counts
/// (`GetMatchingTolerations`).
fn evict_at(taints: &[Taint], pod: &Known<PodFacts>, now: Timestamp) -> Option<Timestamp> {
    let came = pod.facts.bound_at.or(pod.stored.meta.creation_timestamp);
    let mut earliest: Option<Timestamp> = None;
    for taint in taints {
        let Some(toleration) = pod.facts.tolerations.iter().find(|t| tolerates(t, taint)) else { return Some(now) };
        let met = taint.time_added.as_ref().map(|t| t.0).into_iter().chain(came).max().unwrap_or(now);
        let end = toleration.toleration_seconds.map(|seconds| plus_seconds(met, seconds.max(0)));
        earliest = earliest.into_iter().chain(end).min();
    }
    earliest
}

/// Whether a toleration that speaks of `NoExecute` is about this taint.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref() {
        Some("Exists") => key.is_empty() || key == taint.key,
        None | Some("" | "Equal") => key == taint.key && value == taint.value.as_deref().unwrap_or_default(),
        _ => false,
    }
}

/// Says why, and deletes the pod.
fn evict(pod: &Known<PodFacts>, now: Timestamp, plan: &mut Plan) {
    let Ok(old) = pod.stored.decode::<Pod>() else { return };
    let mut new = (*old).clone();
    let conditions = new.status.get_or_insert_default().conditions.get_or_insert_default();
    if !conditions.iter().any(|c| c.type_ == "DisruptionTarget" && c.status == "True") {
        conditions.retain(|c| c.type_ != "DisruptionTarget");
        conditions.push(PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            reason: Some("DeletionByTaintManager".into()),
            message: Some("Taint manager: deleting due to NoExecute taint".into()),
            last_transition_time: Some(Time(now)),
            ..PodCondition::default()
        });
    }
    plan.update_status(&*old, &new);
    plan.delete(&*old);
    let message = format!("Marking for deletion Pod {}", pod.stored.key);
    plan.event(Notice::normal(&*old, "TaintManagerEviction", message));
}

/// The taints of a node that evict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoExecuteTaints(pub Vec<Taint>);

impl Facts for NoExecuteTaints {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct LiteSpec {
            taints: Vec<Taint>,
        }
        let mut taints = Parts::<LiteSpec>::of(stored).spec.taints;
        taints.retain(|t| t.effect == "NoExecute");
        Self(taints)
    }
}

fn changed(delta: &Delta, new: &Stored) -> bool {
    let now = new.memo(PodFacts::of);
    delta
        .old
        .as_ref()
        .map(|old| old.memo(PodFacts::of))
        .is_none_or(|old| (&old.node, &old.tolerations) != (&now.node, &now.tolerations))
}

fn pods_of_node(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let taints = |stored: &Option<Arc<Stored>>| stored.as_deref().map(NoExecuteTaints::of).unwrap_or_default();
    let Some(node) = delta.new.as_ref().filter(|_| taints(&delta.old) != taints(&delta.new)) else {
        return Vec::new();
    };
    view.by_index_stored(&Pod::gvr(), BY_NODE, &node.key.name).iter().map(|pod| pod.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, minutes_ago, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::api::core::v1::NodeSpec;
    use orch_runtime::testing::Objects;

    const KEY: &str = "node.kubernetes.io/unreachable";

    /// A pod with these tolerations (operator, key, seconds) on a node that was tainted a minute ago.
    #[track_caller]
    fn check(tolerations: &[(&str, &str, Option<i64>)], expect: Expect) {
        check_pod(fixtures::pod("a", "web"), tolerations, &expect);
    }

    #[track_caller]
    fn check_pod(pod: Pod, tolerations: &[(&str, &str, Option<i64>)], expect: &Expect) {
        let mut pod = fixtures::on_node(pod, "n1");
        let toleration = |(operator, key, seconds): &(&str, &str, Option<i64>)| Toleration {
            operator: Some((*operator).into()),
            key: Some((*key).into()),
            toleration_seconds: *seconds,
            ..Toleration::default()
        };
        pod.spec.as_mut().unwrap().tolerations = Some(tolerations.iter().map(toleration).collect());
        let added = Some(Time(minutes_ago(1)));
        let taint = Taint { key: KEY.into(), effect: "NoExecute".into(), time_added: added, value: None };
        let spec = NodeSpec { taints: Some(vec![taint]), ..NodeSpec::default() };
        let node = Node { metadata: fixtures::meta("", "n1", ""), spec: Some(spec), status: None };
        let objects = Objects::new(&TaintEviction::default().watches()).with(&pod).with(&node);
        let controller = TaintEviction::default();
        let world = controller.observe(&pod.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&controller.plan(&world, now()), expect);
    }

    #[test]
    fn a_pod_that_tolerates_nothing_goes_at_once() {
        check(
            &[],
            expect![[r#"
            status Pod default/a conditions[DisruptionTarget].message="Taint manager: deleting due to NoExecute taint" conditions[DisruptionTarget].reason=DeletionByTaintManager conditions[DisruptionTarget].status=True
            delete Pod default/a
            event Normal TaintManagerEviction: Marking for deletion Pod default/a
        "#]],
        );
    }

    #[test]
    fn a_pod_that_tolerates_everything_stays() {
        check(&[("Exists", "", None)], expect![[""]]);
    }

    #[test]
    fn a_toleration_for_a_time_counts_from_the_taint() {
        check(
            &[("Exists", KEY, Some(300))],
            expect![[r#"
            requeue after 240s
        "#]],
        );
    }

    #[test]
    fn a_toleration_that_has_ended_does_not_help() {
        check(
            &[("Exists", KEY, Some(30))],
            expect![[r#"
            status Pod default/a conditions[DisruptionTarget].message="Taint manager: deleting due to NoExecute taint" conditions[DisruptionTarget].reason=DeletionByTaintManager conditions[DisruptionTarget].status=True
            delete Pod default/a
            event Normal TaintManagerEviction: Marking for deletion Pod default/a
        "#]],
        );
    }

    #[test]
    fn the_first_toleration_of_a_taint_counts() {
        check(
            &[("Exists", KEY, Some(300)), ("Exists", "", Some(90)), ("Exists", KEY, None)],
            expect![[r#"
            requeue after 240s
        "#]],
        );
        check(&[("Exists", KEY, None), ("Exists", "", Some(30))], expect![[""]]);
    }

    #[test]
    fn a_toleration_counts_from_when_the_pod_came_to_a_node_that_was_tainted_before() {
        let mut bound = fixtures::pod("a", "web");
        bound.status.get_or_insert_default().conditions = Some(vec![PodCondition {
            type_: "PodScheduled".into(),
            status: "True".into(),
            last_transition_time: Some(Time(now())),
            ..PodCondition::default()
        }]);
        let from_now = expect![[r#"
            requeue after 30s
        "#]];
        check_pod(bound, &[("Exists", KEY, Some(30))], &from_now);
        let mut made = fixtures::pod("a", "web");
        made.metadata.creation_timestamp = Some(Time(now()));
        check_pod(made, &[("Exists", KEY, Some(30))], &from_now);
    }

    #[test]
    fn a_pod_whose_time_ran_is_told_when_it_may_stay() {
        let controller = TaintEviction::default();
        let mut pod = fixtures::on_node(fixtures::pod("a", "web"), "n1");
        let for_a_while = Toleration { toleration_seconds: Some(300), ..Toleration::default() };
        pod.spec.as_mut().unwrap().tolerations =
            Some(vec![Toleration { operator: Some("Exists".into()), ..for_a_while }]);
        let taint = Taint { key: KEY.into(), effect: "NoExecute".into(), time_added: Some(Time(now())), value: None };
        let node = |taints: Vec<Taint>| Node {
            metadata: fixtures::meta("", "n1", ""),
            spec: Some(NodeSpec { taints: Some(taints), ..NodeSpec::default() }),
            status: None,
        };
        let mut objects = Objects::new(&controller.watches()).with(&pod).with(&node(vec![taint]));
        let world = controller.observe(&pod.key(), &View::fixed(&objects)).unwrap();
        assert!(controller.plan(&world, now()).is_empty());
        controller.remember(&world, now(), None);
        objects.insert(&node(Vec::new()));
        let world = controller.observe(&pod.key(), &View::fixed(&objects)).unwrap();
        expect_plan(
            &controller.plan(&world, now()),
            &expect![[r#"
            event Normal TaintManagerEviction: Cancelling deletion of Pod default/a
        "#]],
        );
        controller.remember(&world, now(), None);
        assert!(controller.observe(&pod.key(), &View::fixed(&objects)).is_none());
    }
}
