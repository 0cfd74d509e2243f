//! What a kind does with an object on its way in and out: fields that belong to the server, the generation,
//! grace on deletion, warnings (`pkg/registry/*/*/strategy.go`, `apiserver/pkg/registry/rest`).
//!
//! Everything is a function of the objects alone. Who asks (a CertificateSigningRequest's user) and what time it is
//! (a volume's `lastPhaseTransitionTime`) is the server's to write.

mod claim;
mod crd;
mod daemon;
mod generation;
mod grace;
mod job;
mod meta;
mod pod;
mod qos;
mod service;
#[cfg(test)]
mod tests;
mod warnings;

pub use grace::{effective_grace, graceful_delete};
pub use qos::{QosClass, qos_class};
pub use warnings::warnings;

use crate::{
    kind::Kind,
    value::{self, Object},
};
use serde_json::{Map, Value, json};

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They stay and lose their owner.
    Orphan,
    /// They are deleted after the owner.
    Background,
    /// They are deleted before the owner.
    Foreground,
}

/// Makes a new object ready for validation: drops what a client may not say, writes what the server always says.
/// `metadata.name` and `metadata.uid` must have been filled (a Job's selector is its UID).
pub fn prepare_create(kind: &Kind, object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    meta::created(object);
    if kind.subresource("status").is_some() && !keeps_status(kind) {
        match is_built_in(kind) {
            true => drop(object.insert("status".into(), initial_status(kind))),
            false => drop(object.remove("status")),
        }
    }
    if generation::starts_at_one(kind) {
        set_meta(object, "generation", json!(1));
    }
    match id(kind) {
        ("", "Pod") => pod::created(object),
        ("", "Namespace") => namespace_created(object),
        ("", "PersistentVolumeClaim") => claim::normalize(object, None),
        ("apps", "DaemonSet") => daemon::created(object),
        ("batch", "Job") => job::created(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::store_version(object),
        _ => {}
    }
}

/// Makes an update ready for validation: status, generation and the metadata of the server come from `old`.
pub fn prepare_update(kind: &Kind, new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    meta::updated(new, old);
    if kind.subresource("status").is_some() {
        take(new, old, "status");
    }
    match id(kind) {
        ("", "Namespace") => take_part(new, old, "spec", "finalizers"),
        ("", "PersistentVolumeClaim") => claim::normalize(new, Some(old)),
        ("", "Service") => service::updated(new, old),
        ("apps", "DaemonSet") => daemon::updated(new, old),
        ("", "Secret") if value::text(new, "type").is_empty() => take(new, old, "type"),
        ("certificates.k8s.io", "CertificateSigningRequest") => take(new, old, "spec"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::store_version(new),
        _ => {}
    }
    bump(kind, new, old);
}

/// Counts a change of what is wanted.
fn bump(kind: &Kind, new: &mut Object, old: &Object) {
    if generation::has_changed(kind, new, old) {
        let next = meta_int(old, "generation") + 1;
        set_meta(new, "generation", json!(next));
    }
}

/// Makes an update of the status subresource ready for validation: everything but the status, and the parts of the
/// metadata that the kind lets its controllers write, comes from `old`.
pub fn prepare_status_update(kind: &Kind, new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    meta::updated(new, old);
    let is_fixed = |field: &str| !matches!(field, "apiVersion" | "kind" | "metadata" | "status");
    new.retain(|field, _| !is_fixed(field) || old.contains_key(field));
    old.keys().filter(|field| is_fixed(field)).for_each(|field| take(new, old, field));
    meta::status_updated(kind, new, old);
    if id(kind) == ("", "Pod") {
        pod::status_updated(new, old);
    }
}

/// Makes an update of a pod's ephemeral containers ready for validation: everything else comes from `old`.
pub fn prepare_ephemeral_containers_update(kind: &Kind, new: &mut Value, old: &Value) {
    part_of_pod(kind, new, old, pod::only_ephemeral_containers);
}

/// Makes a resize of a pod ready for validation: everything but resources and resize policies comes from `old`.
pub fn prepare_resize(kind: &Kind, new: &mut Value, old: &Value) {
    part_of_pod(kind, new, old, pod::only_resources);
}

fn part_of_pod(kind: &Kind, new: &mut Value, old: &Value, keep: fn(&mut Object, &Object)) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    meta::updated(new, old);
    meta::reset(new, old);
    take(new, old, "status");
    keep(new, old);
    bump(kind, new, old);
}

/// Makes an update of a namespace through `finalize` ready for validation: the status comes from `old`.
pub fn prepare_finalize(new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    meta::updated(new, old);
    take(new, old, "status");
}

/// What happens to dependents when a deletion does not say. `None` means that the kind has no dependents.
pub fn default_propagation(kind: &Kind) -> Option<Propagation> {
    match (&*kind.group, &*kind.version, &*kind.kind) {
        ("" | "events.k8s.io", _, "Event") => None,
        ("", "v1", "ReplicationController") | ("batch", "v1", "Job") => Some(Propagation::Orphan),
        _ => Some(Propagation::Background),
    }
}

/// Whether an update without a resource version replaces whatever is stored.
pub fn allows_unconditional_update(kind: &Kind) -> bool {
    match id(kind) {
        ("certificates.k8s.io", "PodCertificateRequest" | "ClusterTrustBundle")
        | ("node.k8s.io", "RuntimeClass")
        | ("policy", "PodDisruptionBudget")
        | ("storage.k8s.io", "CSIDriver" | "CSIStorageCapacity" | "VolumeAttachment" | "CSINode")
        | ("apiregistration.k8s.io", "APIService")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | (
            "admissionregistration.k8s.io"
            | "coordination.k8s.io"
            | "internal.apiserver.k8s.io"
            | "storagemigration.k8s.io",
            _,
        ) => false,
        _ => is_built_in(kind),
    }
}

/// Whether an update of an object that does not exist creates it.
pub fn allows_create_on_update(kind: &Kind) -> bool {
    matches!(
        id(kind),
        ("" | "events.k8s.io", "Event")
            | ("", "Endpoints" | "LimitRange" | "Service")
            | ("coordination.k8s.io", "Lease" | "LeaseCandidate")
            | ("node.k8s.io", "RuntimeClass")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// Whether the kind is Kubernetes' own and not defined by a CustomResourceDefinition.
pub fn is_built_in(kind: &Kind) -> bool {
    const GROUPS: [&str; 24] = [
        "",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "apps",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "imagepolicy.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    ];
    kind.custom.is_none() && GROUPS.contains(&&*kind.group)
}

/// Group and kind, for matching.
fn id(kind: &Kind) -> (&str, &str) {
    (&kind.group, &kind.kind)
}

/// Kinds whose creator may state the status: a kubelet registers its node whole.
fn keeps_status(kind: &Kind) -> bool {
    id(kind) == ("", "Node")
}

/// The status of a new object. Numbers and flags are those that Go's encoding never leaves out.
fn initial_status(kind: &Kind) -> Value {
    match id(kind) {
        ("", "PersistentVolume" | "PersistentVolumeClaim") => json!({"phase": "Pending"}),
        ("storage.k8s.io", "VolumeAttachment") => json!({"attached": false}),
        ("", "Namespace") => json!({"phase": "Active"}),
        ("", "Service") | ("networking.k8s.io", "Ingress") => json!({"loadBalancer": {}}),
        ("", "ReplicationController") | ("apps", "ReplicaSet") => json!({"replicas": 0}),
        ("apps", "StatefulSet") => json!({"replicas": 0, "availableReplicas": 0}),
        ("apps", "DaemonSet") => json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        }),
        ("policy", "PodDisruptionBudget") => json!({
            "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
        }),
        _ => json!({}),
    }
}

fn namespace_created(object: &mut Object) {
    let Some(spec) = value::ensure(object, "spec") else { return };
    let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
    if finalizers.is_null() {
        *finalizers = json!([]);
    }
    if let Some(list) = finalizers.as_array_mut()
        && !list.iter().any(|f| f == "kubernetes")
    {
        list.push(json!("kubernetes"));
    }
}

/// The field as it is in `old`, absent if it is absent there.
fn take(new: &mut Object, old: &Object, field: &str) {
    match (old.get(field), new.get_mut(field)) {
        // Most writes leave alone what they may not change; to see that costs less than to copy it.
        (Some(value), Some(same)) if *same == *value => {}
        (Some(value), Some(other)) => other.clone_from(value),
        (Some(value), None) => drop(new.insert(field.to_owned(), value.clone())),
        (None, _) => drop(new.remove(field)),
    }
}

/// Like [`take`] for a field of a part of the object.
fn take_part(new: &mut Object, old: &Object, part: &str, field: &str) {
    let empty = Map::new();
    let old = old.get(part).and_then(Value::as_object).unwrap_or(&empty);
    if let Some(new) = value::ensure(new, part) {
        take(new, old, field);
    }
}

fn set_meta(object: &mut Object, field: &str, value: Value) {
    if let Some(meta) = value::ensure(object, "metadata") {
        meta.insert(field.to_owned(), value);
    }
}

fn meta_int(object: &Object, field: &str) -> i64 {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_i64).unwrap_or_default()
}
