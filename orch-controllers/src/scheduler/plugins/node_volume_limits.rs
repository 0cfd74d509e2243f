//! How many volumes of a CSI driver a node takes.

use orch_runtime::{
    scheduler::{
        Cluster, ClusterEvent, Cycle, DriverLimits, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreFilter,
        PreFiltered, Rejection, Storage,
    },
    storage::{ClaimInfo, Source},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Keeps pods off nodes that take no more volumes of a driver.
pub struct NodeVolumeLimits;

/// A volume of a driver, by names that no two volumes share.
type Volume = (Arc<str>, Arc<str>);

/// What the pod adds, and each node with limits.
#[derive(Clone)]
struct Attached {
    wanted: BTreeSet<Volume>,
    nodes: BTreeMap<Arc<str>, Arc<Limited>>,
}

/// How many volumes a node takes, and those that are there, with how many have to do with each: pods, and what is attached.
#[derive(Clone)]
struct Limited {
    limits: DriverLimits,
    volumes: BTreeMap<Volume, usize>,
}

impl Plugin for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) | ClusterEvent::Limits(None, _) => Hint::Queue,
            ClusterEvent::Limits(Some(old), new) if has_risen(old, new) => Hint::Queue,
            ClusterEvent::PodFreed(freed) if !freed.claims.is_empty() => Hint::Queue,
            ClusterEvent::Claim(None, claim) if pod.uses(&claim.key) => Hint::Queue,
            ClusterEvent::Detached(_) if pod.named_claims().next().is_some() => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for NodeVolumeLimits {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        if pod.claims.is_empty() {
            return PreFiltered::Skip;
        }
        let storage = cluster.storage();
        let wanted: BTreeSet<Volume> = volumes(pod, storage).collect();
        let limited = |node: &NodeInfo| {
            let limits =
                storage.limits(&node.name).filter(|limits| wanted.iter().any(|(d, _)| limits.contains_key(d)))?;
            Some((node.name.clone(), Arc::new(Limited { limits: limits.clone(), volumes: attached(node, storage) })))
        };
        let nodes =
            if wanted.is_empty() { BTreeMap::new() } else { cluster.nodes().iter().filter_map(limited).collect() };
        if nodes.is_empty() {
            return PreFiltered::Skip;
        }
        cycle.put(Attached { wanted, nodes });
        PreFiltered::All
    }

    fn add_pod(&self, cycle: &mut Cycle, _: &PodInfo, added: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        let Some(limited) = limited(cycle, node) else { return };
        volumes(added, cluster.storage()).for_each(|volume| *limited.volumes.entry(volume).or_default() += 1);
    }

    fn remove_pod(&self, cycle: &mut Cycle, _: &PodInfo, removed: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        let Some(limited) = limited(cycle, node) else { return };
        for volume in volumes(removed, cluster.storage()) {
            if let Some(count) = limited.volumes.get_mut(&volume) {
                *count = count.saturating_sub(1);
            }
        }
        limited.volumes.retain(|_, count| *count > 0);
    }
}

impl Filter for NodeVolumeLimits {
    fn filter(&self, cycle: &Cycle, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(Attached { wanted, nodes }) = cycle.get() else { return Ok(()) };
        let Some(limited) = nodes.get(&node.name) else { return Ok(()) };
        let Limited { limits, volumes: there } = &**limited;
        let fits = |(driver, limit): (&Arc<str>, &i64)| {
            let old = there.keys().filter(|(d, _)| d == driver).count();
            let new = wanted.iter().filter(|volume| volume.0 == *driver && !there.contains_key(*volume)).count();
            new == 0 || i64::try_from(old + new).unwrap_or(i64::MAX) <= *limit
        };
        if limits.iter().all(fits) {
            return Ok(());
        }
        Err(Rejection::unschedulable("node(s) exceed max volume count"))
    }
}

/// A node with limits, in this copy of the cycle.
fn limited<'a>(cycle: &'a mut Cycle, node: &NodeInfo) -> Option<&'a mut Limited> {
    let limited = cycle.change::<Attached>()?.nodes.get_mut(&node.name)?;
    Some(Arc::make_mut(limited))
}

/// What the node's pods have, and what is attached to it still.
fn attached(node: &NodeInfo, storage: &Storage) -> BTreeMap<Volume, usize> {
    let of_pods = node.pods.values().flat_map(|pod| volumes(pod, storage));
    let others = storage.attachments(&node.name).filter_map(|attachment| {
        match storage.volume(&attachment.volume).map(|volume| &volume.source) {
            Some(Source::Csi(csi)) => Some((attachment.attacher.clone(), csi.volume_handle.clone())),
            _ => None,
        }
    });
    let mut counts = BTreeMap::new();
    of_pods.chain(others).for_each(|volume| *counts.entry(volume).or_default() += 1);
    counts
}

/// The volumes of CSI drivers that a pod uses or will use. A claim that is not there is for VolumeBinding to complain about.
fn volumes(pod: &PodInfo, storage: &Storage) -> impl Iterator<Item = Volume> {
    pod.claims.iter().filter_map(|of| {
        let claim = storage.claim(&pod.claim_key(of)).filter(|claim| !of.ephemeral || claim.owner == pod.uid)?;
        volume(claim, storage)
    })
}

fn volume(claim: &ClaimInfo, storage: &Storage) -> Option<Volume> {
    match storage.volume(&claim.volume).map(|volume| &volume.source) {
        Some(Source::Csi(csi)) => Some((csi.driver.clone(), csi.volume_handle.clone())),
        Some(_) => None,
        // It is to be made yet: it counts under a name that no driver gives.
        None => {
            let class = storage.class(claim.class_name())?;
            Some((class.provisioner.clone(), format!("claim of {}", claim.key).into()))
        }
    }
}

fn has_risen(old: &DriverLimits, new: &DriverLimits) -> bool {
    new.iter().any(|(driver, limit)| *limit > old.get(driver).copied().unwrap_or(0))
}
