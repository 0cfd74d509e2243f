//! The Node object as kubelet writes it (`kubelet_node_status.go`, `nodestatus/setters.go`). Pure.

use super::AgentConfig;
use crate::status::time;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node as NodeObject, NodeCondition, NodeStatus};
use orch_runtime::node::container::{Image, RuntimeInfo};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Labels that every node has.
pub(super) fn labels(config: &AgentConfig) -> BTreeMap<String, String> {
    let architecture = &config.machine.system.architecture;
    let mut labels = config.labels.clone();
    for (key, value) in [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", architecture),
    ] {
        labels.insert(key.into(), value.into());
    }
    labels
}

/// The object to register with.
pub(super) fn registration(config: &AgentConfig) -> Value {
    let taints: Vec<_> = config
        .taints
        .iter()
        .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": config.name, "labels": labels(config),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}},
        "spec": if taints.is_empty() { json!({}) } else { json!({"taints": taints}) },
    })
}

/// The status of the node. Heartbeat times are `now`; transition times move when a condition changes. Resources that others
/// advertise there stay (`pkg/kubelet/nodestatus/setters.go`, `MachineInfo`).
pub(super) fn status(
    config: &AgentConfig,
    info: &RuntimeInfo,
    images: &[Image],
    old: &NodeObject,
    now: Timestamp,
) -> NodeStatus {
    let system = &config.machine.system;
    let mut addresses: Vec<_> =
        config.addresses.iter().map(|ip| json!({"type": "InternalIP", "address": ip.to_string()})).collect();
    addresses.push(json!({"type": "Hostname", "address": config.name}));
    let images: Vec<_> = images
        .iter()
        .take(50)
        .map(|i| json!({"names": i.digests.iter().chain(&i.tags).collect::<Vec<_>>(), "sizeBytes": i.size_bytes}))
        .collect();
    let (mut capacity, mut allocatable) = (config.machine.capacity(), config.machine.allocatable());
    let advertised = old.status.iter().flat_map(|status| status.capacity.iter().flatten());
    for (name, amount) in advertised.filter(|(name, _)| name.contains('/')) {
        capacity.insert(name.clone(), amount.0.clone());
        allocatable.insert(name.clone(), amount.0.clone());
    }
    let mut status = json!({
        "capacity": capacity, "allocatable": allocatable,
        "addresses": addresses, "images": images,
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.port.unwrap_or(0)}},
        "nodeInfo": {
            "machineID": system.machine_id, "systemUUID": system.system_uuid, "bootID": system.boot_id,
            "kernelVersion": system.kernel_version, "osImage": system.os_image, "operatingSystem": "linux",
            "architecture": system.architecture,
            "containerRuntimeVersion": format!("{}://{}", info.name, info.version),
            "kubeletVersion": "v1.37.0", "kubeProxyVersion": "",
        },
    });
    status["conditions"] = json!(conditions(old, now));
    serde_json::from_value(status).unwrap_or_default()
}

fn conditions(old: &NodeObject, now: Timestamp) -> Vec<NodeCondition> {
    let own = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ];
    let before: Vec<_> = old.status.iter().flat_map(|s| s.conditions.iter().flatten()).collect();
    let mut all: Vec<_> = own
        .into_iter()
        .map(|(kind, value, reason, message)| {
            let same = before.iter().find(|c| c.type_ == kind && c.status == value);
            NodeCondition {
                type_: kind.into(),
                status: value.into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: Some(time(now)),
                last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or_else(|| Some(time(now))),
            }
        })
        .collect();
    all.extend(before.into_iter().filter(|c| own.iter().all(|o| o.0 != c.type_)).cloned());
    all
}

/// Whether two statuses differ in more than their heartbeats.
pub(super) fn differs(a: &NodeStatus, b: &NodeStatus) -> bool {
    let still = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    still(a) != still(b)
}
