//! [`PodInfo`]: what the scheduler needs of a pod, read once per revision.

use super::{
    affinity::{NodeAffinity, NodeTerm},
    neighbours::{Neighbours, NeighboursJson},
    resources::Resources,
    spread::{Spread, SpreadJson},
    taints::Toleration,
    volumes::{Disk, PodClaim, VolumeJson},
};
use jiff::Timestamp;
use orch_api::Key;
use orch_store::{Stored, client::Result, stored::Labels};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};

/// CPU that a container without a request counts with when nodes are scored, in thousandths.
const SCORED_CPU_MILLIS: i64 = 100;
/// Memory that a container without a request counts with when nodes are scored, in bytes.
const SCORED_MEMORY: i64 = 200 << 20;

/// What the scheduler needs of a pod.
#[derive(Clone, Debug, Default)]
pub struct PodInfo {
    /// Namespace and name.
    pub key: Key,
    /// UID.
    pub uid: Arc<str>,
    /// Labels.
    pub labels: Labels,
    /// `spec.priority`
    pub priority: i32,
    /// When it was created.
    pub created: Timestamp,
    /// `spec.schedulerName`
    pub scheduler: Arc<str>,
    /// `spec.nodeName`, empty while unscheduled.
    pub node: Arc<str>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it has ended: it takes no resources any more.
    pub ended: bool,
    /// Whether it waits until there is room, and makes none: `spec.preemptionPolicy` is `Never`.
    pub never_preempts: bool,
    /// `status.nominatedNodeName`, mostly empty.
    pub nominated: Arc<str>,
    /// When its node accepted it: `status.startTime`.
    pub started: Option<Timestamp>,
    /// Whether a scheduler has said that it goes, to make room for another.
    pub is_victim: bool,
    /// What a condition says of the generation that it was decided for: 0 where the pod's status does not tell any.
    pub generation: i64,
    /// What it requests, itself counted as one pod.
    pub requests: Resources,
    /// CPU and memory as the scores see them: containers without requests count with defaults.
    pub scored: Resources,
    /// Ports that it takes on the node.
    pub host_ports: Vec<HostPort>,
    /// Nodes that it asks for.
    pub affinity: NodeAffinity,
    /// Pods that it wants near, or not; mostly none.
    pub neighbours: Option<Arc<Neighbours>>,
    /// How evenly it and its like are to be spread.
    pub spread: Vec<Spread>,
    /// Taints that it tolerates.
    pub tolerations: Vec<Toleration>,
    /// Images of all containers, with tag or digest.
    pub images: Vec<Arc<str>>,
    /// Claims that its volumes are.
    pub claims: Vec<PodClaim>,
    /// Disks that it states itself.
    pub disks: Vec<Disk>,
    /// Names of the gates that keep it from being scheduled.
    pub gates: Vec<Arc<str>>,
    /// The message of its false `PodScheduled` condition, empty without one.
    pub refusal: Arc<str>,
}

/// A port on the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Address on the node; `0.0.0.0` for all.
    pub ip: Arc<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// Port number.
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be had on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        let everywhere = |p: &Self| matches!(&*p.ip, "" | "0.0.0.0" | "::");
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || everywhere(self) || everywhere(other))
    }
}

/// A pod that waits to be scheduled.
#[derive(Clone, Debug)]
pub struct Queued {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it (last) joined the queue.
    pub since: Timestamp,
}

impl PodInfo {
    /// Reads the stored JSON.
    pub fn read(stored: &Stored) -> Result<Self> {
        let PodJson { mut spec, status } = stored.parse()?;
        let near = spec.affinity.as_mut().map(|a| (a.pod_affinity.take(), a.pod_anti_affinity.take()));
        let (affinity, anti_affinity) = near.unwrap_or_default();
        let containers = || spec.containers.iter().chain(&spec.init_containers);
        let unscheduled = status.conditions.iter().find(|c| &*c.kind == "PodScheduled" && &*c.status == "False");
        Ok(Self {
            key: stored.key.clone(),
            uid: stored.meta.uid.clone(),
            labels: stored.meta.labels.clone(),
            priority: spec.priority,
            created: stored.meta.creation_timestamp.unwrap_or_default(),
            scheduler: spec.scheduler_name,
            node: spec.node_name,
            deleting: stored.meta.is_deleting(),
            ended: matches!(&*status.phase, "Succeeded" | "Failed"),
            never_preempts: &*spec.preemption_policy == "Never",
            is_victim: status.conditions.iter().any(Condition::is_of_preemption),
            generation: if status.observed_generation == 0 { 0 } else { stored.meta.generation },
            nominated: status.nominated_node_name,
            started: status.start_time,
            requests: requests(&spec.containers, &spec.init_containers, &spec.overhead, false),
            scored: requests(&spec.containers, &spec.init_containers, &spec.overhead, true),
            host_ports: spec.containers.iter().flat_map(host_ports).collect(),
            images: containers().map(|c| image_name(&c.image)).collect(),
            affinity: node_affinity(spec.node_selector, spec.affinity),
            neighbours: Neighbours::read(affinity, anti_affinity, &stored.key.namespace),
            spread: spec.topology_spread_constraints.into_iter().map(|c| c.compiled(&stored.meta.labels)).collect(),
            tolerations: spec.tolerations,
            claims: spec.volumes.iter().filter_map(|v| v.claim(&stored.key.name)).collect(),
            disks: spec.volumes.iter().filter_map(VolumeJson::disk).collect(),
            gates: spec.scheduling_gates.into_iter().map(|g| g.name).collect(),
            refusal: unscheduled.map(|c| c.message.clone()).unwrap_or_default(),
        })
    }

    /// The key of a claim of its.
    pub fn claim_key(&self, claim: &PodClaim) -> Key {
        Key { namespace: self.key.namespace.clone(), name: claim.name.clone() }
    }

    /// The claims that it names, without those that are made for it alone.
    pub fn named_claims(&self) -> impl Iterator<Item = Key> {
        self.claims.iter().filter(|claim| !claim.ephemeral).map(|claim| self.claim_key(claim))
    }

    /// Whether it uses the claim.
    pub fn uses(&self, claim: &Key) -> bool {
        self.key.namespace == claim.namespace && self.claims.iter().any(|c| c.name == claim.name)
    }
}

/// Where the pods of a template ask to run, for those who choose the nodes themselves (DaemonSets).
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `spec.nodeName`, mostly empty.
    pub node: Arc<str>,
    /// Nodes that they ask for.
    pub affinity: NodeAffinity,
    /// Taints that they tolerate.
    pub tolerations: Vec<Toleration>,
    /// Whether they live in the node's own network.
    pub host_network: bool,
}

impl Wishes {
    /// Reads the template of a stored workload.
    ///
    /// # Errors
    /// If its JSON has another shape.
    pub fn of_template(stored: &Stored) -> Result<Self> {
        let Workload { spec: Templated { template: PodJson { spec, .. } } } = stored.parse()?;
        Ok(Self {
            node: spec.node_name,
            affinity: node_affinity(spec.node_selector, spec.affinity),
            tolerations: spec.tolerations,
            host_network: spec.host_network,
        })
    }
}

fn node_affinity(selector: BTreeMap<Arc<str>, Arc<str>>, affinity: Option<Affinity>) -> NodeAffinity {
    let affinity = affinity.and_then(|a| a.node_affinity).unwrap_or_default();
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution;
    NodeAffinity {
        selector,
        required: affinity.required_during_scheduling_ignored_during_execution.map(|r| r.node_selector_terms),
        preferred: preferred.into_iter().map(|p| (p.weight, p.preference)).collect(),
    }
}

/// What a pod requests: its containers and sidecars together, or the largest moment of its start if that is
/// more (`component-helpers/resource`, `PodRequests`; KEP-753).
fn requests(containers: &[Container], init: &[Container], overhead: &Quantities, scored: bool) -> Resources {
    let mut running = Resources::default();
    containers.iter().for_each(|c| running.add(&c.requests(scored)));
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in init {
        let own = container.requests(scored);
        if &*container.restart_policy == "Always" {
            sidecars.add(&own);
            starting.raise_to(&sidecars);
        } else {
            let mut moment = sidecars.clone();
            moment.add(&own);
            starting.raise_to(&moment);
        }
    }
    running.add(&sidecars);
    running.raise_to(&starting);
    running.add(&amounts(overhead));
    running.pods = 1;
    running
}

impl Container {
    fn requests(&self, scored: bool) -> Resources {
        let mut requests = amounts(&self.resources.requests);
        if scored {
            if !self.resources.requests.contains_key("cpu") {
                requests.cpu_millis = SCORED_CPU_MILLIS;
            }
            if !self.resources.requests.contains_key("memory") {
                requests.memory = SCORED_MEMORY;
            }
        }
        requests
    }
}

fn amounts(quantities: &Quantities) -> Resources {
    Resources::parse(quantities.iter().map(|(k, v)| (&**k, &**v)))
}

fn host_ports(container: &Container) -> impl Iterator<Item = HostPort> {
    container.ports.iter().filter(|p| p.host_port > 0).map(|p| HostPort {
        ip: p.host_ip.clone(),
        protocol: if p.protocol.is_empty() { "TCP".into() } else { p.protocol.clone() },
        port: p.host_port,
    })
}

/// An image with the tag that an untagged name stands for.
pub(super) fn image_name(image: &Arc<str>) -> Arc<str> {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.clone() } else { format!("{image}:latest").into() }
}

type Quantities = BTreeMap<Arc<str>, Arc<str>>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Workload {
    spec: Templated,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Templated {
    template: PodJson,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodJson {
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    priority: i32,
    preemption_policy: Arc<str>,
    scheduler_name: Arc<str>,
    node_name: Arc<str>,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: Quantities,
    node_selector: BTreeMap<Arc<str>, Arc<str>>,
    affinity: Option<Affinity>,
    tolerations: Vec<Toleration>,
    topology_spread_constraints: Vec<SpreadJson>,
    scheduling_gates: Vec<Gate>,
    volumes: Vec<VolumeJson>,
    host_network: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    image: Arc<str>,
    restart_policy: Arc<str>,
    resources: Requests,
    ports: Vec<Port>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requests {
    requests: Quantities,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Port {
    host_port: i32,
    #[serde(rename = "hostIP")]
    host_ip: Arc<str>,
    protocol: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinityJson>,
    pod_affinity: Option<NeighboursJson>,
    pod_anti_affinity: Option<NeighboursJson>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinityJson {
    required_during_scheduling_ignored_during_execution: Option<Terms>,
    preferred_during_scheduling_ignored_during_execution: Vec<Preferred>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Terms {
    node_selector_terms: Vec<NodeTerm>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Preferred {
    weight: i64,
    preference: NodeTerm,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Gate {
    name: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Arc<str>,
    nominated_node_name: Arc<str>,
    start_time: Option<Timestamp>,
    observed_generation: i64,
    conditions: Vec<Condition>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: Arc<str>,
    status: Arc<str>,
    reason: Arc<str>,
    message: Arc<str>,
}

impl Condition {
    fn is_of_preemption(&self) -> bool {
        &*self.kind == "DisruptionTarget" && &*self.status == "True" && &*self.reason == "PreemptionByScheduler"
    }
}
