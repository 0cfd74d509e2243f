//! Claims and volumes: found, made, protected, grown, taken back.

use crate::sim::{Change, Scenario};
use orch_api::Key;
use serde_json::{Value, json};

const BINDER: &str = "persistentvolume-binder-controller";
const RELEASE: &str = "persistentvolume-release-controller";
const VOLUME_PROTECTION: &str = "persistentvolume-protection-controller";
const CLAIM_PROTECTION: &str = "persistentvolumeclaim-protection-controller";
/// The loops that all claims need.
pub(super) const LOOPS: [&str; 4] = [BINDER, RELEASE, VOLUME_PROTECTION, CLAIM_PROTECTION];

const CLAIM: &str = "v1 PersistentVolumeClaim";

/// The scenarios of volumes.
pub(super) fn all() -> Vec<Scenario> {
    let (data, user) = (Key::new("default", "data"), Key::new("default", "user"));
    let all = vec![
        Scenario::new(
            "volume-made",
            "A claim gets a volume where its first Pod goes; it is deleted while the Pod uses it, and goes after it.",
            &[BINDER, RELEASE, VOLUME_PROTECTION, CLAIM_PROTECTION],
        )
        .with([
            Change::given(local_class()),
            Change::given(claim("data", "local")),
            Change::given(pod("user", json!({"persistentVolumeClaim": {"claimName": "data"}}))),
            Change::delete(8_000, CLAIM, &data, None),
            Change::delete(12_000, "v1 Pod", &user, None),
        ]),
        Scenario::new(
            "volume-found",
            "Of three volumes two claims get two that fit; one claim goes, and its volume keeps what it has.",
            &[BINDER, RELEASE, CLAIM_PROTECTION],
        )
        .with([
            Change::given(volume("small", "1Mi")),
            Change::given(volume("fits", "2Gi")),
            Change::given(claim("data", "by-hand")),
            Change::given(larger(claim("more", "by-hand"))),
            Change::at(4_000, crate::sim::Edit::Put { object: volume("large", "5Gi") }),
            Change::delete(9_000, CLAIM, &data, None),
        ]),
        Scenario::new(
            "volume-scheduled",
            "A claim that waits for a Pod gets one of the volumes that are there.",
            &[BINDER, RELEASE],
        )
        .with([
            Change::given(class("by-hand", "kubernetes.io/no-provisioner")),
            Change::given(volume("fits", "2Gi")),
            Change::given(claim("data", "by-hand")),
            Change::given(pod("user", json!({"persistentVolumeClaim": {"claimName": "data"}}))),
        ]),
        Scenario::new("volume-none", "No volume fits the claims of two Pods, and later one does.", &[BINDER, RELEASE])
            .with([
                Change::given(class("by-hand", "kubernetes.io/no-provisioner")),
                Change::given(volume("small", "1Mi")),
                Change::given(claim("data", "by-hand")),
                Change::given(larger(claim("more", "by-hand"))),
                Change::given(pod("user", json!({"persistentVolumeClaim": {"claimName": "data"}}))),
                Change::given(pod("other", json!({"persistentVolumeClaim": {"claimName": "more"}}))),
                Change::at(9_000, crate::sim::Edit::Put { object: volume("fits", "2Gi") }),
            ]),
        Scenario::new(
            "volume-grown",
            "A claim asks for more, twice.",
            &["persistentvolume-expander-controller", BINDER],
        )
        .with([
            Change::given(local_class()),
            Change::given(claim("data", "local")),
            Change::given(pod("user", json!({"persistentVolumeClaim": {"claimName": "data"}}))),
            Change::patch(8_000, CLAIM, &data, size("2Gi")),
            Change::patch(12_000, CLAIM, &data, size("3Gi")),
        ]),
        Scenario::new(
            "volume-ephemeral",
            "A Pod has a volume of its own, which goes with it.",
            &["ephemeral-volume-controller", BINDER, CLAIM_PROTECTION, "garbage-collector-controller"],
        )
        .with([
            Change::given(local_class()),
            Change::given(pod("user", json!({"ephemeral": {"volumeClaimTemplate": {"spec": spec("local")}}}))),
            Change::delete(9_000, "v1 Pod", &user, None),
        ]),
        Scenario::new(
            "volume-attributes",
            "A class of attributes is deleted while a claim names it.",
            &["volumeattributesclass-protection-controller"],
        )
        .with([
            Change::given(json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
                "metadata": {"name": "gold"}, "driverName": "example.com", "parameters": {"iops": "1"}})),
            Change::given(with_attributes(claim("data", "by-hand"))),
            Change::delete(3_000, "storage.k8s.io/v1 VolumeAttributesClass", &Key::cluster("gold"), None),
            Change::delete(6_000, CLAIM, &data, None),
        ]),
    ];
    all.into_iter().map(|scenario| scenario.beside(&LOOPS)).collect()
}

pub(super) fn local_class() -> Value {
    class("local", orch_node::provision::PROVISIONER)
}

fn class(name: &str, provisioner: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true})
}

fn claim(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"},
        "spec": spec(class)})
}

pub(super) fn spec(class: &str) -> Value {
    json!({"accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "1Gi"}}})
}

fn larger(mut claim: Value) -> Value {
    claim["spec"]["resources"]["requests"]["storage"] = json!("3Gi");
    claim
}

fn with_attributes(mut claim: Value) -> Value {
    claim["spec"]["volumeAttributesClassName"] = json!("gold");
    claim
}

fn size(storage: &str) -> Value {
    json!({"spec": {"resources": {"requests": {"storage": storage}}}})
}

fn volume(name: &str, size: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand",
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": format!("/data/{name}")}}})
}

fn pod(name: &str, source: Value) -> Value {
    let mut volume = source;
    volume["name"] = json!("data");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {
        "terminationGracePeriodSeconds": 5, "volumes": [volume],
        "containers": [{"name": "main", "image": "app:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}})
}
