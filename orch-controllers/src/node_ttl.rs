//! `ttl-controller`: tells nodes for how long they may keep secrets and config maps: the longer, the more nodes there are
//! (`pkg/controller/ttl`).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, Target, View, Watches};
use orch_store::{client::Patch, informer::Delta};
use serde_json::json;
use std::sync::Arc;

/// Annotates nodes with a time to live.
pub struct NodeTtl;

/// A node and how many there are.
pub struct World {
    node: Arc<Node>,
    nodes: usize,
}

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// From so many nodes, to so many, so many seconds. The steps overlap, so that a cluster at an edge does not go to and fro.
const STEPS: [(usize, usize, u32); 5] =
    [(0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, usize::MAX, 300)];

impl Controller for NodeTtl {
    const NAME: &'static str = "ttl-controller";
    const ABOUT: &'static str = "Annotates Nodes with how long they may keep Secrets and ConfigMaps.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Node>()
            .only(|delta| annotation(&delta.old) != annotation(&delta.new) || delta.old.is_none())
            .maps::<Node>(all_at_an_edge)
            .only(|delta| delta.old.is_none() || delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        Some(World { node: view.get(key)?, nodes: view.list_stored(&Node::gvr(), "").len() })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let annotations = world.node.metadata.annotations.as_ref();
        let current = annotations.and_then(|a| a.get(ANNOTATION)).and_then(|text| text.parse().ok());
        let wanted = seconds(world.nodes, current);
        if current != Some(wanted) && !world.node.is_deleting() {
            let patch = json!({"metadata": {"annotations": {ANNOTATION: wanted.to_string()}}});
            plan.patch(Target::of(&*world.node), None, Patch::Merge(patch));
        }
        plan
    }
}

/// What a node has stays while it fits the number of nodes.
fn seconds(nodes: usize, current: Option<u32>) -> u32 {
    let fits = |(least, most, _): &&(usize, usize, u32)| (*least..=*most).contains(&nodes);
    let kept = STEPS.iter().filter(fits).find(|(_, _, seconds)| Some(*seconds) == current);
    kept.or_else(|| STEPS.iter().find(fits)).map_or(0, |(_, _, seconds)| *seconds)
}

fn annotation(stored: &Option<Arc<orch_store::Stored>>) -> Option<String> {
    let node = stored.as_ref()?.decode::<Node>().ok()?;
    node.metadata.annotations.as_ref()?.get(ANNOTATION).cloned()
}

/// All nodes, when one more or less is a step.
fn all_at_an_edge(_: &Delta, view: &View<'_>) -> Vec<Key> {
    let all = view.list_stored(&Node::gvr(), "");
    let count = all.len();
    let is_edge = STEPS.iter().any(|(least, most, _)| count + 1 == *least || count == most.saturating_add(1));
    if is_edge { all.iter().map(|node| node.key.clone()).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    #[test]
    fn more_nodes_keep_things_longer_and_edges_do_not_flap() {
        for (nodes, current, expected) in [
            (1, None, 0),
            (100, Some(0), 0),
            (101, Some(0), 15),
            (95, Some(15), 15),
            (89, Some(15), 0),
            (501, Some(15), 30),
            (5000, None, 300),
            (1850, Some(60), 60),
        ] {
            assert_eq!(seconds(nodes, current), expected, "{nodes} {current:?}");
        }
    }

    #[track_caller]
    fn check(annotation: Option<&str>, expect: Expect) {
        let mut node = Node { metadata: fixtures::meta("", "n1", ""), ..Node::default() };
        if let Some(text) = annotation {
            node = fixtures::annotated(node, ANNOTATION, text);
        }
        let objects = Objects::new(&NodeTtl.watches()).with(&node);
        let world = NodeTtl.observe(&node.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&NodeTtl.plan(&world, now()), &expect);
    }

    #[test]
    fn a_node_without_a_number_gets_one() {
        check(
            None,
            expect![[r#"
            patch Node n1 {"metadata":{"annotations":{"node.alpha.kubernetes.io/ttl":"0"}}}
        "#]],
        );
        check(
            Some("soon"),
            expect![[r#"
            patch Node n1 {"metadata":{"annotations":{"node.alpha.kubernetes.io/ttl":"0"}}}
        "#]],
        );
        check(Some("0"), expect![[""]]);
    }
}
