//! [`State`]: everything the scheduler knows. Synchronous: events go in, decisions come out.

use super::{
    cycle::{Decision, Refusal, decide},
    guard::{Guard, Panicked, Point},
    queue::Queue,
    storage::StorageChange,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use orch_runtime::scheduler::{Cluster, ClusterEvent, Cycle, Hint, NodeInfo, PodInfo, Profile, Queued, Rejection};
use orch_store::Chance;
use std::sync::Arc;

/// Everything the scheduler knows.
pub struct State {
    profiles: Vec<Arc<Profile>>,
    cluster: Cluster,
    queue: Queue,
    /// Where the next search over the nodes begins.
    start: usize,
    chance: Chance,
    guard: Guard,
}

/// What is to be done for a pod.
pub enum Work {
    /// It is counted on the node already; bind it.
    Bind(Assumed),
    /// It waits; tell its status and the user why.
    Refuse(Arc<PodInfo>, Refusal),
}

/// A pod that counts on a node before it is bound to it.
pub struct Assumed {
    /// The pod as it was popped.
    pub queued: Queued,
    /// Where it goes.
    pub node: Arc<str>,
    /// Who binds it.
    pub profile: Arc<Profile>,
    /// What the plugins kept for the binding.
    pub cycle: Cycle,
}

impl State {
    /// Knows nothing yet. All profiles order the queue with the first one's plugin, as kube-scheduler requires.
    pub fn new(profiles: Vec<Profile>, chance: Chance, guard: Guard) -> Self {
        let profiles: Vec<Arc<Profile>> = profiles.into_iter().map(Arc::new).collect();
        let sort = profiles.first().and_then(|p| p.points.queue_sort.clone());
        let watched = guard.clone();
        let order = move |a: &Queued, b: &Queued| {
            let first = a.since.cmp(&b.since);
            let Some(sort) = &sort else { return first };
            watched.call(Point::QueueSort, || sort.name(), || sort.compare(a, b)).unwrap_or(first)
        };
        let (cluster, queue) = (Cluster::default(), Queue::new(Arc::new(order)));
        Self { profiles, cluster, queue, start: 0, chance, guard }
    }

    /// The nodes with their pods.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The pods that wait.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// A node appeared or changed.
    pub fn node_set(&mut self, node: &Node, now: Timestamp) {
        let old = self.cluster.set_node(node);
        let Some(new) = node.metadata.name.as_deref().and_then(|n| self.cluster.node(n)) else { return };
        match old {
            None => wake(&self.profiles, &self.guard, &mut self.queue, now, &ClusterEvent::NodeAdded(new)),
            Some(old) if changed(&old, new) => {
                let event = ClusterEvent::NodeUpdated(&old, new);
                wake(&self.profiles, &self.guard, &mut self.queue, now, &event);
            }
            Some(_) => {}
        }
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &str) {
        self.cluster.remove_node(name);
    }

    /// A pod appeared or changed.
    pub fn pod_set(&mut self, pod: PodInfo, now: Timestamp) {
        let pod = Arc::new(pod);
        if pod.ended || (pod.deleting && pod.node.is_empty()) {
            self.pod_gone(&pod.uid, now);
        } else if !pod.node.is_empty() {
            self.queue.remove(&pod.uid);
            let node = pod.node.clone();
            self.cluster.set_pod(pod, &node);
        } else if !self.cluster.holds(&pod.uid) {
            self.pending_pod_set(pod, now);
        }
    }

    /// A pod is gone, or takes nothing any more.
    pub fn pod_gone(&mut self, uid: &str, now: Timestamp) {
        self.queue.remove(uid);
        if let Some((pod, _)) = self.cluster.remove_pod(uid) {
            wake(&self.profiles, &self.guard, &mut self.queue, now, &ClusterEvent::PodFreed(&pod));
        }
    }

    /// The claims, volumes and classes changed.
    pub fn storage_set(&mut self, change: &StorageChange, now: Timestamp) {
        let (profiles, guard, queue) = (&self.profiles, &self.guard, &mut self.queue);
        change.apply(self.cluster.storage_mut(), |event| wake(profiles, guard, queue, now, event));
    }

    /// Decides for the next pod, if one is due.
    pub fn step(&mut self, now: Timestamp) -> Option<Work> {
        let (queued, profile) = loop {
            let queued = self.queue.pop(now)?;
            let profile = self.profile(&queued.pod)?.clone();
            match gated(&profile, &self.guard, &queued.pod) {
                Ok(false) => break (queued, profile),
                Ok(true) => self.queue.add_gated(queued.pod, now),
                Err(panicked) => return Some(self.refuse(queued, panicked.into(), now)),
            }
        };
        let mut cycle = Cycle::default();
        let pod = &queued.pod;
        match decide(&profile, &self.guard, &mut cycle, pod, &self.cluster, &mut self.start, &self.chance) {
            Decision::Node(node) => {
                let assumed = PodInfo { node: node.clone(), ..(*queued.pod).clone() };
                self.cluster.set_pod(Arc::new(assumed), &node);
                match reserve(&profile, &self.guard, &mut cycle, &queued.pod, &node, &mut self.cluster) {
                    Ok(()) => Some(Work::Bind(Assumed { queued, node, profile, cycle })),
                    Err(refusal) => {
                        self.cluster.remove_pod(&queued.pod.uid);
                        Some(self.refuse(queued, refusal, now))
                    }
                }
            }
            Decision::Refused(refusal) => Some(self.refuse(queued, refusal, now)),
        }
    }

    /// The binding failed: the pod takes nothing and, if it still waits, is tried again after a while.
    pub fn unbind(&mut self, assumed: Assumed, still_pending: bool, now: Timestamp) {
        let Assumed { queued, node, profile, cycle } = &assumed;
        unreserve(profile, &self.guard, cycle, &queued.pod, node, &mut self.cluster);
        if let Some((pod, _)) = self.cluster.remove_pod(&assumed.queued.pod.uid) {
            wake(&self.profiles, &self.guard, &mut self.queue, now, &ClusterEvent::PodFreed(&pod));
        }
        if still_pending {
            self.queue.add_backoff(assumed.queued, now);
        }
    }

    fn refuse(&mut self, queued: Queued, refusal: Refusal, now: Timestamp) -> Work {
        let pod = queued.pod.clone();
        match refusal.failed {
            true => self.queue.add_backoff(queued, now),
            false => self.queue.add_waiting(queued, refusal.plugins.clone(), now),
        }
        Work::Refuse(pod, refusal)
    }

    fn pending_pod_set(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        let Some(profile) = self.profile(&pod).cloned() else { return };
        // A plugin that panics is asked again, and named, when it is the pod's turn.
        let gated = gated(&profile, &self.guard, &pod).unwrap_or(false);
        match self.queue.get(&pod.uid).cloned() {
            None if gated => self.queue.add_gated(pod, now),
            None => self.queue.add(pod, now),
            Some(_) if gated => self.queue.refresh(pod),
            Some(old) => {
                let was_gated = self.queue.is_gated(&pod.uid);
                self.queue.refresh(pod.clone());
                let event = ClusterEvent::PodUpdated(&old, &pod);
                if was_gated
                    || (matters(&old, &pod)
                        && self
                            .queue
                            .rejected_by(&pod.uid)
                            .iter()
                            .any(|name| hint(&profile, &self.guard, name, &pod, &event)))
                {
                    self.queue.release(&pod.uid, now);
                }
            }
        }
    }

    fn profile(&self, pod: &PodInfo) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|p| p.scheduler == pod.scheduler)
    }
}

/// Moves the waiting pods that the event can help.
fn wake(profiles: &[Arc<Profile>], guard: &Guard, queue: &mut Queue, now: Timestamp, event: &ClusterEvent<'_>) {
    queue.move_waiting(now, |pod, rejected_by| {
        let profile = profiles.iter().find(|p| p.scheduler == pod.scheduler);
        profile.is_some_and(|profile| rejected_by.iter().any(|name| hint(profile, guard, name, pod, event)))
    });
}

/// Whether the event helps against what the plugin had said. One that panics may have meant so (`isPodWorthRequeuing`).
fn hint(profile: &Profile, guard: &Guard, plugin: &str, pod: &PodInfo, event: &ClusterEvent<'_>) -> bool {
    let mut named = profile.points.plugins.iter().filter(|p| p.name() == plugin);
    named.any(|p| {
        guard.call(Point::QueueingHint, || p.name(), || p.hint(pod, event)).unwrap_or(Hint::Queue) == Hint::Queue
    })
}

/// Whether a plugin keeps the pod out of the queue.
fn gated(profile: &Profile, guard: &Guard, pod: &PodInfo) -> Result<bool, Panicked> {
    for plugin in &profile.points.pre_enqueue {
        if guard.call(Point::PreEnqueue, || plugin.name(), || plugin.pre_enqueue(pod))?.is_err() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a node changed in a way that a filter can see.
fn changed(old: &NodeInfo, new: &NodeInfo) -> bool {
    old.labels != new.labels
        || old.taints != new.taints
        || old.unschedulable != new.unschedulable
        || old.allocatable != new.allocatable
}

/// Whether a pod changed in a way that a filter can see. Its own status is not one: the scheduler writes it.
fn matters(old: &PodInfo, new: &PodInfo) -> bool {
    old.labels != new.labels
        || old.tolerations != new.tolerations
        || old.requests != new.requests
        || old.gates != new.gates
        || old.affinity.selector != new.affinity.selector
}

fn reserve(
    profile: &Profile,
    guard: &Guard,
    cycle: &mut Cycle,
    pod: &PodInfo,
    node: &Arc<str>,
    cluster: &mut Cluster,
) -> Result<(), Refusal> {
    for plugin in &profile.points.reserve {
        let refusal = match guard.call(Point::Reserve, || plugin.name(), || plugin.reserve(cycle, pod, node, cluster)) {
            Ok(Ok(())) => continue,
            Ok(Err(Rejection { reasons, .. })) => {
                Refusal { message: reasons.join(", "), plugins: vec![plugin.name()], ..Refusal::default() }
            }
            Err(panicked) => panicked.into(),
        };
        unreserve(profile, guard, cycle, pod, node, cluster);
        return Err(refusal);
    }
    Ok(())
}

fn unreserve(profile: &Profile, guard: &Guard, cycle: &Cycle, pod: &PodInfo, node: &Arc<str>, cluster: &mut Cluster) {
    for plugin in profile.points.reserve.iter().rev() {
        // Logged is all that it can be: the others give back what they have taken.
        let _ = guard.call(Point::Unreserve, || plugin.name(), || plugin.unreserve(cycle, pod, node, cluster));
    }
}
