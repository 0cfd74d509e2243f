//! Every pod tolerates an unready or unreachable node for five minutes, unless it says otherwise
//! (`plugin/pkg/admission/defaulttolerationseconds`).

use super::{Operation, Plugin, Review, View};
use crate::core::json;
use async_trait::async_trait;
use orch_api::StatusError;
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const SECONDS: i64 = 300;

/// The plugin `DefaultTolerationSeconds`.
pub struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, review: &Review<'_>) -> bool {
        review.is("", "pods") && matches!(review.operation, Operation::Create | Operation::Update)
    }

    async fn mutate(&self, _: &View<'_>, _: &Review<'_>, pod: &mut Value) -> Result<bool, StatusError> {
        let missing: Vec<Value> =
            [NOT_READY, UNREACHABLE].into_iter().filter(|key| !tolerates(pod, key)).map(toleration).collect();
        let changed = !missing.is_empty();
        if changed {
            json::list_mut(pod, &["spec"], "tolerations").extend(missing);
        }
        Ok(changed)
    }
}

fn tolerates(pod: &Value, key: &str) -> bool {
    json::items(pod, &["spec", "tolerations"]).iter().any(|t| {
        let (own, effect) = (json::text(t, &["key"]), json::text(t, &["effect"]));
        (own.is_empty() || own == key) && (effect.is_empty() || effect == "NoExecute")
    })
}

fn toleration(key: &str) -> Value {
    json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS})
}
