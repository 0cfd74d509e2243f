//! What a node would do for the claims of a pod (`binder.go`, `GetPodVolumeClaims` and `FindPodVolumes`). Pure.

use orch_runtime::{
    scheduler::{NodeInfo, PodInfo, Rejection, Storage},
    storage::{CapacityInfo, ClaimInfo, ClassInfo, VolumeInfo, best_match, marks, reaches},
};
use std::{borrow::Cow, sync::Arc};

const BOUND_ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";
const NOTHING_TO_BIND: &str = "node(s) didn't find available persistent volumes to bind";
const NO_ROOM: &str = "node(s) did not have enough free storage";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
const NOT_BOUND_YET: &str = "pod has unbound immediate PersistentVolumeClaims";

/// The claims of a pod, by what is left to do for them, with what that needs.
pub(super) struct Claims {
    /// The volumes of bound claims; `None` for one that is gone.
    bound: Vec<Option<Arc<VolumeInfo>>>,
    /// Claims that wait for the pod to get a node, the smallest first.
    waiting: Vec<Waiting>,
}

struct Waiting {
    claim: Arc<ClaimInfo>,
    class: Arc<ClassInfo>,
    /// The volumes of the class.
    volumes: Vec<Arc<VolumeInfo>>,
    /// What the driver says that it has left; `None` when it is not asked.
    left: Option<Vec<CapacityInfo>>,
}

/// What is to be done for a pod on its node.
#[derive(Default)]
pub(super) struct Bindings {
    /// Volumes that are there, with the claims that they will be for.
    pub(super) bind: Vec<(Arc<VolumeInfo>, Arc<ClaimInfo>)>,
    /// Claims for which a volume is to be made.
    pub(super) provision: Vec<Arc<ClaimInfo>>,
}

impl Bindings {
    pub(super) fn is_empty(&self) -> bool {
        self.bind.is_empty() && self.provision.is_empty()
    }
}

impl Claims {
    /// Sorts the claims, all of which must be there. A claim that waits for no pod must be bound already.
    pub(super) fn of(pod: &PodInfo, storage: &Storage) -> Result<Self, String> {
        let (mut bound, mut waiting) = (Vec::new(), Vec::new());
        for claim in pod.claims.iter().filter_map(|of| storage.claim(&pod.claim_key(of))) {
            if claim.is_bound() {
                bound.push(storage.volume(&claim.volume).cloned());
                continue;
            }
            let class = storage.class(claim.class_name()).filter(|class| class.waits);
            let Some(class) = class.filter(|_| claim.volume.is_empty()) else { return Err(NOT_BOUND_YET.into()) };
            let asked = storage.driver(&class.provisioner).is_some_and(|driver| driver.tells_capacity);
            waiting.push(Waiting {
                claim: claim.clone(),
                class: class.clone(),
                volumes: storage.volumes_of_class(&class.name).cloned().collect(),
                left: asked.then(|| storage.capacities().filter(|left| left.class == class.name).cloned().collect()),
            });
        }
        waiting.sort_by_key(|waiting| waiting.claim.request);
        Ok(Self { bound, waiting })
    }

    /// What is to be done on a node, or why it cannot be.
    pub(super) fn bindings(&self, node: &NodeInfo) -> Result<Bindings, Rejection> {
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        let unfit = self.bound.iter().find(|volume| volume.as_ref().is_none_or(|volume| !reaches(node, volume)));
        if matches!(unfit, Some(Some(_))) {
            reasons.push(BOUND_ELSEWHERE.into());
        }
        let found = self.find(node);
        if let Err(reason) = &found {
            reasons.push((*reason).into());
        }
        if matches!(unfit, Some(None)) {
            reasons.push(VOLUME_GONE.into());
        }
        match found {
            Ok(bindings) if reasons.is_empty() => Ok(bindings),
            _ => Err(Rejection { reasons, resolvable: false }),
        }
    }

    fn find(&self, node: &NodeInfo) -> Result<Bindings, &'static str> {
        let selected = |waiting: &&Waiting| waiting.claim.selected_node.is_some();
        let elsewhere = |waiting: &Waiting| waiting.claim.selected_node.as_ref().is_some_and(|name| *name != node.name);
        if self.waiting.iter().any(elsewhere) {
            return Err(NOTHING_TO_BIND);
        }
        let (mut bindings, mut taken, mut missing) = (Bindings::default(), Vec::new(), Vec::new());
        for waiting in self.waiting.iter().filter(|waiting| !selected(waiting)) {
            match best_match(&waiting.claim, &waiting.volumes, Some(node), false, &taken) {
                Some(volume) => {
                    taken.push(volume.name.clone());
                    bindings.bind.push((volume.clone(), waiting.claim.clone()));
                }
                None => missing.push(waiting),
            }
        }
        for waiting in self.waiting.iter().filter(selected).chain(missing) {
            waiting.can_be_made(node)?;
            bindings.provision.push(waiting.claim.clone());
        }
        Ok(bindings)
    }
}

impl Waiting {
    /// Whether a volume can be made for the claim on a node.
    fn can_be_made(&self, node: &NodeInfo) -> Result<(), &'static str> {
        let provisioner = &*self.class.provisioner;
        if provisioner.is_empty() || provisioner == marks::NO_PROVISIONER || !self.class.allows(node) {
            return Err(NOTHING_TO_BIND);
        }
        let has_room = |left: &Vec<CapacityInfo>| left.iter().any(|one| one.has_room(self.claim.request, node));
        if self.left.as_ref().is_none_or(has_room) { Ok(()) } else { Err(NO_ROOM) }
    }
}
