//! The pods of a node that fell silent count as not ready (`MarkPodsNotReady`).

use super::{NodeFacts, conditions};
use crate::common::facts::PodFacts;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orch_api::Key;
use orch_runtime::{Plan, View, plan::Notice, view::Facts};
use orch_store::{Stored, informer::Delta};
use std::sync::Arc;

/// The index of pods by their node.
pub(crate) const BY_NODE: &str = "node";

/// Files pods under their node.
pub(crate) fn node_index(stored: &Stored) -> Vec<Arc<str>> {
    let node = stored.memo(PodFacts::of).node.clone();
    if node.is_empty() { Vec::new() } else { vec![node.into()] }
}

/// The ready pods of a node.
pub(super) fn ready(node: &Key, view: &View<'_>) -> Vec<Arc<Pod>> {
    let pods = view.known_by_index::<PodFacts>(BY_NODE, &node.name);
    pods.iter().filter(|pod| pod.facts.is_ready()).filter_map(|pod| pod.stored.decode().ok()).collect()
}

/// The node of a pod, if it is silent: of others nobody looks at the pods.
pub(super) fn silent_node_of(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let node = delta.new.as_ref().map(|pod| pod.memo(PodFacts::of).node.clone()).unwrap_or_default();
    let key = Key::cluster(&*node);
    let asked = !node.is_empty() && view.known::<NodeFacts>(&key).is_some_and(|node| node.facts.silent);
    if asked { vec![key] } else { Vec::new() }
}

/// The node cannot tell any more whether these pods are ready, so they count as not.
pub(super) fn mark_not_ready(node: &Node, pods: &[Arc<Pod>], now: Timestamp, plan: &mut Plan) {
    for pod in pods.iter().filter(|pod| !was_told_since(node, pod)) {
        let mut new = (**pod).clone();
        let conditions = new.status.as_mut().and_then(|s| s.conditions.as_mut()).into_iter().flatten();
        for condition in conditions.filter(|c| c.type_ == "Ready" && c.status == "True") {
            condition.status = "False".into();
            condition.last_transition_time = Some(Time(now));
        }
        if plan.update_status(&**pod, &new) {
            plan.event(Notice::warning(&**pod, "NodeNotReady", "Node is not ready"));
        }
    }
}

/// Whether a pod has become ready since its node is silent: then the node lives after all, and to take its word back would go
/// on until it is ready. Upstream marks pods once, when their node falls silent.
fn was_told_since(node: &Node, pod: &Pod) -> bool {
    let silent = conditions(node).get("Ready").and_then(|c| c.last_transition_time.as_ref()).map(|t| t.0);
    let all = pod.status.as_ref().and_then(|s| s.conditions.as_ref()).into_iter().flatten();
    let told = all.filter(|c| c.type_ == "Ready").find_map(|c| c.last_transition_time.as_ref()).map(|t| t.0);
    matches!((silent, told), (Some(silent), Some(told)) if silent <= told)
}
