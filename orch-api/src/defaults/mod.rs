//! Defaulting: what the API server writes into fields that an object leaves open
//! (`pkg/apis/*/v1/defaults.go`, `zz_generated.defaults.go`).
//!
//! Defaulting twice is defaulting once, and it never fails: a part of the wrong shape is left to validation.

mod admission;
mod apps;
mod autoscaling;
mod batch;
mod container;
mod core;
mod pod;
mod rbac;
mod service;

mod small;
mod storage;
#[cfg(test)]
mod tests;
mod volume;

use crate::kind::Kind;
use crate::value::Object;
use serde_json::Value;

/// Fills the defaults of a kind into an object of that kind. Kinds without defaults are left as they are.
pub fn apply(kind: &Kind, object: &mut Value) {
    if let Some(custom) = &kind.custom {
        return custom.default(object);
    }
    if let (Some(defaulter), Some(object)) = (defaulter(&kind.group, &kind.version, &kind.kind), object.as_object_mut())
    {
        defaulter(object);
    }
}

fn defaulter(group: &str, version: &str, kind: &str) -> Option<fn(&mut Object)> {
    let defaulter: fn(&mut Object) = match (group, version, kind) {
        ("", "v1", "Pod") => pod::pod,
        ("", "v1", "PodTemplate") => pod::template_of_object,
        ("", "v1", "ReplicationController") => apps::replication_controller,
        ("", "v1", "Service") => service::service,
        ("", "v1", "Endpoints") => service::endpoints,
        ("", "v1", "Namespace") => core::namespace,
        ("", "v1", "Node") => core::node,
        ("", "v1", "Secret") => core::secret,
        ("", "v1", "LimitRange") => core::limit_range,
        ("", "v1", "PersistentVolume") => storage::persistent_volume,
        ("", "v1", "PersistentVolumeClaim") => storage::persistent_volume_claim,
        ("apps", "v1", "Deployment") => apps::deployment,
        ("apps", "v1", "ReplicaSet") => apps::replica_set,
        ("apps", "v1", "StatefulSet") => apps::stateful_set,
        ("apps", "v1", "DaemonSet") => apps::daemon_set,
        ("batch", "v1", "Job") => batch::job,
        ("batch", "v1", "CronJob") => batch::cron_job,
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => autoscaling::v1,
        ("autoscaling", "v2", "HorizontalPodAutoscaler") => autoscaling::v2,
        ("discovery.k8s.io", "v1", "EndpointSlice") => service::endpoint_slice,
        ("networking.k8s.io", "v1", "NetworkPolicy") => small::network_policy,
        ("networking.k8s.io", _, "IngressClass") => small::ingress_class,
        ("rbac.authorization.k8s.io", _, "RoleBinding" | "ClusterRoleBinding") => rbac::binding,
        ("scheduling.k8s.io", _, "PriorityClass") => small::priority_class,
        ("storage.k8s.io", _, "StorageClass") => storage::storage_class,
        ("storage.k8s.io", _, "CSIDriver") => storage::csi_driver,
        ("flowcontrol.apiserver.k8s.io", _, "FlowSchema") => small::flow_schema,
        ("flowcontrol.apiserver.k8s.io", _, "PriorityLevelConfiguration") => small::priority_level,
        ("resource.k8s.io", _, "ResourceClaim") => small::resource_claim,
        ("resource.k8s.io", _, "ResourceClaimTemplate") => small::resource_claim_template,
        ("admissionregistration.k8s.io", _, "ValidatingWebhookConfiguration") => admission::validating_webhooks,
        ("admissionregistration.k8s.io", _, "MutatingWebhookConfiguration") => admission::mutating_webhooks,
        ("admissionregistration.k8s.io", _, "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            admission::policy
        }
        ("admissionregistration.k8s.io", _, "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding") => {
            admission::policy_binding
        }
        ("apiregistration.k8s.io", _, "APIService") => small::api_service,
        ("apiextensions.k8s.io", _, "CustomResourceDefinition") => small::custom_resource_definition,
        _ => return None,
    };
    Some(defaulter)
}
