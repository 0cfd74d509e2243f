//! What a pass does about the claims of a pod.

use super::{
    claims::{self, Tenancy},
    identity,
    pass::Pass,
};
use crate::common::facts::PodFacts;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orch_runtime::{
    Announce, Target,
    plan::{Notice, reference},
    view::Known,
};
use std::sync::Arc;

impl<'a> Pass<'a> {
    /// Makes the claims that a pod misses; returns one that is being deleted, which is waited for.
    pub(super) fn ensure_claims(&mut self, pod: &str, ordinal: i32) -> Option<String> {
        let set = self.name();
        let mut going = None;
        for (template, name) in claims::of(self.set, ordinal) {
            match self.world.claims.get(&*name) {
                None => {
                    let success = format!("Create Claim {name} Pod {pod} in StatefulSet {set} success");
                    let failure = format!("Create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {{}}");
                    let announce = Announce {
                        regarding: reference(self.set),
                        success: Some(("SuccessfulCreate", success)),
                        failure: ("FailedCreate", failure),
                    };
                    self.creates.create_announced(&claims::make(self.set, template, name), announce);
                }
                Some(claim) if claim.meta.is_deleting() => going = Some(name),
                Some(_) => {}
            }
        }
        going
    }

    /// Brings the owners of a pod's claims to what the retention policy says.
    pub(super) fn correct_claims(&mut self, pod: &'a Known<PodFacts>, is_wanted: bool) {
        let uid = Some(&*pod.stored.meta.uid);
        for claim in self.claims_of(&pod.stored.key.name, uid, identity::ordinal(pod), is_wanted) {
            if let Some(patch) = claim.correction() {
                self.plan.patch(Target::stored::<PersistentVolumeClaim>(claim.claim), None, patch);
                if claim.is_contested() {
                    let notice = self.conflict(&claim);
                    self.plan.event(notice);
                }
            }
        }
    }

    pub(super) fn claims_of<'b>(
        &self,
        pod: &'b str,
        pod_uid: Option<&'b str>,
        ordinal: i32,
        is_wanted: bool,
    ) -> Vec<Tenancy<'b>>
    where
        'a: 'b,
    {
        let (set, world) = (self.set, self.world);
        let existing = claims::of(set, ordinal).filter_map(move |(_, name)| world.claims.get(&*name));
        existing.map(|claim: &'a Arc<_>| Tenancy { set, pod, pod_uid, is_wanted, claim }).collect()
    }

    pub(super) fn conflict(&self, claim: &Tenancy<'_>) -> Notice {
        let message = format!(
            "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim",
            claim.claim.key.name
        );
        Notice::warning(self.set, "ConflictingController", message)
    }
}
