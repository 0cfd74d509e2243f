//! [`PodFacts`]: what controllers look at in many pods, read once per revision.

use super::time::plus_seconds;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Toleration};
use orch_api::{Gvr, Object};
use orch_runtime::view::{Facts, Known};
use orch_store::{Stored, stored::Parts};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// A few facts of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFacts {
    /// Where it is in its life.
    pub phase: Phase,
    /// The node, empty while unscheduled.
    pub node: Box<str>,
    /// When it was bound to its node, if that is known.
    pub bound_at: Option<Timestamp>,
    /// Since when it is ready; `None` when it is not.
    pub ready_since: Option<Timestamp>,
    /// When it became ready, or ceased to be, last.
    pub ready_changed: Option<Timestamp>,
    /// `controller.kubernetes.io/pod-deletion-cost`
    pub deletion_cost: i32,
    /// The most restarts of any of its containers.
    pub restarts: i32,
    /// The same for containers that start before the others and run beside them.
    pub sidecar_restarts: i32,
    /// Its addresses.
    pub ips: Box<[Box<str>]>,
    /// `spec.hostname`
    pub hostname: Box<str>,
    /// `spec.subdomain`
    pub subdomain: Box<str>,
    /// The named ports of its containers and of its sidecars.
    pub ports: Box<[NamedPort]>,
    /// The tolerations that speak of `NoExecute`.
    pub tolerations: Box<[Toleration]>,
    /// Its volumes that are claims: the volume's name and the claim's.
    pub claims: Box<[(Box<str>, Box<str>)]>,
    /// The one node that its required node affinity names by `metadata.name`; empty if there is none.
    pub named_node: Box<str>,
}

/// A named container port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedPort {
    /// Its name.
    pub name: Box<str>,
    /// Its number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
}

/// Where a pod is in its life, in the order in which pods are given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepted, not all containers run.
    #[default]
    Pending,
    /// The node cannot be asked.
    Unknown,
    /// Bound to a node and begun.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
}

impl Phase {
    /// The phase of this name; what is no phase has not begun.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Unknown" => Self::Unknown,
            _ => Self::Pending,
        }
    }
}

impl PodFacts {
    /// Whether all containers have ended for good.
    pub fn is_finished(&self) -> bool {
        self.phase >= Phase::Succeeded
    }

    /// Whether a stored pod is ready.
    pub fn of_ready(stored: &Stored) -> bool {
        stored.memo(Self::of).is_ready()
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.ready_since.is_some()
    }

    /// When it counts, or began to count, as available: so long after it became ready. `None` while it is not ready.
    pub fn available_at(&self, min_ready_seconds: i32) -> Option<Timestamp> {
        let wait =
            |since| if min_ready_seconds == 0 { Timestamp::MIN } else { plus_seconds(since, min_ready_seconds.into()) };
        self.ready_since.map(wait)
    }

    /// Whether it has been ready for long enough (`IsPodAvailable`).
    pub fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        self.available_at(min_ready_seconds).is_some_and(|at| at <= now)
    }

    /// The node that it is for: the one that it is bound to, or the one that its affinity names.
    pub fn target_node(&self) -> &str {
        if self.node.is_empty() { &self.named_node } else { &self.node }
    }
}

/// Whether a pod counts as a replica: neither finished nor being deleted.
pub fn is_active(pod: &Known<PodFacts>) -> bool {
    !pod.facts.is_finished() && !pod.stored.meta.is_deleting()
}

/// The index of pods without a managing controller, by namespace.
pub const ORPHANS: &str = "orphans";

/// Files pods without a managing controller under their namespace.
pub fn orphan_index(stored: &Stored) -> Vec<Arc<str>> {
    if stored.controller().is_none() { vec![stored.key.namespace.clone()] } else { Vec::new() }
}

impl Facts for PodFacts {
    fn gvr() -> Gvr {
        Pod::gvr()
    }

    fn of(stored: &Stored) -> Self {
        Self::from(Lite::of(stored))
    }
}

impl From<Lite> for PodFacts {
    fn from(Parts { metadata, spec, status }: Lite) -> Self {
        let condition = status.conditions.iter().find(|c| c.kind == "Ready");
        let ready = condition.filter(|c| c.status == "True");
        let bound = status.conditions.iter().find(|c| c.kind == "PodScheduled" && c.status == "True");
        let sidecars = spec.init_containers.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let cost = metadata.annotations.get("controller.kubernetes.io/pod-deletion-cost");
        let is_sidecar = |name: &str| sidecars.clone().any(|sidecar| sidecar.name == name);
        let restarted = status.init_container_statuses.iter().filter(|c| is_sidecar(&c.name)).map(|c| c.restart_count);
        let sidecar_restarts = restarted.max().unwrap_or(0);
        let mut ips: Vec<Box<str>> = status.pod_ips.iter().map(|ip| ip.ip.as_str().into()).collect();
        if ips.is_empty() && !status.pod_ip.is_empty() {
            ips.push(status.pod_ip.as_str().into());
        }
        Self {
            phase: Phase::named(&status.phase),
            node: spec.node_name.into(),
            bound_at: bound.and_then(|c| c.last_transition_time),
            ready_since: ready.map(LiteCondition::since),
            ready_changed: condition.and_then(|c| c.last_transition_time),
            deletion_cost: cost.and_then(|c| c.parse().ok()).unwrap_or(0),
            restarts: status.container_statuses.iter().map(|c| c.restart_count).max().unwrap_or(0),
            sidecar_restarts,
            ips: ips.into(),
            hostname: spec.hostname.into(),
            subdomain: spec.subdomain.into(),
            ports: spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports).filter_map(named).collect(),
            tolerations: spec.tolerations.into_iter().filter(is_of_no_execute).collect(),
            claims: spec.volumes.into_iter().filter_map(|v| Some((v.name, v.claim?.claim_name))).collect(),
            named_node: spec.affinity.and_then(named_node).unwrap_or_default(),
        }
    }
}

/// The node of a DaemonSet's pod that is not bound yet (`GetTargetNodeName`).
fn named_node(affinity: LiteAffinity) -> Option<Box<str>> {
    let terms = affinity.node_affinity?.required?.node_selector_terms;
    let mut fields = terms.into_iter().flat_map(|term| term.match_fields);
    let field = fields.find(|field| field.key == "metadata.name" && field.operator == "In")?;
    let mut values = field.values.into_iter();
    values.next().filter(|_| values.next().is_none())
}

fn named(port: &LitePort) -> Option<NamedPort> {
    let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
    let named = NamedPort { name: port.name.as_str().into(), port: port.container_port, protocol: protocol.into() };
    (!port.name.is_empty()).then_some(named)
}

fn is_of_no_execute(toleration: &Toleration) -> bool {
    matches!(toleration.effect.as_deref(), None | Some("" | "NoExecute"))
}

/// The part of a pod's JSON that is read.
type Lite = Parts<LiteSpec, LiteStatus, LiteMeta>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteMeta {
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteSpec {
    node_name: String,
    hostname: String,
    subdomain: String,
    containers: Vec<LiteContainer>,
    init_containers: Vec<LiteContainer>,
    tolerations: Vec<Toleration>,
    volumes: Vec<LiteVolume>,
    affinity: Option<LiteAffinity>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteVolume {
    name: Box<str>,
    #[serde(rename = "persistentVolumeClaim")]
    claim: Option<LiteClaim>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteClaim {
    claim_name: Box<str>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteAffinity {
    node_affinity: Option<LiteNodeAffinity>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteNodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<LiteTerms>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteTerms {
    node_selector_terms: Vec<LiteTerm>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteTerm {
    match_fields: Vec<LiteField>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteField {
    key: String,
    operator: String,
    values: Vec<Box<str>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteContainer {
    name: String,
    ports: Vec<LitePort>,
    restart_policy: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LitePort {
    name: String,
    container_port: i32,
    protocol: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteStatus {
    phase: String,
    conditions: Vec<LiteCondition>,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<LiteIp>,
    container_statuses: Vec<LiteContainerStatus>,
    init_container_statuses: Vec<LiteContainerStatus>,
}

/// A condition of a pod.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LiteCondition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) last_transition_time: Option<Timestamp>,
}

impl LiteCondition {
    pub(crate) fn since(&self) -> Timestamp {
        self.last_transition_time.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LiteIp {
    ip: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LiteContainerStatus {
    name: String,
    restart_count: i32,
}
