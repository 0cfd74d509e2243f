//! Zones and regions of volumes, by their labels.

use orch_runtime::{
    scheduler::{
        Cluster, ClusterEvent, Cycle, Filter, Hint, NodeInfo, Plugin, PodInfo, Points, PreFilter, PreFiltered,
        Rejection,
    },
    storage::VolumeInfo,
};
use std::sync::Arc;

const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const LABELS: [&str; 4] = [BETA_ZONE, BETA_REGION, ZONE, REGION];
/// What separates the zones of a volume that is in several.
const SEPARATOR: &str = "__";

/// Keeps pods in the zones and regions of their bound volumes.
pub struct VolumeZone;

/// Labels that a node must have, each with one of these values.
struct Places(Vec<Place>);

#[derive(PartialEq, Eq)]
struct Place {
    label: &'static str,
    values: Vec<Arc<str>>,
}

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn register(self: Arc<Self>, points: &mut Points) {
        points.pre_filter(self.clone()).filter(self);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        match event {
            ClusterEvent::NodeAdded(_) => Hint::Queue,
            ClusterEvent::NodeUpdated(old, new) if old.labels != new.labels => Hint::Queue,
            ClusterEvent::Class(None, class) if class.waits => Hint::Queue,
            ClusterEvent::Claim(_, claim) if pod.named_claims().any(|key| key == claim.key) => Hint::Queue,
            ClusterEvent::Volume(None, _) => Hint::Queue,
            ClusterEvent::Volume(Some(old), new) if places(old).ne(places(new)) => Hint::Queue,
            _ => Hint::Skip,
        }
    }
}

impl PreFilter for VolumeZone {
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered {
        match all_places(pod, cluster) {
            Err(words) => PreFiltered::Reject(Rejection::unresolvable(words)),
            Ok(all) if all.is_empty() => PreFiltered::Skip,
            Ok(all) => {
                cycle.put(Places(all));
                PreFiltered::All
            }
        }
    }
}

impl Filter for VolumeZone {
    fn filter(&self, cycle: &Cycle, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(Places(all)) = cycle.get() else { return Ok(()) };
        // A cluster of a single zone may have no labels of zones at all.
        if !LABELS.iter().any(|label| node.labels.contains_key(*label)) {
            return Ok(());
        }
        let is_there = |place: &Place| {
            let value = node.labels.get(place.label).or_else(|| node.labels.get(without_beta(place.label)));
            value.is_some_and(|value| place.values.contains(value))
        };
        if all.iter().all(is_there) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) had no available volume zone"))
    }
}

fn all_places(pod: &PodInfo, cluster: &Cluster) -> Result<Vec<Place>, String> {
    let storage = cluster.storage();
    let mut all = Vec::new();
    for key in pod.named_claims() {
        let claim = storage.claim(&key).ok_or_else(|| format!("persistentvolumeclaim {:?} not found", key.name))?;
        if !claim.volume.is_empty() {
            let found = storage.volume(&claim.volume);
            let volume = found.ok_or_else(|| format!("persistentvolume {:?} not found", claim.volume))?;
            all.extend(places(volume));
            continue;
        }
        let class = claim.class_name();
        if class.is_empty() {
            return Err("PersistentVolumeClaim had no pv name and storageClass name".into());
        }
        let found = storage.class(class);
        let class = found.ok_or_else(|| format!("storageclass.storage.k8s.io {class:?} not found"))?;
        if !class.waits {
            return Err("PersistentVolume had no name".into());
        }
    }
    Ok(all)
}

fn places(volume: &VolumeInfo) -> impl Iterator<Item = Place> {
    LABELS.into_iter().filter_map(|label| {
        let text = volume.labels.get(label)?;
        let values: Vec<Arc<str>> = text.split(SEPARATOR).map(|value| value.trim().into()).collect();
        // A list with a gap is none.
        values.iter().all(|value| !value.is_empty()).then_some(Place { label, values })
    })
}

fn without_beta(label: &str) -> &str {
    match label {
        BETA_ZONE => ZONE,
        BETA_REGION => REGION,
        other => other,
    }
}
