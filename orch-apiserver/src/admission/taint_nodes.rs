//! A new node takes no pods before it is known to be ready (`plugin/pkg/admission/nodetaint`).

use super::{Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::StatusError;
use serde_json::{Value, json};

/// The plugin `TaintNodesByCondition`.
pub struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("", "nodes") && review.operation == Operation::Create
    }

    async fn mutate(&self, _: &View<'_>, _: &Review<'_>, node: &mut Value) -> Result<bool, StatusError> {
        let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
        let taints = json::list_mut(node, &["spec"], "taints");
        let same = |t: &Value| t.get("key") == taint.get("key") && t.get("effect") == taint.get("effect");
        let missing = !taints.iter().any(same);
        if missing {
            taints.push(taint);
        }
        Ok(missing)
    }
}
