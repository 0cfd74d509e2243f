//! `persistentvolume-binder-controller`: brings claims and volumes together
//! (`pkg/controller/volume/persistentvolume`; its other half is [`volume_release`](crate::volume_release)).
//!
//! ```text
//! volume.claimRef ─► claim.volumeName ─► volume Bound (the other half) ─► claim Bound
//! ```
//!
//! Each arrow is a write that is seen before the next one is made; the loop may die between any two of them.

mod bind;
mod provision;
mod status;
#[cfg(test)]
mod tests;

use crate::common::storage::{
    BY_CLAIM, BY_CLASS, BY_REFERENCE, BY_VOLUME, PodUse, WITHOUT_VOLUME, by_claim, by_class, by_reference, by_volume,
    claims_of_pod, without_volume,
};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use orch_api::{Key, Object};
use orch_runtime::{
    Controller, Error, Plan, View, Watches,
    plan::Notice,
    storage::{ClaimInfo, ClassInfo, VolumeInfo, VolumePhase, best_match, is_for, mismatch},
    view::Known,
};
use orch_store::{Client, informer::Delta};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Brings claims and volumes together.
pub struct VolumeBinder;

/// A claim, and what it could be bound to.
pub struct World {
    claim: Arc<PersistentVolumeClaim>,
    info: Arc<ClaimInfo>,
    class: Option<Arc<ClassInfo>>,
    /// The class that claims get which name none.
    default_class: Option<Arc<str>>,
    /// The volume that the claim names, if it is there.
    named: Option<Known<VolumeInfo>>,
    /// For a claim that names none: volumes of its class, and those that are reserved for it.
    candidates: Vec<Known<VolumeInfo>>,
    /// Pods without a node that use it.
    pods: Vec<Arc<str>>,
}

impl Controller for VolumeBinder {
    const NAME: &'static str = "persistentvolume-binder-controller";
    const ABOUT: &'static str = "Binds PersistentVolumeClaims to PersistentVolumes, or asks a provisioner for one.";
    const COMPONENT: &'static str = "persistentvolume-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PersistentVolumeClaim>()
            .index(BY_VOLUME, by_volume)
            .index(WITHOUT_VOLUME, without_volume)
            .maps::<PersistentVolume>(claims_of_volume)
            .index(BY_REFERENCE, by_reference)
            .index(BY_CLASS, by_class)
            .maps::<StorageClass>(claims_of_class)
            .maps::<Pod>(claims_of_pod)
            .index(BY_CLAIM, by_claim)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let claim: Arc<PersistentVolumeClaim> = view.get(key)?;
        let info = view.known::<ClaimInfo>(key)?.facts;
        let class_key = Key::cluster(info.class_name());
        let searches = info.volume.is_empty() && !info.bind_completed;
        let named = Key::cluster(info.volume.clone());
        Some(World {
            class: view.known::<ClassInfo>(&class_key).map(|known| known.facts),
            default_class: default_class(&info, view),
            named: view.known::<VolumeInfo>(&named),
            candidates: if searches { candidates(&info, view) } else { Vec::new() },
            pods: if searches { waiting_pods(key, view) } else { Vec::new() },
            claim,
            info,
        })
    }

    /// A claim is not told that it has lost its volume on the word of a cache that may be behind.
    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            let name = &world.info.volume;
            if world.info.bind_completed && !name.is_empty() && world.named.is_none() {
                match client.get(&PersistentVolume::gvr(), &Key::cluster(name.clone()), None).await {
                    Ok(_) => return Err(Error::RequeueAfter(CACHE_LAG)),
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    Err(_) => {}
                }
            }
            Ok(world)
        }
        .boxed()
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match (world.info.bind_completed, world.info.volume.is_empty()) {
            (true, _) => bound(world, &mut plan),
            // What is being deleted is not bound any more, for that would use a volume up.
            (false, _) if world.info.deleting => {}
            (false, true) => search(world, &mut plan),
            (false, false) => named(world, &mut plan),
        }
        plan
    }
}

/// How long to give a cache that is behind.
const CACHE_LAG: Duration = Duration::from_secs(1);

/// A claim that was bound once: it still is, or has lost its volume.
fn bound(world: &World, plan: &mut Plan) {
    let lost = |plan: &mut Plan, reason, words: &str| {
        if status::lost(world, plan) {
            plan.event(Notice::warning(&*world.claim, reason, words));
        }
    };
    let Some(volume) = &world.named else {
        let words = match world.info.volume.is_empty() {
            true => "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!",
            false => "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        };
        return lost(plan, "ClaimLost", words);
    };
    match &volume.facts.claim {
        Some(of) if of.uid != world.info.uid => {
            let words = "Two claims are bound to the same volume, this one is bound incorrectly";
            lost(plan, "ClaimMisbound", words);
        }
        _ => bind::bind(world, volume, plan),
    }
}

/// A claim that asks for a volume by name.
fn named(world: &World, plan: &mut Plan) {
    let Some(volume) = &world.named else { return status::pending(world, plan) };
    if is_for(&volume.facts, &world.info) {
        return bind::bind(world, volume, plan);
    }
    let name = &volume.facts.name;
    if volume.facts.claim.is_some() {
        let words = format!("volume {name:?} already bound to a different claim.");
        plan.event(Notice::warning(&*world.claim, "FailedBinding", words));
    } else if let Some(why) = mismatch(&volume.facts, &world.info) {
        let words = format!("Cannot bind to requested volume {name:?}: {why}");
        plan.event(Notice::warning(&*world.claim, "VolumeMismatch", words));
    } else {
        return bind::bind(world, volume, plan);
    }
    status::pending(world, plan);
}

/// A claim that takes any volume that fits.
fn search(world: &World, plan: &mut Plan) {
    let waits = world.class.as_ref().is_some_and(|class| class.waits);
    if let Some(volume) = best(world, waits) {
        return bind::bind(world, volume, plan);
    }
    if let Some(class) = &world.default_class {
        let mut classed = (*world.claim).clone();
        classed.spec.get_or_insert_default().storage_class_name = Some(class.to_string());
        plan.update(&*world.claim, &classed);
        return;
    }
    if waits && world.info.selected_node.is_none() {
        plan.event(provision::waits_for(world));
    } else if !world.info.class_name().is_empty() {
        return provision::ask(world, plan);
    } else {
        let words = "no persistent volumes available for this claim and no storage class is set";
        plan.event(Notice::normal(&*world.claim, "FailedBinding", words));
    }
    status::pending(world, plan);
}

/// The best volume: of those with the fewest access modes, as a user asks for no more than that (`index.go`).
fn best(world: &World, waits: bool) -> Option<&Known<VolumeInfo>> {
    let mut by_modes: BTreeMap<_, Vec<&Known<VolumeInfo>>> = BTreeMap::new();
    let fitting = world.candidates.iter().filter(|volume| volume.facts.modes.contains(world.info.modes));
    fitting.for_each(|v| by_modes.entry((v.facts.modes.len(), v.facts.modes)).or_default().push(v));
    by_modes.values().find_map(|volumes| {
        let best = best_match(&world.info, volumes.iter().map(|v| &v.facts), None, waits, &[])?;
        volumes.iter().find(|v| Arc::ptr_eq(&v.facts, best)).copied()
    })
}

fn default_class(claim: &ClaimInfo, view: &View<'_>) -> Option<Arc<str>> {
    if claim.class.is_some() || !claim.volume.is_empty() {
        return None;
    }
    let classes = view.list_known::<ClassInfo>("");
    ClassInfo::default_of(classes.iter().map(|known| &*known.facts)).map(|class| class.name.clone())
}

fn candidates(claim: &ClaimInfo, view: &View<'_>) -> Vec<Known<VolumeInfo>> {
    let mut found = view.known_by_index::<VolumeInfo>(BY_CLASS, claim.class_name());
    found.extend(view.known_by_index::<VolumeInfo>(BY_REFERENCE, &claim.key.to_string()));
    found.sort_by(|a, b| a.facts.name.cmp(&b.facts.name));
    found.dedup_by(|a, b| a.facts.name == b.facts.name);
    found
}

fn waiting_pods(claim: &Key, view: &View<'_>) -> Vec<Arc<str>> {
    let pods = view.by_index_stored(&Pod::gvr(), BY_CLAIM, &claim.to_string());
    let waits = |used: &PodUse| used.node.is_empty() && !used.is_finished;
    pods.iter().filter(|pod| waits(&PodUse::read(pod))).map(|pod| pod.key.name.clone()).collect()
}

/// The claims that a volume is for or was for, those that name it, and those that may have waited for one like it.
fn claims_of_volume(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let read = |stored: &Option<_>| stored.as_ref().map(|stored: &Arc<_>| VolumeInfo::read(stored));
    let (old, new) = (read(&delta.old), read(&delta.new));
    let claims = PersistentVolumeClaim::gvr();
    let mut keys: Vec<Key> =
        [&old, &new].into_iter().flatten().filter_map(|v| v.claim.as_ref()).map(|of| of.key.clone()).collect();
    if let Some(name) = delta.key().map(|key| key.name.clone()) {
        keys.extend(view.by_index_stored(&claims, BY_VOLUME, &name).iter().map(|claim| claim.key.clone()));
    }
    let is_free = |volume: &VolumeInfo| volume.phase == VolumePhase::Available && volume.claim.is_none();
    if let Some(free) = new.filter(is_free) {
        keys.extend(view.by_index_stored(&claims, WITHOUT_VOLUME, &free.class).iter().map(|claim| claim.key.clone()));
    }
    keys.sort();
    keys.dedup();
    keys
}

/// The claims that wait for a class, or for a default.
fn claims_of_class(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(new) = &delta.new else { return Vec::new() };
    let (claims, class) = (PersistentVolumeClaim::gvr(), ClassInfo::read(new));
    let mut found = view.by_index_stored(&claims, WITHOUT_VOLUME, &class.name);
    if class.is_default {
        found.extend(view.by_index_stored(&claims, WITHOUT_VOLUME, ""));
    }
    found.iter().map(|claim| claim.key.clone()).collect()
}
