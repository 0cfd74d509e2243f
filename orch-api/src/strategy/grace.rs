//! How long a deleted object may take to go (`pkg/registry/core/pod/strategy.go`, `CheckGracefulDelete`).

use crate::kind::Kind;
use serde_json::Value;

/// Seconds that a deletion grants, or `None` for kinds that go at once. Only pods have grace.
pub fn graceful_delete(kind: &Kind, object: &Value, requested: Option<i64>) -> Option<i64> {
    (kind.group.is_empty() && kind.kind == "Pod").then(|| effective_grace(object, requested))
}

/// Seconds that the deletion of a pod grants: what was requested or the pod's own
/// `terminationGracePeriodSeconds`, nothing where no container can be running, and 1 for negative values.
pub fn effective_grace(pod: &Value, requested: Option<i64>) -> i64 {
    let spec = pod.get("spec");
    let own = || spec.and_then(|s| s.get("terminationGracePeriodSeconds")).and_then(Value::as_i64).unwrap_or_default();
    let node = spec.and_then(|s| s.get("nodeName")).and_then(Value::as_str).unwrap_or_default();
    let phase = pod.get("status").and_then(|s| s.get("phase")).and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() || matches!(phase, "Failed" | "Succeeded") {
        return 0;
    }
    match requested.unwrap_or_else(own) {
        negative if negative < 0 => 1,
        seconds => seconds,
    }
}
