//! [`ClassInfo`]: a StorageClass in a few fields; [`CapacityInfo`]: what a CSI driver has left.

use super::{Annotated, marks};
use crate::{scheduler::NodeInfo, view::Facts};
use jiff::Timestamp;
use k8s_openapi::{api::storage::v1::StorageClass, apimachinery::pkg::apis::meta::v1::LabelSelector as TypedSelector};
use orch_api::{Gvr, Object, label_selector::Selector, quantity::Quantity};
use orch_store::Stored;
use serde::Deserialize;
use std::sync::Arc;

/// A StorageClass in a few fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassInfo {
    /// Name.
    pub name: Arc<str>,
    /// Who makes its volumes.
    pub provisioner: Arc<str>,
    /// Whether its volumes are made and bound once a pod has a node, and not before.
    pub waits: bool,
    /// Where volumes may be made; everywhere when empty.
    pub topologies: Vec<Topology>,
    /// Whether claims that name no class get this one.
    pub is_default: bool,
    /// When it was created.
    pub created: Timestamp,
}

/// Labels that a node must all have.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    match_label_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Expression {
    key: Arc<str>,
    values: Vec<Arc<str>>,
}

impl ClassInfo {
    /// Reads the stored JSON.
    pub fn read(stored: &Stored) -> Self {
        let class: Json = stored.parse().unwrap_or_default();
        let marked = |name: &str| class.metadata.annotations.get(name).is_some_and(|value| &**value == "true");
        Self {
            name: stored.key.name.clone(),
            waits: &*class.volume_binding_mode == "WaitForFirstConsumer",
            is_default: marked(marks::DEFAULT_CLASS) || marked(marks::DEFAULT_CLASS_OF_OLD),
            provisioner: class.provisioner,
            topologies: class.allowed_topologies,
            created: stored.meta.creation_timestamp.unwrap_or_default(),
        }
    }

    /// Whether volumes of the class may be made for the node (`MatchTopologySelectorTerms`).
    pub fn allows(&self, node: &NodeInfo) -> bool {
        self.topologies.is_empty() || self.topologies.iter().any(|term| term.matches(node))
    }

    /// The default of several is the newest; of equally new ones the first by name (`util.GetDefaultClass`).
    pub fn default_of<'a>(classes: impl IntoIterator<Item = &'a Self>) -> Option<&'a Self> {
        let marked = classes.into_iter().filter(|class| class.is_default);
        marked.min_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)))
    }
}

impl Topology {
    /// Whether the node has all labels. A term without any matches no node.
    fn matches(&self, node: &NodeInfo) -> bool {
        let has = |wanted: &Expression| node.labels.get(&wanted.key).is_some_and(|value| wanted.values.contains(value));
        !self.match_label_expressions.is_empty() && self.match_label_expressions.iter().all(has)
    }
}

impl Facts for ClassInfo {
    fn gvr() -> Gvr {
        StorageClass::gvr()
    }

    fn of(stored: &Stored) -> Self {
        Self::read(stored)
    }
}

/// A CSIStorageCapacity: what a driver has left for nodes of some kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CapacityInfo {
    /// The class whose volumes are meant.
    pub class: Arc<str>,
    /// The largest volume that may be had; `None` when nothing is known.
    pub limit: Option<Quantity>,
    /// The nodes that can reach it; none when unset.
    pub nodes: Option<Selector>,
}

impl CapacityInfo {
    /// Reads the stored JSON.
    pub fn read(stored: &Stored) -> Self {
        let json: CapacityJson = stored.parse().unwrap_or_default();
        let amount = |text: Option<Arc<str>>| text.and_then(|text| Quantity::parse(&text).ok());
        Self {
            class: json.storage_class_name,
            limit: amount(json.maximum_volume_size.or(json.capacity)),
            nodes: json.node_topology.and_then(|typed| Selector::from_typed(Some(&typed)).ok()),
        }
    }

    /// Whether a volume of that size can be had for the node.
    pub fn has_room(&self, size: Quantity, node: &NodeInfo) -> bool {
        self.limit.is_some_and(|limit| limit.value() >= size.value())
            && self.nodes.as_ref().is_some_and(|nodes| nodes.matches(&node.labels))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Json {
    metadata: Annotated,
    provisioner: Arc<str>,
    volume_binding_mode: Arc<str>,
    allowed_topologies: Vec<Topology>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CapacityJson {
    storage_class_name: Arc<str>,
    capacity: Option<Arc<str>>,
    maximum_volume_size: Option<Arc<str>>,
    node_topology: Option<TypedSelector>,
}
