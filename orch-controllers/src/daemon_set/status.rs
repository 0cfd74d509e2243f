//! The status of a DaemonSet.

use super::pass::Pass;
use crate::common::count::{number, unless_still_absent};
use k8s_openapi::api::apps::v1::DaemonSetStatus;

/// The status that nodes and pods give. Of the pods of a node the first counts.
pub(super) fn status(pass: &Pass<'_>) -> DaemonSetStatus {
    let old = pass.set.status.clone().unwrap_or_default();
    let wanted = || pass.nodes.iter().filter(|(_, placement)| placement.runs).map(|(node, _)| *node);
    let first = || wanted().filter_map(|node| pass.by_node.get(node)?.first().copied());
    let desired = number(wanted().count());
    let available = number(first().filter(|pod| pass.is_available(pod)).count());
    let strays = pass.nodes.iter().filter(|(node, placement)| !placement.runs && pass.by_node.contains_key(*node));
    let updated = number(first().filter(|pod| pass.is_updated(pod)).count());
    DaemonSetStatus {
        desired_number_scheduled: desired,
        current_number_scheduled: number(first().count()),
        number_misscheduled: number(strays.count()),
        number_ready: number(first().filter(|pod| pod.facts.is_ready()).count()),
        updated_number_scheduled: unless_still_absent(updated, old.updated_number_scheduled),
        number_available: unless_still_absent(available, old.number_available),
        number_unavailable: unless_still_absent(desired - available, old.number_unavailable),
        observed_generation: pass.set.metadata.generation,
        collision_count: pass.world.current.collisions,
        conditions: old.conditions,
    }
}
