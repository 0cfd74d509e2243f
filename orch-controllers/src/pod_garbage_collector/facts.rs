//! What is looked at in many nodes and pods.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use orch_api::{Gvr, Object, conditions};
use orch_runtime::view::Facts;
use orch_store::{Stored, stored::Parts};
use serde::{Deserialize, de::IgnoredAny};
use std::sync::Arc;

/// Whether a node is not ready and somebody has said, by a taint, that it is out of service: its pods run no more
/// (KEP-2268).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutOfService(pub bool);

impl Facts for OutOfService {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct LiteSpec {
            taints: Vec<Taint>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct LiteStatus {
            conditions: Vec<NodeCondition>,
        }
        let Parts { spec, status, .. }: Parts<LiteSpec, LiteStatus> = Parts::of(stored);
        let is_tainted = spec.taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service");
        Self(is_tainted && !conditions::is_true(&status.conditions, "Ready"))
    }
}

type LitePod = Parts<IgnoredAny, LitePodStatus>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct LitePodStatus {
    phase: String,
    reason: String,
}

/// Files pods that have ended under `ended`.
pub(super) fn ended_index(stored: &Stored) -> Vec<Arc<str>> {
    if has_ended(stored) { vec![super::ENDED.into()] } else { Vec::new() }
}

pub(super) fn has_ended(stored: &Stored) -> bool {
    fn read(stored: &Stored) -> bool {
        let phase = LitePod::of(stored).status.phase;
        matches!(phase.as_str(), "Succeeded" | "Failed")
    }
    *stored.memo(read)
}

/// The order in which pods that have ended go: evicted ones first, then old ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ended {
    was_not_evicted: bool,
    created: Option<Timestamp>,
    name: Arc<str>,
}

impl Ended {
    pub(super) fn of(stored: &Stored) -> Self {
        let reason = LitePod::of(stored).status.reason;
        Self {
            was_not_evicted: reason != "Evicted",
            created: stored.meta.creation_timestamp,
            name: stored.key.name.clone(),
        }
    }
}
