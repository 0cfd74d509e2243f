//! Binding a claim to a volume, from whichever step it stands at.

use super::{World, status};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orch_runtime::{
    Plan,
    plan::reference,
    storage::{VolumeInfo, VolumePhase, is_for, marks},
    view::Known,
};

/// Takes the next step: both name each other, and once the volume is bound the claim says so.
pub(super) fn bind(world: &World, volume: &Known<VolumeInfo>, plan: &mut Plan) {
    let Ok(old) = volume.stored.decode::<PersistentVolume>() else { return };
    let changed = plan.update(&*old, &for_claim(&old, &volume.facts, world));
    if plan.update(&*world.claim, &on_volume(&world.claim, &volume.facts.name)) || changed {
        return;
    }
    if volume.facts.phase == VolumePhase::Bound {
        status::bound(world, &old, plan);
    }
}

/// The volume with a reference to the claim (`GetBindVolumeToClaim`).
fn for_claim(volume: &PersistentVolume, info: &VolumeInfo, world: &World) -> PersistentVolume {
    let mut new = volume.clone();
    let is_complete = info.claim.as_ref().is_some_and(|of| of.key == world.info.key && of.uid == world.info.uid);
    if !is_complete {
        new.spec.get_or_insert_default().claim_ref = Some(reference(&*world.claim));
    }
    if !is_for(info, &world.info) {
        let annotations = new.metadata.annotations.get_or_insert_default();
        annotations.entry(marks::BOUND_BY_CONTROLLER.into()).or_insert_with(|| "yes".into());
    }
    new
}

/// The claim with the name of the volume.
fn on_volume(claim: &PersistentVolumeClaim, volume: &str) -> PersistentVolumeClaim {
    let mut new = claim.clone();
    let spec = new.spec.get_or_insert_default();
    let annotations = new.metadata.annotations.get_or_insert_default();
    if spec.volume_name.as_deref() != Some(volume) {
        spec.volume_name = Some(volume.into());
        annotations.entry(marks::BOUND_BY_CONTROLLER.into()).or_insert_with(|| "yes".into());
    }
    annotations.entry(marks::BIND_COMPLETED.into()).or_insert_with(|| "yes".into());
    new
}
