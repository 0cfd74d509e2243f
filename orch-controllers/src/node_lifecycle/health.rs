//! Whether a node is heard of (`tryUpdateNodeHealth`). What it says counts from when it is seen here: its clock may be wrong,
//! and differences between two of its times are right all the same. Ours may be set while a timer runs, so silence is
//! measured on the monotonic clock, which also stands still while the machine sleeps.

use super::{NodeLifecycle, World, conditions};
use crate::common::time::until;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::time::Duration;
use tokio::time::Instant;

/// The conditions that only the node itself can know.
const OF_THE_NODE: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What a node has said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Heard {
    lease: Option<Sign>,
    status: Option<Sign>,
}

/// A sign of life: when it was given by the node's clock, and by ours.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sign {
    given: Timestamp,
    at: Instant,
}

impl Heard {
    /// Takes in when the lease was renewed last, and when the status was posted last.
    pub(super) fn listen(self, lease: Option<Timestamp>, status: Option<Timestamp>, now: Instant) -> Self {
        Self { lease: follow(self.lease, lease, now), status: follow(self.status, status, now) }
    }

    /// How long nothing has been heard; `None` if nothing ever was.
    pub(super) fn silence(self, now: Instant) -> Option<Duration> {
        let last = self.lease.iter().chain(&self.status).map(|sign| sign.at).max()?;
        Some(now.saturating_duration_since(last))
    }
}

/// The last sign. Between two of them passed what the node's clock says, up to now; a clock that was set back has told
/// nothing but that it lives.
fn follow(last: Option<Sign>, given: Option<Timestamp>, now: Instant) -> Option<Sign> {
    let Some(given) = given else { return last };
    let at = match last {
        Some(last) if last.given == given => last.at,
        Some(last) if last.given < given => last.at.checked_add(until(given, last.given)).unwrap_or(now).min(now),
        _ => now,
    };
    Some(Sign { given, at })
}

/// The status of the Ready condition.
pub(super) fn ready_status(node: &Node) -> Option<&str> {
    conditions(node).get("Ready").map(|c| c.status.as_str())
}

/// How long to go on listening; `None` when the node is silent for too long.
pub(super) fn listen(config: &NodeLifecycle, world: &World, now: Timestamp) -> Option<Duration> {
    let reported = ready_status(&world.node).is_some();
    let grace = if reported { config.grace } else { config.startup_grace };
    let silence = world.silence.unwrap_or_else(|| {
        let created = world.node.metadata.creation_timestamp.as_ref().map(|t| t.0);
        until(now, created.into_iter().chain([config.since]).max().unwrap_or(now))
    });
    grace.checked_sub(silence).filter(|rest| !rest.is_zero())
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
