//! [`NodeInfo`]: a node and what its pods take of it.

use super::{
    pod::{HostPort, PodInfo, image_name},
    resources::Resources,
    taints::{Effect, Taint},
};
use k8s_openapi::api::core::v1::Node;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A node and what its pods take of it.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// Name.
    pub name: Arc<str>,
    /// Labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`
    pub unschedulable: bool,
    /// What pods may take.
    pub allocatable: Resources,
    /// What pods have taken.
    pub requested: Resources,
    /// CPU and memory that pods have taken as the scores see it.
    pub scored: Resources,
    /// Ports that pods have taken.
    pub ports: Vec<HostPort>,
    /// Pods by UID, assumed ones among them.
    pub pods: HashMap<Arc<str>, Arc<PodInfo>>,
    /// Those of them that ask for pods near or far, in no particular order.
    pub neighbours: Vec<Arc<PodInfo>>,
    /// Images that the node has, with their sizes in bytes.
    pub images: HashMap<Arc<str>, i64>,
}

impl NodeInfo {
    /// A node without pods.
    pub fn read(node: &Node) -> Self {
        let mut info = Self::default();
        info.update(node);
        info
    }

    /// Takes over the node's own fields; its pods stay.
    pub fn update(&mut self, node: &Node) {
        let shared = |s: &String| Arc::<str>::from(s.as_str());
        let spec = node.spec.clone().unwrap_or_default();
        let status = node.status.clone().unwrap_or_default();
        self.name = node.metadata.name.as_ref().map(shared).unwrap_or_default();
        self.labels = node.metadata.labels.iter().flatten().map(|(k, v)| (shared(k), shared(v))).collect();
        self.unschedulable = spec.unschedulable.unwrap_or(false);
        self.taints = spec.taints.iter().flatten().filter_map(taint).collect();
        let allocatable = status.allocatable.unwrap_or_default();
        self.allocatable = Resources::parse(allocatable.iter().map(|(k, v)| (k.as_str(), v.0.as_str())));
        self.images = status
            .images
            .iter()
            .flatten()
            .flat_map(|i| i.names.iter().flatten().map(|n| (image_name(&shared(n)), i.size_bytes.unwrap_or(0))))
            .collect();
    }

    /// Counts a pod in. Replaces what was counted for its UID.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.remove(&pod.uid);
        self.requested.add(&pod.requests);
        self.scored.add(&pod.scored);
        self.ports.extend(pod.host_ports.iter().cloned());
        if pod.neighbours.is_some() {
            self.neighbours.push(pod.clone());
        }
        self.pods.insert(pod.uid.clone(), pod);
    }

    /// Counts a pod out.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(uid)?;
        self.requested.subtract(&pod.requests);
        self.scored.subtract(&pod.scored);
        if pod.neighbours.is_some() {
            self.neighbours.retain(|other| other.uid != pod.uid);
        }
        for port in &pod.host_ports {
            if let Some(i) = self.ports.iter().position(|p| p == port) {
                self.ports.swap_remove(i);
            }
        }
        Some(pod)
    }

    /// The first taint with one of the effects that the pod does not tolerate.
    pub fn untolerated(&self, pod: &PodInfo, effects: impl Fn(Effect) -> bool) -> Option<&Taint> {
        super::taints::untolerated(&self.taints, &pod.tolerations, effects)
    }
}

fn taint(taint: &k8s_openapi::api::core::v1::Taint) -> Option<Taint> {
    let effect = match taint.effect.as_str() {
        "NoSchedule" => Effect::NoSchedule,
        "PreferNoSchedule" => Effect::PreferNoSchedule,
        "NoExecute" => Effect::NoExecute,
        _ => return None,
    };
    Some(Taint { key: taint.key.as_str().into(), value: taint.value.as_deref().unwrap_or_default().into(), effect })
}
