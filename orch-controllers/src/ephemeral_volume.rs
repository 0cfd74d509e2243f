//! `ephemeral-volume-controller`: makes the claims that pods state in their volumes
//! (`pkg/controller/volume/ephemeral`).

use crate::common::{
    owner::controller_ref,
    storage::{BY_CLAIM, by_claim, claim_name, is_of_pod},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, Pod, Volume},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{
    Announce, Controller, Plan, View, Watches,
    plan::{Notice, reference},
};
use orch_store::{Stored, informer::Delta};
use std::sync::Arc;

/// Makes the claims that pods state in their volumes.
pub struct EphemeralVolumes;

/// A pod, and the claims that there are by the names of its own.
pub struct World {
    pod: Arc<Pod>,
    claims: Vec<(Volume, Option<Arc<PersistentVolumeClaim>>)>,
}

impl Controller for EphemeralVolumes {
    const NAME: &'static str = "ephemeral-volume-controller";
    const ABOUT: &'static str = "Creates the PersistentVolumeClaims of ephemeral volumes; they go with their Pod.";
    const COMPONENT: &'static str = "ephemeral_volume";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Pod>()
            .only(asks_anew)
            .index(BY_CLAIM, by_claim)
            .maps::<PersistentVolumeClaim>(pods_of_claim)
            .only(|delta| delta.new.is_none())
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let stored = view.stored(&Pod::gvr(), key)?;
        if stored.meta.is_deleting() || !has_ephemeral(&stored) {
            return None;
        }
        let pod: Arc<Pod> = stored.decode().ok()?;
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let found = |volume: &Volume| view.get(&Key::new(key.namespace.clone(), claim_name(&key.name, &volume.name)));
        let ephemeral = volumes.filter(|volume| volume.ephemeral.is_some());
        Some(World { claims: ephemeral.map(|volume| (volume.clone(), found(volume))).collect(), pod })
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let pod = &*world.pod;
        for (volume, claim) in &world.claims {
            match claim {
                None => {
                    let (claim, announce) = (claim_of(pod, volume), announce(pod, volume));
                    plan.create_announced(&claim, announce);
                }
                Some(claim) if is_of_pod(claim, pod.uid()) => {}
                Some(claim) => {
                    let words = format!(
                        "ephemeral volume {}: PVC {} was not created for pod {} (pod is not owner)",
                        volume.name,
                        claim.key(),
                        pod.key()
                    );
                    plan.event(Notice::warning(pod, "FailedBinding", words));
                }
            }
        }
        plan
    }
}

fn claim_of(pod: &Pod, volume: &Volume) -> PersistentVolumeClaim {
    let template = volume.ephemeral.as_ref().and_then(|e| e.volume_claim_template.clone()).unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim_name(&pod.key().name, &volume.name)),
            namespace: pod.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: meta.annotations,
            owner_references: Some(vec![controller_ref(pod)]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec),
        status: None,
    }
}

fn announce(pod: &Pod, volume: &Volume) -> Announce {
    let name = claim_name(&pod.key().name, &volume.name);
    let failure = ("FailedBinding", format!("ephemeral volume {}: create PVC {name}: {{}}", volume.name));
    Announce { regarding: reference(pod), success: None, failure }
}

/// A pod's volumes never change, so it asks once: when it appears.
fn asks_anew(delta: &Delta) -> bool {
    let Some(new) = &delta.new else { return false };
    delta.old.as_ref().is_none_or(|old| old.meta.uid != new.meta.uid) && has_ephemeral(new)
}

fn has_ephemeral(pod: &Stored) -> bool {
    std::str::from_utf8(&pod.json).is_ok_and(|text| text.contains("\"ephemeral\""))
}

fn pods_of_claim(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(claim) = delta.key() else { return Vec::new() };
    let pods = view.by_index_stored(&Pod::gvr(), BY_CLAIM, &claim.to_string());
    pods.iter().map(|pod| pod.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(pod: &Pod, claims: &[PersistentVolumeClaim], expect: Expect) {
        let mut objects = Objects::new(&EphemeralVolumes.watches()).with(pod);
        claims.iter().for_each(|claim| objects.insert(claim));
        let world = EphemeralVolumes.observe(&pod.key(), &View::fixed(&objects));
        fixtures::expect_plan(&world.map(|w| EphemeralVolumes.plan(&w, now())).unwrap_or_default(), &expect);
    }

    fn pod() -> Pod {
        fixtures::uid(&fixtures::with_ephemeral(fixtures::pod("p", "web"), "scratch"), "pods-p")
    }

    #[test]
    fn the_claim_of_an_ephemeral_volume_is_made() {
        check(
            &pod(),
            &[],
            expect![[r#"
            create PersistentVolumeClaim default/p-scratch
        "#]],
        );
    }

    #[test]
    fn a_pod_that_is_being_deleted_gets_no_claim() {
        check(&fixtures::deleting(pod()), &[], expect![[""]]);
    }

    #[test]
    fn a_claim_of_somebody_else_is_told_and_left_alone() {
        let foreign = fixtures::claim("p-scratch", None);
        check(
            &pod(),
            std::slice::from_ref(&foreign),
            expect![[r#"
            event Warning FailedBinding: ephemeral volume scratch: PVC default/p-scratch was not created for pod default/p (pod is not owner)
        "#]],
        );
        let mut own = foreign;
        own.metadata.owner_references = Some(vec![controller_ref(&pod())]);
        check(&pod(), &[own], expect![[""]]);
    }
}
