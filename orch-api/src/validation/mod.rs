//! Validation: what the API server refuses, with Kubernetes' own paths and words
//! (`pkg/apis/*/validation`, `apimachinery/pkg/api/validation`).
//!
//! Every function collects all faults of an object that has been defaulted and prepared; none means valid.
//! A validator walks the JSON and costs nothing but the walk while nothing is wrong.

mod addresses;
pub(crate) mod at;
mod autoscaling;
mod batch;
mod certificates;
mod cluster;
mod config;
mod cron_job;
mod endpoints;
#[cfg(test)]
pub(crate) mod fixtures;
mod indexes;
mod job_policy;
mod job_status;
mod meta;
mod migration;
pub(crate) mod names;
mod networking;
mod pod;
mod pod_certificates;
mod quota;
mod rbac;
mod requests;
mod selector;
mod service;
mod small;
mod storage;
#[cfg(test)]
mod tests;
mod webhooks;
mod workloads;

pub(crate) use at::same;
pub use requests::{binding, delete_options, eviction, scale, write_options};

use crate::{
    FieldErrors, crd,
    kind::{Kind, Scope},
};
use at::{At, Run};
use serde_json::{Value, json};

/// How a kind validates. `update` and `status` run beside the rules of the metadata.
struct Rules {
    name: meta::NameRule,
    create: fn(At<'_>),
    update: Judge,
    status: Judge,
}

/// What the rules need to know of the cluster whose objects they judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// Whether pods have loopback addresses, so that endpoints may: where they are plain processes of one machine.
    /// Kubernetes never allows it.
    pub pods_on_loopback: bool,
}

/// Judges a new object.
pub fn create(kind: &Kind, object: &Value, setting: Setting) -> FieldErrors {
    let run = Run::new(setting);
    let at = run.root(object);
    let rules = rules(kind);
    meta::created(kind, rules.name, at.at("metadata"));
    (rules.create)(at);
    let mut faults = run.finish();
    if let Some(custom) = &kind.custom {
        faults.extend(custom.created(object));
    }
    faults
}

/// Judges an update of an object. The second list is for warnings: faults that were there before and are let pass.
pub fn update(kind: &Kind, new: &Value, old: &Value, setting: Setting) -> (FieldErrors, Vec<String>) {
    let mut faults = changed(new, old, setting, rules(kind).update);
    let (own, warnings) = kind.custom.as_ref().map(|custom| custom.updated(new, old)).unwrap_or_default();
    faults.extend(own);
    (faults, warnings)
}

/// Judges an update of the status of an object; the answer is that of [`update`].
pub fn status_update(kind: &Kind, new: &Value, old: &Value) -> (FieldErrors, Vec<String>) {
    let mut faults = changed(new, old, Setting::default(), rules(kind).status);
    let (own, warnings) = kind.custom.as_ref().map(|custom| custom.status_updated(new, old)).unwrap_or_default();
    faults.extend(own);
    (faults, warnings)
}

/// Judges what a service says of its addresses and their families: what must hold before any is allocated
/// (`ValidateServiceClusterIPsRelatedFields`).
pub fn service_addresses(service: &Value) -> FieldErrors {
    judge(service, |at| service::cluster_ips(at.at("spec")))
}

/// Judges the update of a pod's ephemeral containers.
pub fn ephemeral_containers_update(new: &Value, old: &Value) -> FieldErrors {
    changed(new, old, Setting::default(), pod::ephemeral_containers_updated)
}

/// Judges the resize of a pod.
pub fn resize(new: &Value, old: &Value) -> FieldErrors {
    changed(new, old, Setting::default(), pod::resized)
}

/// Judges the metadata of an object that is part of another. It needs no name.
pub(crate) fn embedded_metadata(path: &crate::Path, scope: Scope, metadata: &Value) -> FieldErrors {
    let mut metadata = metadata.clone();
    if let Some(map) = metadata.as_object_mut()
        && map.get("name").is_none_or(|name| name == "")
    {
        map.insert("name".into(), "fakename".into());
    }
    let run = Run::default();
    meta::within(scope, names::path_segment, run.root(&metadata));
    let mut faults = run.finish();
    for fault in &mut faults {
        fault.path = match fault.path.as_str() {
            "" => path.clone(),
            below => path.child(below),
        };
    }
    faults
}

/// Judges the labels and annotations of an object's metadata, as a conversion webhook gives them back.
pub fn labels_and_annotations(metadata: &Value) -> FieldErrors {
    // Upstream's path for annotations is in the singular here.
    let object = json!({"metadata": {"labels": metadata.get("labels"), "annotation": metadata.get("annotations")}});
    judge(&object, |at| {
        let metadata = at.at("metadata");
        selector::labels(metadata.at("labels"));
        meta::annotations(metadata.at("annotation"));
    })
}

/// Judges the update of a namespace's finalizers through `finalize`.
pub fn finalize(new: &Value, old: &Value) -> FieldErrors {
    changed(new, old, Setting::default(), cluster::namespace_finalized)
}

fn changed(new: &Value, old: &Value, setting: Setting, judge: for<'a> fn(At<'a>, At<'a>)) -> FieldErrors {
    let run = Run::new(setting);
    let (new, old) = (run.root(new), run.root(old));
    meta::updated(new.at("metadata"), old.at("metadata"));
    judge(new, old);
    run.finish()
}

fn judge(object: &Value, judge: impl Fn(At<'_>)) -> FieldErrors {
    let run = Run::default();
    judge(run.root(object));
    run.finish()
}

/// The rules of a kind without rules for its status.
fn plain(name: meta::NameRule, create: fn(At<'_>), update: Judge) -> Rules {
    Rules { name, create, update, status: |_, _| () }
}

/// What judges a change.
type Judge = for<'a> fn(At<'a>, At<'a>);

fn rules(kind: &Kind) -> Rules {
    let base = plain(names::dns_subdomain, |_| (), |_, _| ());
    if kind.custom.is_some() {
        return base;
    }
    let with = |create: fn(At<'_>), update: Judge| plain(names::dns_subdomain, create, update);
    match (&*kind.group, &*kind.kind) {
        ("", kind) => core_rules(kind, base),
        ("apps", kind) => apps_rules(kind, base),
        ("admissionregistration.k8s.io", kind) => admission_rules(kind),
        ("batch", "Job") => Rules { status: job_status::updated, ..with(batch::job, batch::job_updated) },
        ("batch", "CronJob") => with(cron_job::created, cron_job::updated),
        ("autoscaling", _) => {
            Rules { status: autoscaling::status_updated, ..with(autoscaling::created, autoscaling::updated) }
        }
        ("discovery.k8s.io", "EndpointSlice") => with(endpoints::slice, endpoints::slice_updated),
        ("networking.k8s.io", "NetworkPolicy") => {
            with(networking::network_policy, |new, _| networking::network_policy(new))
        }
        ("networking.k8s.io", "Ingress") => with(networking::ingress, networking::ingress_updated),
        ("networking.k8s.io", "IngressClass") => with(networking::ingress_class, networking::ingress_class_updated),
        ("networking.k8s.io", "IPAddress") => {
            plain(addresses::address_name, addresses::address, addresses::address_updated)
        }
        ("networking.k8s.io", "ServiceCIDR") => with(addresses::service_cidr, addresses::service_cidr_updated),
        ("policy", "PodDisruptionBudget") => Rules {
            status: small::disruption_budget_status,
            ..with(small::disruption_budget, |new, _| small::disruption_budget(new))
        },
        ("rbac.authorization.k8s.io", kind) => rbac_rules(kind),
        ("scheduling.k8s.io", "PriorityClass") => with(small::priority_class, small::priority_class_updated),
        ("coordination.k8s.io", "Lease") => with(small::lease, |new, _| small::lease(new)),
        ("node.k8s.io", "RuntimeClass") => with(small::runtime_class, small::runtime_class_updated),
        ("certificates.k8s.io", "CertificateSigningRequest") => {
            with(small::signing_request, |new, _| small::signing_request(new))
        }
        ("certificates.k8s.io", "ClusterTrustBundle") => {
            plain(names::path_segment, certificates::trust_bundle, certificates::trust_bundle_updated)
        }
        ("certificates.k8s.io", "PodCertificateRequest") => Rules {
            status: pod_certificates::status_updated,
            ..with(pod_certificates::created, pod_certificates::updated)
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => with(definition, definition_updated),
        ("events.k8s.io", "Event") => with(small::event, small::event_updated),
        ("storagemigration.k8s.io", "StorageVersionMigration") => {
            Rules { status: migration::status_updated, ..with(migration::created, migration::updated) }
        }
        ("storage.k8s.io", "StorageClass") => with(storage::class_created, storage::class_updated),
        ("storage.k8s.io", "CSIDriver") => with(small::csi_driver, small::csi_driver_updated),
        ("storage.k8s.io", "CSINode") => with(storage::csi_node, storage::csi_node_updated),
        ("storage.k8s.io", "CSIStorageCapacity") => with(storage::capacity_created, storage::capacity_updated),
        ("storage.k8s.io", "VolumeAttributesClass") => with(storage::attributes_created, storage::attributes_updated),
        ("storage.k8s.io", "VolumeAttachment") => with(small::volume_attachment, small::volume_attachment_updated),
        _ => base,
    }
}

fn definition(object: At<'_>) {
    object.value().map(crd::created).into_iter().flatten().for_each(|fault| object.report(fault));
}

fn definition_updated<'a>(new: At<'a>, old: At<'a>) {
    let faults = new.value().zip(old.value()).map(|(new, old)| crd::updated(new, old));
    faults.into_iter().flatten().for_each(|fault| new.report(fault));
}

fn core_rules(kind: &str, base: Rules) -> Rules {
    let with = |create: fn(At<'_>), update: Judge| plain(names::dns_subdomain, create, update);
    match kind {
        "Pod" => Rules { status: pod::status_updated, ..with(pod::created, pod::updated) },
        "PodTemplate" => {
            with(|object| pod::template(object.at("template")), |object, _| pod::template(object.at("template")))
        }
        "ReplicationController" => Rules {
            status: workloads::status_updated,
            ..with(workloads::replication_controller, |new, _| workloads::replication_controller(new))
        },
        "Service" => Rules {
            name: names::dns_1035_label,
            status: service::status_updated,
            ..with(service::created, service::updated)
        },
        "Endpoints" => with(endpoints::endpoints, endpoints::endpoints_updated),
        "ConfigMap" => with(config::config_map, config::config_map_updated),
        "Secret" => with(config::secret, config::secret_updated),
        "Namespace" => {
            Rules { name: names::dns_label, status: cluster::namespace_status, ..with(cluster::namespace, |_, _| ()) }
        }
        "Node" => Rules { status: cluster::node_updated, ..with(cluster::node, cluster::node_updated) },
        "ResourceQuota" => with(quota::quota, quota::quota_updated),
        "LimitRange" => with(quota::limit_range, |new, _| quota::limit_range(new)),
        "PersistentVolume" => with(storage::volume_created, storage::volume_updated),
        "PersistentVolumeClaim" => with(storage::claim_created, storage::claim_updated),
        "Event" => plain(names::path_segment, small::core_event, |new, _| small::core_event(new)),
        _ => base,
    }
}

fn apps_rules(kind: &str, base: Rules) -> Rules {
    let (name, create, update): (meta::NameRule, fn(At<'_>), Judge) = match kind {
        "Deployment" => (names::dns_subdomain, workloads::deployment, workloads::deployment_updated),
        "ReplicaSet" => (names::dns_subdomain, workloads::replica_set, workloads::replica_set_updated),
        "DaemonSet" => (names::dns_subdomain, workloads::daemon_set, workloads::daemon_set_updated),
        "StatefulSet" => (names::dns_label, workloads::stateful_set, workloads::stateful_set_updated),
        "ControllerRevision" => (names::dns_subdomain, workloads::revision, workloads::revision_updated),
        _ => return base,
    };
    Rules { name, create, update, status: workloads::status_updated }
}

fn admission_rules(kind: &str) -> Rules {
    let (create, update): (fn(At<'_>), Judge) = match kind {
        "ValidatingAdmissionPolicy" => (webhooks::validating_policy, |new, _| webhooks::validating_policy(new)),
        "MutatingAdmissionPolicy" => (webhooks::mutating_policy, |new, _| webhooks::mutating_policy(new)),
        "ValidatingAdmissionPolicyBinding" => {
            (webhooks::validating_binding, |new, _| webhooks::validating_binding(new))
        }
        "MutatingAdmissionPolicyBinding" => (webhooks::policy_binding, |new, _| webhooks::policy_binding(new)),
        _ => (webhooks::configuration, |new, _| webhooks::configuration(new)),
    };
    plain(names::dns_subdomain, create, update)
}

fn rbac_rules(kind: &str) -> Rules {
    let (create, update): (fn(At<'_>), Judge) = match kind {
        "Role" => (rbac::role, |new, _| rbac::role(new)),
        "ClusterRole" => (rbac::cluster_role, |new, _| rbac::cluster_role(new)),
        "RoleBinding" => (rbac::role_binding, rbac::role_binding_updated),
        _ => (rbac::cluster_role_binding, rbac::cluster_role_binding_updated),
    };
    plain(names::path_segment, create, update)
}
