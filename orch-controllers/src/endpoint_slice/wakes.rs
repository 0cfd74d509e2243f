//! Whose slices a change is about.

use super::{MANAGED_BY, MANAGER, SERVICE_NAME, hints};
use crate::{
    common::{
        facts::PodFacts,
        labels::{BY_LABEL, label_index, label_value},
        selector::contains_all,
    },
    node_lifecycle::BY_NODE,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use orch_api::{Key, Object};
use orch_runtime::{View, view::Facts};
use orch_store::{Stored, informer::Delta};
use std::{collections::BTreeSet, sync::Arc};

/// The index of slices by their service.
pub(crate) const BY_SERVICE: &str = "service";

/// The index of services that ask for hints by zone, all under one value.
pub(super) const HINTED: &str = "hinted";

/// Files slices under their service.
pub(crate) fn service_index(stored: &Stored) -> Vec<Arc<str>> {
    let name = stored.meta.labels.get(SERVICE_NAME);
    name.map(|name| format!("{}/{name}", stored.key.namespace).into()).into_iter().collect()
}

/// Files services under the first label that they select.
pub(crate) fn first_of_selector(stored: &Stored) -> Vec<Arc<str>> {
    let Ok(service) = stored.decode::<Service>() else { return Vec::new() };
    let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref());
    let first = selector.and_then(|s| s.iter().next());
    first.map(|(k, v)| label_value(&stored.key.namespace, k, v).into()).into_iter().collect()
}

pub(super) fn hinted_index(stored: &Stored) -> Vec<Arc<str>> {
    let service = stored.decode::<Service>().ok();
    let hinted = service.is_some_and(|service| hints::are_wanted(service.metadata.annotations.as_ref()));
    if hinted { vec![HINTED.into()] } else { Vec::new() }
}

pub(super) fn service_of_slice(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    let stored = delta.old.iter().chain(&delta.new);
    let ours = stored.filter(|s| s.meta.labels.get(MANAGED_BY) == Some(MANAGER));
    let mut keys: Vec<Key> =
        ours.filter_map(|s| Some(Key::new(s.key.namespace.clone(), s.meta.labels.get(SERVICE_NAME)?))).collect();
    keys.dedup();
    keys
}

/// The services that selected the pod before or select it now, if anything changed that slices show.
pub(crate) fn services_of_pod(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    if let (Some(old), Some(new)) = (&delta.old, &delta.new) {
        let same_meta = old.meta.labels == new.meta.labels
            && old.meta.is_deleting() == new.meta.is_deleting()
            && old.meta.uid == new.meta.uid;
        if same_meta && old.memo(PodFacts::of) == new.memo(PodFacts::of) {
            return Vec::new();
        }
    }
    that_select(delta.old.iter().chain(&delta.new), view)
}

/// The services that select a pod of the node: without it they have none of them.
pub(super) fn services_of_node(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(node) = delta.key() else { return Vec::new() };
    that_select(&view.by_index_stored(&Pod::gvr(), BY_NODE, &node.name), view)
}

fn that_select<'a>(pods: impl IntoIterator<Item = &'a Arc<Stored>>, view: &View<'_>) -> Vec<Key> {
    let mut keys = BTreeSet::new();
    for pod in pods {
        for value in label_index(pod) {
            for service in view.by_index::<Service>(BY_LABEL, &value) {
                let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref());
                if selector.is_some_and(|s| contains_all(&pod.meta.labels, s)) {
                    keys.insert(service.key());
                }
            }
        }
    }
    keys.into_iter().collect()
}

/// The services that share the CPU of the nodes.
pub(super) fn services_with_hints(_: &Delta, view: &View<'_>) -> Vec<Key> {
    view.by_index_stored(&Service::gvr(), HINTED, HINTED).iter().map(|service| service.key.clone()).collect()
}

/// What counts of a node where its CPU is shared.
pub(super) fn cpu(node: &Option<Arc<Stored>>) -> Option<hints::NodeCpu> {
    node.as_deref().map(hints::NodeCpu::of)
}
