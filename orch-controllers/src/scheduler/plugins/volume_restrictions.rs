//! Volumes that pods cannot share: claims for one pod alone, and disks of old.

use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered, Rejection,
};
use std::sync::Arc;

/// Keeps a pod back while another one has a claim of its that is `ReadWriteOncePod`, and off nodes whose pods have a disk
/// of its that cannot be shared.
pub struct VolumeRestrictions;

/// Another pod has a claim that is for one pod alone.
struct InUse(bool);

impl Plugin for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) => Hint::Queue,
            ClusterEvent::Claim(None, claim) if pod.named_claims().any(|key| key == claim.key) => Hint::Queue,
            ClusterEvent::PodFreed(freed) if conflict(pod, freed) || shares(pod, freed) => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for VolumeRestrictions {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        let storage = cluster.storage();
        let mut in_use = false;
        for key in pod.named_claims() {
            let Some(claim) = storage.claim(&key) else {
                let words = format!("persistentvolumeclaim {:?} not found", key.name);
                return PreFiltered::Reject(Rejection::unresolvable(words));
            };
            in_use |= claim.modes.is_for_one_pod() && storage.users(&key) > 0;
        }
        if !in_use && pod.disks.is_empty() {
            return PreFiltered::Skip;
        }
        cycle.put(InUse(in_use));
        PreFiltered::All
    }
}

impl Filter for VolumeRestrictions {
    fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !pod.disks.is_empty() && node.pods.values().any(|other| conflict(pod, other)) {
            return Err(Rejection::unschedulable("node(s) had no available disk"));
        }
        if cycle.get::<InUse>().is_some_and(|InUse(in_use)| *in_use) {
            return Err(Rejection::unschedulable(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod",
            ));
        }
        Ok(())
    }
}

fn conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.disks.iter().any(|disk| other.disks.iter().any(|taken| disk.conflicts(taken)))
}

fn shares(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.key.namespace == other.key.namespace && pod.named_claims().any(|key| other.named_claims().any(|k| k == key))
}
