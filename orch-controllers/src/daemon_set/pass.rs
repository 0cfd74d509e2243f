//! One pass: what is where, and what is decided.

use super::{World, min_ready, placement::Placement, pods, status};
use crate::common::facts::{Phase, PodFacts};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet},
    core::v1::Pod,
};
use orch_runtime::{Announce, Plan, Target, executor::BURST, plan::Notice, view::Known};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// What a pass has seen and decided so far.
pub(super) struct Pass<'a> {
    pub(super) world: &'a World,
    pub(super) set: &'a DaemonSet,
    pub(super) now: Timestamp,
    /// The hash of the current revision.
    pub(super) hash: &'a str,
    /// The nodes in the order of their names.
    pub(super) nodes: BTreeMap<&'a str, Placement>,
    /// The pods by the node that they are for, those that are there first, the oldest first. Those that have ended and
    /// only wait for a finalizer are none any more.
    pub(super) by_node: BTreeMap<&'a str, Vec<&'a Known<PodFacts>>>,
    pub(super) plan: Plan,
    all: Vec<&'a Known<PodFacts>>,
    /// Nodes that get a pod.
    create: Vec<&'a str>,
    delete: Vec<&'a Known<PodFacts>>,
    /// Told when the pods that they are about are deleted.
    notices: Vec<Notice>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(world: &'a World, pods: &[&'a Known<PodFacts>], now: Timestamp, plan: Plan) -> Self {
        let nodes = world.nodes.iter().map(|node| (&*node.stored.key.name, world.daemon.on(&node.facts))).collect();
        let mut by_node: BTreeMap<&str, Vec<&Known<PodFacts>>> = BTreeMap::new();
        for pod in pods.iter().copied() {
            let over = pod.facts.is_finished() && pod.stored.meta.is_deleting();
            let target = pod.facts.target_node();
            if !over && !target.is_empty() {
                by_node.entry(target).or_default().push(pod);
            }
        }
        for pods in by_node.values_mut().filter(|pods| pods.len() > 1) {
            pods.sort_by_key(|pod| {
                let created = pod.stored.meta.creation_timestamp;
                (pod.facts.node.is_empty(), created, pod.stored.key.name.clone())
            });
        }
        Self {
            world,
            set: &world.set,
            now,
            hash: pods::hash(world),
            nodes,
            by_node,
            plan,
            all: pods.to_vec(),
            create: Vec::new(),
            delete: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// How a pod is to run on a node; not at all on one that does not exist.
    pub(super) fn placement(&self, node: &str) -> Placement {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    pub(super) fn is_available(&self, pod: &Known<PodFacts>) -> bool {
        pod.facts.is_available(min_ready(self.set), self.now)
    }

    pub(super) fn is_updated(&self, pod: &Known<PodFacts>) -> bool {
        pods::is_updated(self.set, pod, self.hash)
    }

    /// Whether a pod has the label of the current revision.
    pub(super) fn has_hash(&self, pod: &Known<PodFacts>) -> bool {
        pod.stored.meta.labels.get(crate::common::history::LABEL) == Some(self.hash)
    }

    /// Decides to make a pod for a node.
    pub(super) fn create(&mut self, node: &'a str) {
        self.create.push(node);
    }

    /// Decides to delete a pod.
    pub(super) fn delete(&mut self, pod: &'a Known<PodFacts>) {
        self.delete.push(pod);
    }

    /// Decides to delete a pod that has ended, and says so.
    pub(super) fn clear_away(&mut self, pod: &'a Known<PodFacts>, node: &str) {
        let name = &pod.stored.key;
        self.notices.push(match pod.facts.phase {
            Phase::Failed => Notice::warning(
                self.set,
                "FailedDaemonPod",
                format!("Found failed daemon pod {name} on node {node}, will try to kill it"),
            ),
            _ => Notice::normal(
                self.set,
                "SucceededDaemonPod",
                format!("Found succeeded daemon pod {name} on node {node}, will try to delete it"),
            ),
        });
        self.delete.push(pod);
    }

    /// Whether something was decided.
    pub(super) fn is_busy(&self) -> bool {
        !self.create.is_empty() || !self.delete.is_empty()
    }

    /// Turns what was decided into a plan.
    pub(super) fn finish(mut self) -> Plan {
        self.notices.drain(..).for_each(|notice| self.plan.event(notice));
        self.plan.branch();
        if !self.create.is_empty() {
            let mut pod = pods::make(self.set, self.hash);
            let announce = Announce::created(self.set, "Created pod: {}");
            for node in self.create.iter().take(BURST) {
                pods::send(&mut pod, node);
                self.plan.create_announced(&pod, announce.clone());
            }
        }
        // What is not to be there goes, and makes room, also when there is no room for what is missing.
        self.plan.branch();
        for pod in self.delete.iter().take(BURST) {
            let (target, uid) = (Target::stored::<Pod>(&pod.stored), pod.stored.meta.uid.clone());
            self.plan.delete_announced(target, uid, Announce::deleted(self.set, "Deleted pod: {}"));
        }
        self.truncate();
        let mut new = self.set.clone();
        new.status = Some(status::status(&self));
        self.plan.update_status(self.set, &new);
        self.plan
    }

    /// Deletes the oldest revisions beyond the limit, except those that pods have.
    fn truncate(&mut self) {
        let label = crate::common::history::LABEL;
        let hashes: HashSet<&str> = self.all.iter().filter_map(|pod| pod.stored.meta.labels.get(label)).collect();
        let hash = |revision: &ControllerRevision| {
            revision.metadata.labels.as_ref().and_then(|labels| labels.get(label)).cloned().unwrap_or_default()
        };
        let current = |revision: &ControllerRevision| {
            let same = |other: &ControllerRevision| other.metadata.name == revision.metadata.name;
            same(&self.world.current.revision)
                || self.world.current.duplicates.iter().any(|duplicate: &Arc<ControllerRevision>| same(duplicate))
        };
        let lives = |revision: &ControllerRevision| current(revision) || hashes.contains(&*hash(revision));
        let limit = self.set.spec.revision_history_limit;
        self.world.history.truncate(limit, |revision| !current(revision), lives, &mut self.plan);
    }
}
