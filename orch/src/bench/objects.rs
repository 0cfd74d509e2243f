//! The objects that are worked with.

use serde_json::{Value, json};

/// A scheduler that does not exist: pods of it stay as they were created.
pub(super) const NOBODY: &str = "nobody";
/// The label of everything that the benchmark creates outside of its namespace.
pub(super) const LABEL: &str = "orch-bench";

/// Makes the object of a name.
pub(super) type Make = dyn Fn(&str) -> Value + Sync;

pub(super) fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": "value"}})
}

pub(super) fn pod(name: &str, scheduler: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "bench", "tier": "web"}}, "spec": spec(scheduler)})
}

fn spec(scheduler: &str) -> Value {
    json!({
        "schedulerName": scheduler,
        "containers": [{
            "name": "main", "image": "registry.example/bench:1.0",
            "ports": [{"containerPort": 8080}],
            "env": [{"name": "MODE", "value": "bench"}],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        }],
    })
}

/// What a node agent would have written of a running pod.
pub(super) fn running() -> Value {
    let at = "2026-01-01T00:00:00Z";
    let condition = |name: &str| json!({"type": name, "status": "True", "lastTransitionTime": at});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    json!({"status": {
        "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}], "startTime": at,
        "conditions": conditions,
        "containerStatuses": [{
            "name": "main", "image": "registry.example/bench:1.0", "imageID": "registry.example/bench@sha256:0123456789abcdef",
            "containerID": "containerd://0123456789abcdef0123456789abcdef", "ready": true, "started": true, "restartCount": 0,
            "state": {"running": {"startedAt": at}},
        }],
    }})
}

pub(super) fn node(name: &str) -> Value {
    let room = json!({"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "100Gi"});
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""});
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {LABEL: "true", "kubernetes.io/hostname": name}},
        "status": {"capacity": room, "allocatable": room, "conditions": [ready]}})
}

pub(super) fn deployment(name: &str, replicas: u32, scheduler: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec(scheduler)}}})
}

pub(super) fn daemon_set(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec("default-scheduler")}}})
}

/// A Job whose pods end as soon as they run, where nodes are simulated.
pub(super) fn job(name: &str, completions: usize, parallelism: usize) -> Value {
    let mut spec = spec("default-scheduler");
    spec["restartPolicy"] = "Never".into();
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"completions": completions, "parallelism": parallelism,
            "template": {"metadata": {"annotations": {"simulated.orch.dev/run": "0"}}, "spec": spec}}})
}
