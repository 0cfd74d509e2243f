//! Kinds for the tests of defaults, strategies and validation.

use crate::{
    Gvk,
    kind::{Kind, Scope, Subresource, Verbs},
};
use std::borrow::Cow;

/// The row of a built-in kind, as far as these rooms look at it.
pub(crate) fn kind(name: &'static str) -> Kind {
    let (group, version) = match name {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "ControllerRevision" => ("apps", "v1"),
        "Job" | "CronJob" => ("batch", "v1"),
        "HorizontalPodAutoscaler" => ("autoscaling", "v2"),
        "EndpointSlice" => ("discovery.k8s.io", "v1"),
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" => ("rbac.authorization.k8s.io", "v1"),
        "PodDisruptionBudget" => ("policy", "v1"),
        "PriorityClass" => ("scheduling.k8s.io", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "NetworkPolicy" | "Ingress" | "IngressClass" => ("networking.k8s.io", "v1"),
        "StorageClass" | "CSIDriver" => ("storage.k8s.io", "v1"),
        "ValidatingWebhookConfiguration" => ("admissionregistration.k8s.io", "v1"),
        "Widget" => ("example.com", "v1"),
        _ => ("", "v1"),
    };
    let is_cluster = matches!(
        name,
        "Namespace"
            | "Node"
            | "PersistentVolume"
            | "PriorityClass"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "StorageClass"
            | "CSIDriver"
            | "IngressClass"
            | "ValidatingWebhookConfiguration"
    );
    let is_plain = matches!(
        name,
        "ConfigMap"
            | "Secret"
            | "ServiceAccount"
            | "Endpoints"
            | "EndpointSlice"
            | "Event"
            | "Lease"
            | "NetworkPolicy"
            | "Role"
            | "ClusterRole"
            | "RoleBinding"
            | "ClusterRoleBinding"
            | "PriorityClass"
            | "StorageClass"
            | "IngressClass"
            | "LimitRange"
            | "PodTemplate"
            | "ValidatingWebhookConfiguration"
    );
    let status =
        Subresource { name: "status".into(), kind: Gvk::of(group, version, name), verbs: &["get", "patch", "update"] };
    Kind {
        group: group.into(),
        version: version.into(),
        kind: name.into(),
        plural: format!("{}s", name.to_lowercase()).into(),
        singular: name.to_lowercase().into(),
        scope: if is_cluster { Scope::Cluster } else { Scope::Namespaced },
        short_names: Cow::Borrowed(&[]),
        categories: Cow::Borrowed(&[]),
        verbs: Verbs::All,
        subresources: if is_plain { Cow::Borrowed(&[]) } else { Cow::Owned(vec![status]) },
        columns: Cow::Borrowed(&[]),
        selectable: Cow::Borrowed(&[]),
        definition: "".into(),
    }
}
