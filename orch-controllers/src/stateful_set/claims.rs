//! The claims of a pod: made from the set's templates before the pod, kept or given up as the retention policy says
//! (KEP-1847).

use super::{identity, start, wanted};
use crate::common::{facts::PodFacts, owner};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use orch_api::{Key, Object};
use orch_runtime::{View, view::Known};
use orch_store::{Stored, client::Patch, stored::Owner};
use serde_json::json;
use std::{collections::HashMap, sync::Arc};

/// The templates, with the names of the claims of an ordinal.
pub(super) fn of(set: &StatefulSet, ordinal: i32) -> impl Iterator<Item = (&PersistentVolumeClaim, String)> {
    set.spec.volume_claim_templates.iter().flatten().map(move |template| {
        let (name, set) = (template.metadata.name.as_deref(), set.metadata.name.as_deref());
        (template, format!("{}-{}-{ordinal}", name.unwrap_or_default(), set.unwrap_or_default()))
    })
}

/// The claims that exist of all that the set's pods have or should have.
pub(super) fn observe(set: &StatefulSet, pods: &[Known<PodFacts>], view: &View<'_>) -> HashMap<Arc<str>, Arc<Stored>> {
    let mut claims = HashMap::new();
    if set.spec.volume_claim_templates.as_ref().is_none_or(Vec::is_empty) {
        return claims;
    }
    let (gvr, namespace) = (PersistentVolumeClaim::gvr(), set.key().namespace);
    let range = start(set)..start(set).saturating_add(wanted(set));
    let beyond = pods.iter().map(identity::ordinal).filter(|ordinal| !range.contains(ordinal));
    for (_, name) in range.clone().chain(beyond).flat_map(|ordinal| of(set, ordinal)) {
        if let Some(claim) = view.stored(&gvr, &Key::new(&*namespace, &*name)) {
            claims.insert(name.into(), claim);
        }
    }
    claims
}

/// The claim of a template, for a pod that the set wants.
pub(super) fn make(set: &StatefulSet, template: &PersistentVolumeClaim, name: String) -> PersistentVolumeClaim {
    let mut claim = template.clone();
    let meta = &mut claim.metadata;
    meta.name = Some(name);
    meta.namespace = set.metadata.namespace.clone();
    let selector = set.spec.selector.match_labels.clone().unwrap_or_default();
    meta.labels.get_or_insert_default().extend(selector);
    if Policy::of(set).owners(true).0 {
        meta.owner_references.get_or_insert_default().push(owner::controller_ref(set));
    }
    claim.status = None;
    claim
}

/// What becomes of claims.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    deleted_with_the_set: bool,
    deleted_when_scaled: bool,
}

impl Policy {
    pub(super) fn of(set: &StatefulSet) -> Self {
        let policy = set.spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
        let deletes = |word: Option<String>| word.as_deref() == Some("Delete");
        Self { deleted_with_the_set: deletes(policy.when_deleted), deleted_when_scaled: deletes(policy.when_scaled) }
    }

    /// Whether the set, and whether the pod owns the claim of a pod that the set wants, or wants no more.
    fn owners(self, is_wanted: bool) -> (bool, bool) {
        let by_pod = self.deleted_when_scaled && !is_wanted;
        (self.deleted_with_the_set && !by_pod, by_pod)
    }

    fn keeps_all(self) -> bool {
        !self.deleted_with_the_set && !self.deleted_when_scaled
    }
}

/// A claim, and the pod (by name; by UID if it exists) and the set that may own it.
pub(super) struct Tenancy<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) pod: &'a str,
    pub(super) pod_uid: Option<&'a str>,
    pub(super) is_wanted: bool,
    pub(super) claim: &'a Stored,
}

impl Tenancy<'_> {
    /// Whether the claim belongs to an earlier pod of the name and will go with it: a new pod waits for that.
    pub(super) fn is_stale(&self) -> bool {
        Policy::of(self.set).deleted_when_scaled && self.references().any(|o| self.names_pod(o) && !self.is_pod(o))
    }

    /// Whether somebody else manages the claim, so that the policy is not for it.
    pub(super) fn is_contested(&self) -> bool {
        !Policy::of(self.set).keeps_all()
            && self.references().any(|o| match (self.names_set(o), self.names_pod(o)) {
                (true, _) => !self.is_set(o),
                (_, true) => !self.is_pod(o),
                _ => o.controller,
            })
    }

    /// The owners that the policy asks for, if the claim has others (`isClaimOwnerUpToDate`). Claims of an earlier set
    /// or pod of the name are left to the garbage collector.
    pub(super) fn correction(&self) -> Option<Patch> {
        let earlier = |o: &&Owner| (self.names_set(o) && !self.is_set(o)) || (self.names_pod(o) && !self.is_pod(o));
        if self.references().any(|o| earlier(&o)) {
            return None;
        }
        let owns = (self.references().any(|o| self.is_set(o)), self.references().any(|o| self.is_pod(o)));
        let should = match self.is_contested() {
            true => (false, false),
            false => Policy::of(self.set).owners(self.is_wanted),
        };
        let is_loose = |o: &Owner| (self.is_set(o) || self.is_pod(o)) && !o.controller;
        if owns == should && !self.references().any(is_loose) {
            return None;
        }
        let others = self.references().filter(|o| !self.names_set(o) && !self.names_pod(o));
        let mut references: Vec<_> = others.map(owner::reference).collect();
        if should.0 {
            references.push(json!(owner::controller_ref(self.set)));
        }
        if let Some(uid) = self.pod_uid.filter(|_| should.1) {
            references.push(json!({
                "apiVersion": "v1", "kind": "Pod", "name": self.pod, "uid": uid,
                "controller": true, "blockOwnerDeletion": true,
            }));
        }
        Some(owner::replace(self.claim, references))
    }

    fn references(&self) -> impl Iterator<Item = &Owner> {
        self.claim.meta.owner_references.iter()
    }

    fn names_set(&self, owner: &Owner) -> bool {
        names::<StatefulSet>(owner, self.set.metadata.name.as_deref().unwrap_or_default())
    }

    fn names_pod(&self, owner: &Owner) -> bool {
        names::<Pod>(owner, self.pod)
    }

    fn is_set(&self, owner: &Owner) -> bool {
        *owner.uid == *self.set.uid()
    }

    fn is_pod(&self, owner: &Owner) -> bool {
        self.pod_uid == Some(&*owner.uid)
    }
}

fn names<K: Object>(owner: &Owner, name: &str) -> bool {
    let gvk = K::gvk();
    *owner.api_version == gvk.api_version() && *owner.kind == *gvk.kind && *owner.name == *name
}
