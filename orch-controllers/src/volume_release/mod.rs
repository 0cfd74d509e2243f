//! `persistentvolume-release-controller`: says where volumes are in their lives, and takes back what claims have left. It is
//! the half of `pkg/controller/volume/persistentvolume` that looks at volumes (`syncVolume`).
//!
//! Where a forgotten branch would lose somebody's data, every one is written out.

#[cfg(test)]
mod tests;

use crate::common::storage::{BY_REFERENCE, by_reference};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orch_api::{Key, Object};
use orch_runtime::{
    Controller, Error, Plan, View, Watches,
    plan::Notice,
    storage::{ClaimInfo, Source, VolumeInfo, VolumePhase, marks},
    view::Known,
};
use orch_store::{Client, informer::Delta};
use std::{sync::Arc, time::Duration};

/// Says where volumes are in their lives, and takes back what claims have left.
pub struct VolumeRelease;

/// A volume, and the claim that it is for.
pub struct World {
    volume: Arc<PersistentVolume>,
    info: Arc<VolumeInfo>,
    /// The claim of the reference's name and UID, if it is there.
    claim: Option<Known<ClaimInfo>>,
}

impl Controller for VolumeRelease {
    const NAME: &'static str = "persistentvolume-release-controller";
    const ABOUT: &'static str = "Keeps the phases of PersistentVolumes, and takes back what claims have left.";
    const COMPONENT: &'static str = "persistentvolume-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PersistentVolume>()
            .index(BY_REFERENCE, by_reference)
            .maps::<PersistentVolumeClaim>(volumes_of_claim)
            .only(matters)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let info = view.known::<VolumeInfo>(key)?.facts;
        let claim = info.claim.as_ref().and_then(|of| {
            let known = view.known::<ClaimInfo>(&of.key)?;
            (known.facts.uid == of.uid).then_some(known)
        });
        Some(World { volume: view.get(key)?, info, claim })
    }

    /// A volume is not taken back on the word of a cache that may be behind.
    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            let reference = world.info.claim.as_ref().filter(|of| !of.uid.is_empty());
            if let Some(of) = reference.filter(|_| world.claim.is_none()) {
                match client.get(&PersistentVolumeClaim::gvr(), &of.key, None).await {
                    Ok(found) if found.meta.uid == of.uid => return Err(Error::RequeueAfter(CACHE_LAG)),
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    Ok(_) | Err(_) => {}
                }
            }
            Ok(world)
        }
        .boxed()
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(of) = &world.info.claim else {
            // Nobody's: it may be had.
            phase(world, VolumePhase::Available, &mut plan);
            return plan;
        };
        if of.uid.is_empty() {
            // Somebody reserved it for a claim that has not come yet, or has not been bound yet.
            phase(world, VolumePhase::Available, &mut plan);
            return plan;
        }
        match &world.claim {
            None => release(world, &mut plan),
            Some(claim) if claim.facts.volume.is_empty() => {
                // The claim does not know of it yet: the binder is at work on the claim, unless the two can never fit.
                if claim.facts.block != world.info.block {
                    told_misfit(world, claim, &mut plan);
                }
            }
            Some(claim) if claim.facts.volume == world.info.name => phase(world, VolumePhase::Bound, &mut plan),
            Some(_) if !world.info.provisioner.is_empty() && &*world.info.reclaim == "Delete" => {
                // It was made for a claim that has found another one meanwhile: nobody else asked for it.
                release(world, &mut plan);
            }
            Some(_) => unbind(world, &mut plan),
        }
        plan
    }
}

/// How long to give a cache that is behind.
const CACHE_LAG: Duration = Duration::from_secs(1);

/// The claim is gone: the volume is released, and then its policy says what becomes of it.
fn release(world: &World, plan: &mut Plan) {
    if !matches!(world.info.phase, VolumePhase::Released | VolumePhase::Failed) {
        return phase(world, VolumePhase::Released, plan);
    }
    if world.info.migrated {
        return;
    }
    match &*world.info.reclaim {
        // A person looks at the data and frees the volume.
        "Retain" => {}
        "Recycle" => failed(world, "VolumeFailedRecycle", "No recycler plugin found for the volume!", plan),
        "Delete" => match deleter(&world.info) {
            // Its provisioner watches volumes that are released, and deletes them.
            Ok(()) => {}
            Err(words) => failed(world, "VolumeFailedDelete", &words, plan),
        },
        _ => {
            let words = "Volume has unrecognized PersistentVolumeReclaimPolicy";
            failed(world, "VolumeUnknownReclaimPolicy", words, plan);
        }
    }
}

/// Whether somebody else deletes what is behind the volume; here are no plugins that could (`findDeletablePlugin`).
fn deleter(volume: &VolumeInfo) -> Result<(), String> {
    let by = &*volume.provisioner;
    if by.is_empty() {
        return match &volume.source {
            Source::Csi(_) => Ok(()),
            _ => {
                let words = "no deletable volume plugin matched";
                Err(format!("error getting deleter volume plugin for volume {:?}: {words}", volume.name))
            }
        };
    }
    match by.starts_with("kubernetes.io/") {
        true => Err(format!("no volume plugin matched name: {by}")),
        false => Ok(()),
    }
}

/// Undoes a binding that did not come about (`unbindVolume`). A reservation by a person stays one.
fn unbind(world: &World, plan: &mut Plan) {
    let mut new = (*world.volume).clone();
    let spec = new.spec.get_or_insert_default();
    if world.info.bound_by_controller {
        spec.claim_ref = None;
        if let Some(annotations) = &mut new.metadata.annotations {
            annotations.remove(marks::BOUND_BY_CONTROLLER);
        }
    } else if let Some(reference) = &mut spec.claim_ref {
        reference.uid = None;
    }
    plan.update(&*world.volume, &new);
}

fn told_misfit(world: &World, claim: &Known<ClaimInfo>, plan: &mut Plan) {
    let words = format!(
        "Cannot bind PersistentVolume to requested PersistentVolumeClaim {:?} due to incompatible volumeMode.",
        claim.facts.key.name
    );
    plan.event(Notice::warning(&*world.volume, "VolumeMismatch", words));
    if let Ok(typed) = claim.stored.decode::<PersistentVolumeClaim>() {
        let words = format!(
            "Cannot bind PersistentVolume {:?} to requested PersistentVolumeClaim due to incompatible volumeMode.",
            world.info.name
        );
        plan.event(Notice::warning(&*typed, "VolumeMismatch", words));
    }
}

fn failed(world: &World, reason: &str, words: &str, plan: &mut Plan) {
    if world.info.phase != VolumePhase::Failed {
        write(world, VolumePhase::Failed, words, plan);
        plan.event(Notice::warning(&*world.volume, reason, words));
    }
}

fn phase(world: &World, phase: VolumePhase, plan: &mut Plan) {
    if world.info.phase != phase {
        write(world, phase, "", plan);
    }
}

fn write(world: &World, phase: VolumePhase, words: &str, plan: &mut Plan) {
    let mut new = (*world.volume).clone();
    let status = new.status.get_or_insert_default();
    status.phase = Some(phase.as_str().into());
    status.message = Some(words.to_owned()).filter(|words| !words.is_empty());
    plan.update_status(&*world.volume, &new);
}

fn volumes_of_claim(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(key) = delta.key() else { return Vec::new() };
    let volumes = view.by_index_stored(&PersistentVolume::gvr(), BY_REFERENCE, &key.to_string());
    volumes.iter().map(|volume| volume.key.clone()).collect()
}

/// A claim that appeared, went, or names another volume.
fn matters(delta: &Delta) -> bool {
    let (Some(old), Some(new)) = (&delta.old, &delta.new) else { return true };
    old.meta.uid != new.meta.uid || ClaimInfo::read(old).volume != ClaimInfo::read(new).volume
}
