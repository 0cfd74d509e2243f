//! [`Cluster`]: all nodes in one array, kept up to date event by event.
//!
//! kube-scheduler copies its cache into a snapshot before each cycle because events arrive meanwhile. Here
//! events and cycles take turns in one task, so the cache is the snapshot and nothing is copied.

use super::{budgets::Budget, node::NodeInfo, nominations::Nominations, pod::PodInfo, storage::Storage};
use k8s_openapi::api::core::v1::Node;
use orch_api::Key;
use orch_store::stored::Labels;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Where a node stands in the array. Valid until a node is removed.
pub type NodeIndex = usize;

/// All nodes with their pods.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    nodes: Vec<NodeInfo>,
    index: HashMap<Arc<str>, NodeIndex>,
    /// Pods that are bound or assumed, by UID, with the name of their node.
    places: HashMap<Arc<str>, Arc<str>>,
    /// Pods whose node is not known (yet), by node.
    homeless: HashMap<Arc<str>, HashMap<Arc<str>, Arc<PodInfo>>>,
    /// On how many nodes each image is.
    image_nodes: HashMap<Arc<str>, usize>,
    storage: Storage,
    nominations: Nominations,
    budgets: BTreeMap<Key, Budget>,
    namespaces: HashMap<Arc<str>, Labels>,
    /// Nodes with pods that ask for pods near or far: mostly none, and then nobody has to look.
    with_neighbours: HashSet<Arc<str>>,
}

impl Cluster {
    /// All nodes, in no particular order.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(*self.index.get(name)?)
    }

    /// The place of a node in the array.
    pub fn position(&self, name: &str) -> Option<NodeIndex> {
        self.index.get(name).copied()
    }

    /// The claims, volumes and classes.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The claims, volumes and classes, for who keeps them.
    pub fn storage_mut(&mut self) -> &mut Storage {
        &mut self.storage
    }

    /// The pods that wait for a node that is kept for them.
    pub fn nominations(&self) -> &Nominations {
        &self.nominations
    }

    /// The pods that wait for a node that is kept for them, for who keeps it.
    pub fn nominations_mut(&mut self) -> &mut Nominations {
        &mut self.nominations
    }

    /// The disruption budgets, in the order of their keys.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    /// Takes over a budget.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budgets.insert(budget.key.clone(), budget);
    }

    /// Forgets a budget.
    pub fn remove_budget(&mut self, key: &Key) {
        self.budgets.remove(key);
    }

    /// The labels of a namespace.
    pub fn namespace_labels(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name)
    }

    /// Takes over the labels of a namespace; `None` forgets it.
    pub fn set_namespace(&mut self, name: Arc<str>, labels: Option<Labels>) {
        match labels {
            Some(labels) => self.namespaces.insert(name, labels),
            None => self.namespaces.remove(&name),
        };
    }

    /// Whether any pod on a node asks for pods near or far.
    pub fn has_neighbours(&self) -> bool {
        !self.with_neighbours.is_empty()
    }

    /// The nodes of such pods, in no particular order.
    pub fn nodes_with_neighbours(&self) -> impl Iterator<Item = &NodeInfo> {
        self.with_neighbours.iter().filter_map(|name| self.node(name))
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    /// Adds a node or takes over its new fields. Returns it as it was before.
    pub fn set_node(&mut self, node: &Node) -> Option<NodeInfo> {
        let name: Arc<str> = node.metadata.name.as_deref().unwrap_or_default().into();
        let old = match self.index.get(&name) {
            Some(&i) => {
                // The old form goes to hints, which look at the node's own fields.
                let slot = &mut self.nodes[i];
                let old = NodeInfo {
                    name: slot.name.clone(),
                    labels: std::mem::take(&mut slot.labels),
                    taints: std::mem::take(&mut slot.taints),
                    unschedulable: slot.unschedulable,
                    allocatable: std::mem::take(&mut slot.allocatable),
                    images: std::mem::take(&mut slot.images),
                    ..NodeInfo::default()
                };
                slot.update(node);
                Some(old)
            }
            None => {
                let mut info = NodeInfo::read(node);
                for pod in self.homeless.remove(&name).unwrap_or_default().into_values() {
                    info.add(pod);
                }
                self.index.insert(name.clone(), self.nodes.len());
                self.nodes.push(info);
                self.note_neighbours(&name);
                None
            }
        };
        self.forget_images(old.as_ref());
        if let Some(&i) = self.index.get(&name) {
            for image in self.nodes[i].images.keys() {
                *self.image_nodes.entry(image.clone()).or_default() += 1;
            }
        }
        old
    }

    /// Removes a node; its pods are remembered until they go.
    pub fn remove_node(&mut self, name: &str) -> Option<NodeInfo> {
        let i = self.index.remove(name)?;
        let node = self.nodes.swap_remove(i);
        if let Some(moved) = self.nodes.get(i) {
            self.index.insert(moved.name.clone(), i);
        }
        self.with_neighbours.remove(&node.name);
        if !node.pods.is_empty() {
            self.homeless.insert(node.name.clone(), node.pods.clone());
        }
        self.forget_images(Some(&node));
        Some(node)
    }

    /// Counts a bound or assumed pod in, wherever it was counted before.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>, node: &Arc<str>) {
        if self.places.get(&pod.uid).is_some_and(|place| place != node) {
            self.remove_pod(&pod.uid);
        }
        if self.places.insert(pod.uid.clone(), node.clone()).is_none() {
            // The volumes of a pod never change: it is counted once.
            self.storage.add_user(&pod);
        }
        let asks = pod.neighbours.is_some();
        match self.index.get(node) {
            Some(&i) => self.nodes[i].add(pod),
            None => {
                self.homeless.entry(node.clone()).or_default().insert(pod.uid.clone(), pod);
            }
        }
        if asks {
            self.note_neighbours(node);
        }
    }

    /// Counts a pod out. Returns it and its node if it was counted.
    pub fn remove_pod(&mut self, uid: &str) -> Option<(Arc<PodInfo>, Arc<str>)> {
        let place = self.places.remove(uid)?;
        let pod = match self.index.get(&place) {
            Some(&i) => self.nodes[i].remove(uid)?,
            None => {
                let pods = self.homeless.get_mut(&place)?;
                let pod = pods.remove(uid)?;
                if pods.is_empty() {
                    self.homeless.remove(&place);
                }
                pod
            }
        };
        self.storage.remove_user(&pod);
        if pod.neighbours.is_some() {
            self.note_neighbours(&place);
        }
        Some((pod, place))
    }

    /// A bound or assumed pod.
    pub fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        let place = self.places.get(uid)?;
        match self.node(place) {
            Some(node) => node.pods.get(uid),
            None => self.homeless.get(place)?.get(uid),
        }
    }

    /// Whether a pod is bound or assumed.
    pub fn holds(&self, uid: &str) -> bool {
        self.places.contains_key(uid)
    }

    fn note_neighbours(&mut self, node: &Arc<str>) {
        match self.node(node).is_some_and(|node| !node.neighbours.is_empty()) {
            true => self.with_neighbours.insert(node.clone()),
            false => self.with_neighbours.remove(node),
        };
    }

    fn forget_images(&mut self, node: Option<&NodeInfo>) {
        for image in node.iter().flat_map(|n| n.images.keys()) {
            if let Some(count) = self.image_nodes.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.image_nodes.remove(image);
                }
            }
        }
    }
}
