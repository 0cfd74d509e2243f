//! Whose a pod is: adoption and release (`pkg/controller/controller_ref_manager.go`).

use super::{
    facts::{ORPHANS, PodFacts},
    owner,
    selector::selects,
};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::LabelSelector};
use orch_api::{Key, Object};
use orch_runtime::{Plan, Target, View, view::Known};
use orch_store::informer::Delta;
use std::borrow::Cow;

/// The pods that the owner controls, and the pods without a controller that its selector selects.
pub fn candidates<K: Object>(owner: &K, selector: &LabelSelector, view: &View<'_>) -> Vec<Known<PodFacts>> {
    let mut pods = view.owned_known::<PodFacts>(owner.uid());
    pods.retain(|pod| owner::is_controlled_by(&pod.stored, owner.uid()));
    let orphans = view.known_by_index::<PodFacts>(ORPHANS, &owner.key().namespace);
    pods.extend(orphans.into_iter().filter(|pod| selects(selector, &pod.stored.meta.labels)));
    pods
}

/// The pods that are the owner's: adopts those without a controller that it wants, and releases those that it wants no
/// more. An owner that is being deleted does neither, nor is it done to pods that may not change.
pub fn claim<'a, K: Object>(
    owner: &K,
    pods: &'a [Known<PodFacts>],
    wants: impl Fn(&Known<PodFacts>) -> bool,
    may_change: impl Fn(&Known<PodFacts>) -> bool,
    plan: &mut Plan,
) -> Vec<&'a Known<PodFacts>> {
    let mut claimed = Vec::with_capacity(pods.len());
    for pod in pods {
        let free = !owner.is_deleting() && may_change(pod);
        match (owner::is_controlled_by(&pod.stored, owner.uid()), wants(pod)) {
            (true, true) => claimed.push(pod),
            (true, false) if free => {
                plan.patch(Target::stored::<Pod>(&pod.stored), None, owner::release(&pod.stored, owner.uid()));
            }
            (false, true) if free && !pod.stored.meta.is_deleting() => {
                plan.patch(Target::stored::<Pod>(&pod.stored), None, owner::adopt(&pod.stored, owner));
                claimed.push(pod);
            }
            _ => {}
        }
    }
    claimed
}

/// The owners of the namespace whose selector selects an object without a controller, if it is new to them.
pub fn owners_that_want<K: Object>(
    selector: impl Fn(&K) -> Cow<'_, LabelSelector> + Send + Sync,
) -> impl Fn(&Delta, &View<'_>) -> Vec<Key> + Send + Sync {
    move |delta, view| {
        let Some(orphan) = &delta.new else { return Vec::new() };
        if delta.old.as_ref().is_some_and(|old| old.controller().is_none() && old.meta.labels == orphan.meta.labels) {
            return Vec::new();
        }
        let owners = view.list::<K>(&orphan.key.namespace);
        owners.iter().filter(|owner| selects(&selector(owner), &orphan.meta.labels)).map(|owner| owner.key()).collect()
    }
}

/// Whether the change leaves an object without a controller.
pub fn is_orphan(delta: &Delta) -> bool {
    delta.new.as_ref().is_some_and(|new| new.controller().is_none())
}
