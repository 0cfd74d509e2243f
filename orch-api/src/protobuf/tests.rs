use super::*;
use serde_json::{Value, json};

fn round_trip(object: &Value) -> Value {
    decode(&encode(object).unwrap().unwrap()).unwrap()
}

#[test]
fn a_pod_survives_the_wire() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "creationTimestamp": "2026-07-01T12:00:00Z", "labels": {"app": "web"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {".": {}}}}]},
        "spec": {
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
                "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 0}}],
            "terminationGracePeriodSeconds": 0,
        },
    });
    assert_eq!(round_trip(&pod), pod);
}
