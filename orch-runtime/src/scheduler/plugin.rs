//! The traits, one per extension point.

use super::{
    cluster::{Cluster, NodeIndex},
    cycle::Cycle,
    events::{ClusterEvent, Hint},
    filters::Filters,
    node::NodeInfo,
    pod::{PodInfo, Queued},
    profile::Points,
};
use async_trait::async_trait;
use orch_api::StatusError;
use orch_store::{Chance, Client, Informers};
use std::{borrow::Cow, cmp::Ordering, sync::Arc, time::Duration};

/// The highest score of a node after normalization.
pub const MAX_SCORE: i64 = 100;

/// A scheduler plugin: a name, and the extension points that it joins.
///
/// # Laws
///
/// - Everything synchronous is a pure function of its arguments; a plugin holds configuration, not state.
/// - What a plugin computed once per pod it keeps in the [`Cycle`].
pub trait Plugin: Send + Sync + 'static {
    /// The name that configuration, events and metrics use.
    fn name(&self) -> &'static str;

    /// Joins extension points: `points.filter(self.clone()).score(self, 3)`.
    fn register(self: Arc<Self>, points: &mut Points);

    /// Whether an event can make a pod schedulable that this plugin rejected. Must not skip an event that can.
    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>) -> Hint {
        let _ = (pod, event);
        Hint::Queue
    }
}

/// Why a pod was refused, in kube-scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Each reason is counted over the nodes.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether removing pods from the node could help.
    pub resolvable: bool,
}

impl Rejection {
    /// Removing other pods could help.
    pub fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: true }
    }

    /// Removing other pods cannot help.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reasons: vec![reason.into()], resolvable: false }
    }
}

/// Decides whether a pod may enter the queue at all.
pub trait PreEnqueue: Plugin {
    /// A rejected pod waits until it changes itself.
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection>;
}

/// Orders the queue. A profile has exactly one.
pub trait QueueSort: Plugin {
    /// `Less` when `a` is to be scheduled first.
    fn compare(&self, a: &Queued, b: &Queued) -> Ordering;
}

/// What PreFilter found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreFiltered {
    /// The plugin's Filter has nothing to say about this pod and is skipped.
    Skip,
    /// All nodes are possible.
    All,
    /// Only these nodes are possible.
    Only(Vec<Arc<str>>),
    /// No node is possible.
    Reject(Rejection),
}

/// Looks at the pod once before the nodes are filtered.
pub trait PreFilter: Plugin {
    /// Computes what Filter needs and may narrow the nodes.
    fn pre_filter(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster) -> PreFiltered;

    /// Brings what it computed up to date with another pod that is imagined on a node, which counts it already. A plugin
    /// whose Filter looks at nothing but the node and the pod needs neither this nor [`PreFilter::remove_pod`]
    /// (PreFilterExtensions).
    fn add_pod(&self, cycle: &mut Cycle, pod: &PodInfo, added: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        let _ = (cycle, pod, added, node, cluster);
    }

    /// The same for one that is imagined away, and that the node does not count any more.
    fn remove_pod(&self, cycle: &mut Cycle, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo, cluster: &Cluster) {
        let _ = (cycle, pod, removed, node, cluster);
    }
}

/// Decides whether a pod fits on a node.
pub trait Filter: Plugin {
    /// Called for many nodes per pod: cheap, and without allocation when the pod fits.
    fn filter(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;
}

/// A pod that fits nowhere, and what PostFilter may know and ask about it.
pub struct Misfit<'a> {
    /// What the plugins kept.
    pub cycle: &'a Cycle,
    /// The pod.
    pub pod: &'a PodInfo,
    /// The nodes.
    pub cluster: &'a Cluster,
    /// Each node's no. For nodes that are not in it nothing can be done.
    pub rejections: &'a [(Arc<str>, Rejection)],
    /// Says whether it would fit on a node that is like this.
    pub filters: &'a Filters<'a>,
    /// Where to begin is left to it.
    pub chance: &'a Chance,
}

/// What PostFilter decided. Nothing of it is done yet.
#[derive(Clone, Debug)]
pub enum PostFiltered {
    /// There is nothing to be done.
    Unschedulable {
        /// Added to the pod's condition.
        message: String,
        /// What becomes of the node that is kept for the pod.
        nomination: Nomination,
    },
    /// Room is to be made.
    MakeRoom(Room),
}

/// What becomes of the node that is kept for a pod: its `status.nominatedNodeName`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Nomination {
    /// It stays as it is.
    #[default]
    Keep,
    /// None is kept any more.
    Drop,
    /// This one is.
    To(Arc<str>),
}

/// A node, and the pods that are to make room there.
#[derive(Clone, Debug)]
pub struct Room {
    /// The plugin that wants it.
    pub plugin: &'static str,
    /// The node.
    pub node: Arc<str>,
    /// Those that are to go, the most important first.
    pub victims: Vec<Arc<PodInfo>>,
}

/// Tries to make room when no node fits.
pub trait PostFilter: Plugin {
    /// Decides what is to be done about it.
    fn post_filter(&self, misfit: &Misfit<'_>) -> PostFiltered;
}

/// Looks at the nodes that fit before they are scored.
pub trait PreScore: Plugin {
    /// False skips the plugin's Score for this pod. `nodes` are those that will be scored.
    fn pre_score(&self, cycle: &mut Cycle, pod: &PodInfo, cluster: &Cluster, nodes: &[NodeIndex]) -> bool;
}

/// Rates nodes.
pub trait Score: Plugin {
    /// Higher is better. Within 0 to [`MAX_SCORE`] unless [`Score::normalize`] brings it there.
    fn score(&self, cycle: &Cycle, pod: &PodInfo, node: &NodeInfo, cluster: &Cluster) -> i64;

    /// Brings the scores of all nodes into 0 to [`MAX_SCORE`].
    fn normalize(&self, scores: &mut [i64]) {
        let _ = scores;
    }
}

/// Takes what the pod needs beside the node's resources.
pub trait Reserve: Plugin {
    /// Called once a node is chosen. What is taken is noted in the cluster, and what is to be done about it in the cycle.
    fn reserve(
        &self,
        cycle: &mut Cycle,
        pod: &PodInfo,
        node: &Arc<str>,
        cluster: &mut Cluster,
    ) -> Result<(), Rejection>;
    /// Gives it back; called in reverse order, also when `reserve` was not.
    fn unreserve(&self, cycle: &Cycle, pod: &PodInfo, node: &Arc<str>, cluster: &mut Cluster);
}

/// What Permit decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// Go on.
    Allow,
    /// Hold the pod back at most this long; [`Permit::ready`] says when to go on.
    Wait(Duration),
    /// Do not bind.
    Reject(Rejection),
}

/// Holds a pod back before it is bound.
#[async_trait]
pub trait Permit: Plugin {
    /// Decides at once.
    fn permit(&self, cycle: &Cycle, pod: &PodInfo, node: &str) -> Permitted;
    /// For a pod that waits: resolves when it may go on, or says why not.
    async fn ready(&self, pod: &PodInfo, node: &str) -> Result<(), Rejection>;
}

/// What PreBind works with.
#[derive(Clone, Copy)]
pub struct Binding<'a> {
    /// The API.
    pub client: &'a dyn Client,
    /// The caches, which lag.
    pub informers: &'a Informers,
    /// What the plugins kept while the pod was scheduled.
    pub cycle: &'a Cycle,
    /// The pod.
    pub pod: &'a PodInfo,
    /// Its node.
    pub node: &'a Arc<str>,
}

/// Prepares the binding, outside the scheduling cycle. May do IO.
#[async_trait]
pub trait PreBind: Plugin {
    /// Whether there is anything to prepare for this pod. Pods for which there is may wait for long, and hold no others up.
    fn is_needed(&self, cycle: &Cycle) -> bool;
    /// An error sends the pod back to the queue.
    async fn pre_bind(&self, binding: &Binding<'_>) -> Result<(), StatusError>;
}

/// Binds a pod to its node.
#[async_trait]
pub trait Bind: Plugin {
    /// False leaves it to the next plugin.
    async fn bind(&self, client: &dyn Client, pod: &PodInfo, node: &str) -> Result<bool, StatusError>;
}

/// Is told of a binding.
pub trait PostBind: Plugin {
    /// The pod is bound.
    fn post_bind(&self, pod: &PodInfo, node: &str);
}
