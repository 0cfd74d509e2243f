//! Whether a node is heard of (`tryUpdateNodeHealth`).

use super::{NodeLifecycle, World, conditions};
use crate::common::time::until;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::time::Duration;

/// The conditions that only the node itself can know.
const OF_THE_NODE: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The status of the Ready condition.
pub(super) fn ready_status(node: &Node) -> Option<&str> {
    conditions(node).get("Ready").map(|c| c.status.as_str())
}

/// How long to go on listening; `None` when the node is silent for too long.
pub(super) fn listen(config: &NodeLifecycle, world: &World, now: Timestamp) -> Option<Duration> {
    let ready = conditions(&world.node).get("Ready").copied();
    let reported = ready.is_some();
    let created = world.node.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let beat = ready.and_then(|c| c.last_heartbeat_time.as_ref()).map(|t| t.0);
    let heard = [Some(config.since), created, beat, world.renewed].into_iter().flatten().max().unwrap_or(now);
    let grace = if reported { config.grace } else { config.startup_grace };
    let grace = SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX);
    let end = heard.saturating_add(grace).unwrap_or(Timestamp::MAX);
    (end > now).then(|| until(end, now))
}

/// Marks what only the node could know as unknown.
pub(super) fn lose(node: &mut Node, now: Timestamp) {
    let all = node.status.get_or_insert_default().conditions.get_or_insert_default();
    for kind in OF_THE_NODE {
        match all.iter_mut().find(|c| c.type_ == kind) {
            Some(condition) if condition.status != "Unknown" => {
                condition.status = "Unknown".into();
                condition.reason = Some("NodeStatusUnknown".into());
                condition.message = Some("Kubelet stopped posting node status.".into());
                condition.last_transition_time = Some(Time(now));
            }
            Some(_) => {}
            None => all.push(NodeCondition {
                type_: kind.into(),
                status: "Unknown".into(),
                reason: Some("NodeStatusNeverUpdated".into()),
                message: Some("Kubelet never posted node status.".into()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
}
