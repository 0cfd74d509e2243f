//! Claims and volumes: bound ones say where a pod can be, waiting ones are bound or made for the node that it gets
//! (`plugins/volumebinding`).
//!
//! ```text
//! PreFilter: the pod's claims ─► Filter: what each node would do for them ─► Reserve: promised in the cluster
//!                                         PreBind: said in the API, and waited for ◄──┘
//! ```

mod bind;
mod find;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use find::{Bindings, Claims};
use orch_api::StatusError;
use orch_runtime::{
    scheduler::{
        Binding, Cluster, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreBind, PreFilter,
        PreFiltered, Rejection, Reserve, Storage,
    },
    storage::ClaimPhase,
};
use std::sync::Arc;

/// Binds a pod's claims along with the pod.
pub struct VolumeBinding;

impl Plugin for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self.clone()).reserve(self.clone()).pre_bind(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::Class(None, _) | ClusterEvent::Volume(..) => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if old.labels != new.labels => Hint::Queue,
            ClusterEvent::Class(Some(old), new) if old.topologies != new.topologies => Hint::Queue,
            ClusterEvent::Claim(_, claim) if pod.uses(&claim.key) => Hint::Queue,
            ClusterEvent::Driver(_, old, new) if old.tells_capacity && !new.tells_capacity => Hint::Queue,
            ClusterEvent::Capacity(None, _) => Hint::Queue,
            ClusterEvent::Capacity(Some(old), new) if new.limit > old.limit => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for VolumeBinding {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        if pod.claims.is_empty() {
            return PreFiltered::Skip;
        }
        let sorted = usable(pod, cluster.storage()).and_then(|()| Claims::of(pod, cluster.storage()));
        match sorted {
            Ok(claims) => {
                cycle.put(claims);
                PreFiltered::All
            }
            Err(words) => PreFiltered::Reject(Rejection::unresolvable(words)),
        }
    }
}

/// Whether all claims are there to be looked at (`podHasPVCs`).
fn usable(pod: &PodInfo, storage: &Storage) -> Result<(), String> {
    for of in &pod.claims {
        let Some(claim) = storage.claim(&pod.claim_key(of)) else {
            return Err(match of.ephemeral {
                true => {
                    let wait = "waiting for ephemeral volume controller to create the persistentvolumeclaim";
                    format!("{wait} {:?}", of.name)
                }
                false => format!("persistentvolumeclaim {:?} not found", of.name),
            });
        };
        if claim.phase == ClaimPhase::Lost {
            let words = "bound to non-existent persistentvolume";
            return Err(format!("persistentvolumeclaim {:?} {words} {:?}", of.name, claim.volume));
        }
        if claim.deleting {
            return Err(format!("persistentvolumeclaim {:?} is being deleted", of.name));
        }
        if of.ephemeral && claim.owner != pod.uid {
            return Err(format!("PVC {} was not created for pod {} (pod is not owner)", claim.key, pod.key));
        }
    }
    Ok(())
}

impl Filter for VolumeBinding {
    fn filter(&self, cycle: &Cycle, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(claims) = cycle.get::<Claims>() else { return Ok(()) };
        claims.bindings(node).map(drop)
    }
}

impl Reserve for VolumeBinding {
    fn reserve(&self, cycle: &mut Cycle, _: &PodInfo, node: &Arc<str>, cluster: &mut Cluster) -> Result<(), Rejection> {
        let Some(claims) = cycle.get::<Claims>() else { return Ok(()) };
        let Some(info) = cluster.node(node) else {
            return Err(Rejection::unschedulable(format!("nodeinfo not found for node name {node:?}")));
        };
        let bindings = claims.bindings(info)?;
        let storage = cluster.storage_mut();
        bindings.bind.iter().for_each(|(volume, claim)| storage.promise_volume(&volume.name, claim));
        bindings.provision.iter().for_each(|claim| storage.promise_claim(&claim.key, node));
        cycle.put(bindings);
        Ok(())
    }

    fn unreserve(&self, cycle: &Cycle, _: &PodInfo, _: &Arc<str>, cluster: &mut Cluster) {
        let Some(bindings) = cycle.get::<Bindings>() else { return };
        let storage = cluster.storage_mut();
        bindings.bind.iter().for_each(|(volume, _)| storage.forget_volume(&volume.name));
        bindings.provision.iter().for_each(|claim| storage.forget_claim(&claim.key));
    }
}

#[async_trait]
impl PreBind for VolumeBinding {
    fn is_needed(&self, cycle: &Cycle) -> bool {
        cycle.get::<Bindings>().is_some_and(|bindings| !bindings.is_empty())
    }

    async fn pre_bind(&self, binding: &Binding<'_>) -> Result<(), StatusError> {
        match binding.cycle.get::<Bindings>() {
            Some(bindings) => bind::perform(binding, bindings).await,
            None => Ok(()),
        }
    }
}
