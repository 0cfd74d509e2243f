//! The pods of a DaemonSet: made for a node, and told apart by revision.

use super::{World, placement::tolerated};
use crate::{
    common::{facts::PodFacts, history::LABEL},
    replica_set::pod_of,
};
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration},
};
use orch_runtime::{Plan, Target, scheduler::Effect, view::Known};
use orch_store::client::Patch;
use serde_json::json;

/// The annotation that counts the templates of a set, from before there were revisions.
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// The label for the same on pods.
const GENERATION_LABEL: &str = "pod-template-generation";

/// A pod of the current revision, for no node yet.
pub(super) fn make(set: &DaemonSet, hash: &str) -> Pod {
    let mut pod = pod_of(set, &set.spec.template);
    let labels = pod.metadata.labels.get_or_insert_default();
    if let Some(generation) = generation(set) {
        labels.insert(GENERATION_LABEL.into(), generation.to_string());
    }
    labels.insert(LABEL.into(), hash.into());
    let spec = pod.spec.get_or_insert_default();
    for (key, effect) in tolerated(spec.host_network == Some(true)) {
        tolerate(spec, key, effect);
    }
    pod
}

/// Makes a pod for a node: the scheduler can bind it to that one only.
pub(super) fn send(pod: &mut Pod, node: &str) {
    let affinity = pod.spec.get_or_insert_default().affinity.get_or_insert_default();
    let term = NodeSelectorTerm {
        match_fields: Some(vec![NodeSelectorRequirement {
            key: "metadata.name".into(),
            operator: "In".into(),
            values: Some(vec![node.into()]),
        }]),
        match_expressions: None,
    };
    affinity.node_affinity.get_or_insert_default().required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
}

/// Whether a pod is of the current template (`IsPodUpdated`).
pub(super) fn is_updated(set: &DaemonSet, pod: &Known<PodFacts>, hash: &str) -> bool {
    let labels = &pod.stored.meta.labels;
    let same = |generation: i64| labels.get(GENERATION_LABEL) == Some(&*generation.to_string());
    labels.get(LABEL) == Some(hash) || generation(set).is_some_and(same)
}

/// The hash of the current revision.
pub(super) fn hash(world: &World) -> &str {
    let labels = world.current.revision.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(LABEL)).map_or("", String::as_str)
}

/// Where a template has several revisions, its pods get the label of the one that is kept, and the others go. Returns
/// whether that is so; then labels say nothing about which pods are old.
pub(super) fn relabel(world: &World, pods: &[&Known<PodFacts>], plan: &mut Plan) -> bool {
    if world.current.duplicates.is_empty() {
        return false;
    }
    let hash = hash(world);
    for pod in pods.iter().filter(|pod| pod.stored.meta.labels.get(LABEL) != Some(hash)) {
        let patch = json!({ "metadata": { "labels": { LABEL: hash } } });
        plan.patch(Target::stored::<Pod>(&pod.stored), None, Patch::Merge(patch));
    }
    world.current.duplicates.iter().for_each(|duplicate| plan.delete(&**duplicate));
    true
}

fn generation(set: &DaemonSet) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(GENERATION)?.parse().ok()
}

/// Adds a toleration of every value, in the place of one for the same key and effect
/// (`AddOrUpdateTolerationInPodSpec`).
fn tolerate(spec: &mut PodSpec, key: &str, effect: Effect) {
    let effect = match effect {
        Effect::NoExecute => "NoExecute",
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
    };
    let toleration = Toleration {
        key: Some(key.into()),
        operator: Some("Exists".into()),
        effect: Some(effect.into()),
        ..Toleration::default()
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    // Those of a template that say the same of another duration give way.
    let same = |own: &Toleration| {
        own.key == toleration.key
            && own.effect == toleration.effect
            && own.operator == toleration.operator
            && own.value.as_deref().unwrap_or_default().is_empty()
    };
    match tolerations.iter_mut().find(|own| same(own)) {
        Some(own) => *own = toleration,
        None => tolerations.push(toleration),
    }
}
