//! The status of a claim (`updateClaimStatus`).

use super::World;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaimStatus};
use orch_runtime::Plan;

/// The claim waits.
pub(super) fn pending(world: &World, plan: &mut Plan) {
    write(world, "Pending", None, plan);
}

/// The claim has lost its volume. Whether that is news.
pub(super) fn lost(world: &World, plan: &mut Plan) -> bool {
    let is_known = world.claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost");
    !is_known && write(world, "Lost", None, plan)
}

/// The claim has this volume.
pub(super) fn bound(world: &World, volume: &PersistentVolume, plan: &mut Plan) {
    write(world, "Bound", Some(volume), plan);
}

fn write(world: &World, phase: &str, volume: Option<&PersistentVolume>, plan: &mut Plan) -> bool {
    let mut new = (*world.claim).clone();
    let status: &mut PersistentVolumeClaimStatus = new.status.get_or_insert_default();
    let before = status.phase.replace(phase.into());
    match volume.and_then(|volume| volume.spec.as_ref()) {
        None => {
            status.access_modes = None;
            status.capacity = None;
            status.current_volume_attributes_class_name = None;
        }
        Some(spec) => {
            status.access_modes.clone_from(&spec.access_modes);
            // Later the capacity is what the claim has grown to.
            if before.as_deref() != Some(phase) {
                status.capacity.clone_from(&spec.capacity);
            }
            if before.as_deref() == Some("Pending") {
                status.current_volume_attributes_class_name.clone_from(&spec.volume_attributes_class_name);
            }
        }
    }
    plan.update_status(&*world.claim, &new)
}
