//! `metadata.generation`: which kinds count their changes, and what counts as one.

use super::{is_built_in, meta_int};
use crate::{kind::Kind, validation::same, value::Object};
use serde_json::Value;

/// What a kind counts as a change of what is wanted.
enum Counted {
    /// Nothing: the kind has no generation.
    Nothing,
    /// The first generation is the last.
    OnlyCreation,
    /// A change of these fields.
    Fields(&'static [&'static str]),
    /// A change of the spec or the annotations.
    SpecAndAnnotations,
    /// A change of the labels or of anything outside of the metadata.
    ContentAndLabels,
    /// A change of anything but metadata: custom kinds without a status of their own.
    Content,
    /// A change of anything but metadata and status, as for custom kinds.
    AllButStatus,
}

/// Whether a new object starts with generation 1.
pub(super) fn starts_at_one(kind: &Kind) -> bool {
    !matches!(counted(kind), Counted::Nothing) && kind.kind != "CSIDriver"
}

/// Whether the update makes a new generation.
pub(super) fn has_changed(kind: &Kind, new: &Object, old: &Object) -> bool {
    let differs = |field: &str| !same(new.get(field), old.get(field));
    let content = |skip: &[&str]| {
        let fields = new.keys().chain(old.keys());
        fields.into_iter().any(|f| !skip.contains(&f.as_str()) && differs(f))
    };
    match counted(kind) {
        Counted::Nothing | Counted::OnlyCreation => false,
        Counted::Fields(fields) => fields.iter().any(|field| differs(field)),
        Counted::SpecAndAnnotations => differs("spec") || meta_differs(new, old, "annotations"),
        Counted::ContentAndLabels => content(&["apiVersion", "kind", "metadata"]) || meta_differs(new, old, "labels"),
        Counted::Content => content(&["apiVersion", "kind", "metadata"]),
        Counted::AllButStatus => content(&["apiVersion", "kind", "metadata", "status"]),
    }
}

fn counted(kind: &Kind) -> Counted {
    match (&*kind.group, &*kind.kind) {
        ("apps", "Deployment") => Counted::SpecAndAnnotations,
        ("discovery.k8s.io", "EndpointSlice") => Counted::ContentAndLabels,
        ("scheduling.k8s.io", "PriorityClass") => Counted::OnlyCreation,
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            Counted::Fields(&["webhooks"])
        }
        ("", "PodTemplate") => Counted::Fields(&["template"]),
        ("", "Pod" | "ReplicationController")
        | ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", _)
        | ("policy", "PodDisruptionBudget")
        | ("networking.k8s.io", "Ingress" | "IngressClass" | "NetworkPolicy")
        | ("resource.k8s.io", "DeviceClass" | "DeviceTaintRule" | "ResourceSlice")
        | ("flowcontrol.apiserver.k8s.io", _)
        | ("storage.k8s.io", "CSIDriver")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("admissionregistration.k8s.io", _) => Counted::Fields(&["spec"]),
        _ if is_built_in(kind) => Counted::Nothing,
        _ if kind.subresource("status").is_some() => Counted::AllButStatus,
        _ => Counted::Content,
    }
}

fn meta_differs(new: &Object, old: &Object, field: &str) -> bool {
    let of = |object: &Object| object.get("metadata").and_then(|m| m.get(field)).cloned();
    !same(of(new).as_ref(), of(old).as_ref())
}

/// The generation of an object; 0 where the kind has none.
pub(super) fn of(object: &Object) -> Value {
    meta_int(object, "generation").into()
}
