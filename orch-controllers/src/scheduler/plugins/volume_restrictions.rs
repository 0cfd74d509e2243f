//! Volumes that pods cannot share: claims for one pod alone, and disks of old.

use orch_api::Key;
use orch_runtime::scheduler::{
    Cluster, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered, Rejection,
};
use std::sync::Arc;

/// Keeps a pod back while another one has a claim of its that is `ReadWriteOncePod`, and off nodes whose pods have a disk
/// of its that cannot be shared.
pub struct VolumeRestrictions;

/// The pod's claims that are for one pod alone, and how often other pods use one of them.
#[derive(Clone)]
struct InUse {
    claims: Vec<Key>,
    count: usize,
}

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
        let mut in_use = InUse { claims: Vec::new(), count: 0 };
        for key in pod.named_claims() {
            let Some(claim) = storage.claim(&key) else {
                let words = format!("persistentvolumeclaim {:?} not found", key.name);
                return PreFiltered::Reject(Rejection::unresolvable(words));
            };
            if claim.modes.is_for_one_pod() {
                in_use.count += storage.users(&key);
                in_use.claims.push(key);
            }
        }
        if in_use.claims.is_empty() && pod.disks.is_empty() {
            return PreFiltered::Skip;
        }
        cycle.put(in_use);
        PreFiltered::All
    }

    fn add_pod(&self, cycle: &mut Cycle, _: &PodInfo, added: &PodInfo, _: &NodeInfo, _: &Cluster) {
        if let Some(in_use) = cycle.change::<InUse>() {
            in_use.count += in_use.of(added);
        }
    }

    fn remove_pod(&self, cycle: &mut Cycle, _: &PodInfo, removed: &PodInfo, _: &NodeInfo, _: &Cluster) {
        if let Some(in_use) = cycle.change::<InUse>() {
            in_use.count = in_use.count.saturating_sub(in_use.of(removed));
        }
    }
}

impl Filter for VolumeRestrictions {
    fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !pod.disks.is_empty() && node.pods.values().any(|other| conflict(pod, other)) {
            return Err(Rejection::unschedulable("node(s) had no available disk"));
        }
        if cycle.get::<InUse>().is_some_and(|in_use| in_use.count > 0) {
            return Err(Rejection::unschedulable(
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
                 another pod",
            ));
        }
        Ok(())
    }
}

impl InUse {
    /// How many of the claims a pod uses.
    fn of(&self, other: &PodInfo) -> usize {
        other.named_claims().filter(|key| self.claims.contains(key)).count()
    }
}

fn conflict(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.disks.iter().any(|disk| other.disks.iter().any(|taken| disk.conflicts(taken)))
}

fn shares(pod: &PodInfo, other: &PodInfo) -> bool {
    pod.key.namespace == other.key.namespace && pod.named_claims().any(|key| other.named_claims().any(|k| k == key))
}
