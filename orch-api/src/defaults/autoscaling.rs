//! HorizontalPodAutoscaler (`pkg/apis/autoscaling/v1`, `v2`).

use crate::value::{Object, copy_missing, ensure, fill};
use serde_json::{Value, json};

/// `autoscaling/v1`
pub(super) fn v1(object: &mut Object) {
    if let Some(spec) = ensure(object, "spec") {
        fill(spec, "minReplicas", 1);
    }
}

/// `autoscaling/v2`
pub(super) fn v2(object: &mut Object) {
    let Some(spec) = ensure(object, "spec") else { return };
    fill(spec, "minReplicas", 1);
    if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        spec.insert("metrics".into(), cpu);
    }
    let Some(behavior) = spec.get_mut("behavior").and_then(Value::as_object_mut) else { return };
    let everything = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let up = json!({
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}, everything],
    });
    let down = json!({"selectPolicy": "Max", "policies": [everything]});
    for (field, rules) in [("scaleUp", up), ("scaleDown", down)] {
        if let (Some(given), Some(rules)) = (ensure(behavior, field), rules.as_object()) {
            copy_missing(rules, given);
        }
    }
}
