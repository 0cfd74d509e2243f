//! [`State`]: everything the scheduler knows. Synchronous: events go in, decisions come out.

use super::{
    cycle::{Decider, Decision, Refusal},
    guard::{Guard, Panicked, Point},
    queue::Queue,
    storage::StorageChange,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use orch_api::Key;
use orch_runtime::scheduler::{
    Budget, Cluster, ClusterEvent, Cycle, Hint, NodeInfo, Nomination, PodInfo, Profile, Queued, Rejection, Room,
};
use orch_store::{Chance, stored::Labels};
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
    /// It waits; tell its status and the user why, and make room for it if that is what was decided.
    Refuse(Arc<PodInfo>, Refusal, Option<Eviction>),
}

/// Room that is to be made for a pod.
#[derive(Clone, Debug)]
pub struct Eviction {
    /// For whom.
    pub preemptor: Arc<PodInfo>,
    /// Where, and who has to go.
    pub room: Room,
    /// Less important pods for which the node is kept no more.
    pub outbid: Vec<Arc<PodInfo>>,
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
    pub fn node_gone(&mut self, name: &str, now: Timestamp) {
        if let Some(node) = self.cluster.remove_node(name) {
            wake(&self.profiles, &self.guard, &mut self.queue, now, &ClusterEvent::NodeRemoved(&node));
        }
    }

    /// The labels of a namespace, or that it is gone.
    pub fn namespace_set(&mut self, name: Arc<str>, labels: Option<Labels>) {
        self.cluster.set_namespace(name, labels);
    }

    /// A pod appeared or changed.
    pub fn pod_set(&mut self, pod: PodInfo, now: Timestamp) {
        let pod = Arc::new(pod);
        if pod.ended || (pod.deleting && pod.node.is_empty()) {
            self.pod_gone(&pod.uid, now);
        } else if !pod.node.is_empty() {
            self.queue.remove(&pod.uid);
            self.cluster.nominations_mut().remove(&pod.uid);
            let (node, old) = (pod.node.clone(), self.cluster.pod(&pod.uid).cloned());
            self.cluster.set_pod(pod.clone(), &node);
            let (profiles, guard, queue) = (&self.profiles, &self.guard, &mut self.queue);
            match old {
                None => wake(profiles, guard, queue, now, &ClusterEvent::PodPlaced(&pod)),
                Some(old) if old.labels != pod.labels => {
                    wake(profiles, guard, queue, now, &ClusterEvent::PodRelabelled(&old, &pod));
                }
                Some(_) => {}
            }
        } else if !self.cluster.holds(&pod.uid) {
            self.pending_pod_set(pod, now);
        }
    }

    /// A pod is gone, or takes nothing any more.
    pub fn pod_gone(&mut self, uid: &str, now: Timestamp) {
        self.queue.remove(uid);
        self.nominate(uid, None, now);
        if let Some((pod, _)) = self.cluster.remove_pod(uid) {
            wake(&self.profiles, &self.guard, &mut self.queue, now, &ClusterEvent::PodFreed(&pod));
        }
    }

    /// A disruption budget appeared or changed.
    pub fn budget_set(&mut self, budget: Budget) {
        self.cluster.set_budget(budget);
    }

    /// A disruption budget is gone.
    pub fn budget_gone(&mut self, key: &Key) {
        self.cluster.remove_budget(key);
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
        let Self { guard, cluster, chance, .. } = self;
        let decider = Decider { profile: &profile, guard, pod: &queued.pod, cluster, chance };
        match decider.decide(&mut cycle, &mut self.start) {
            Decision::Node(node) => {
                let assumed = Arc::new(PodInfo { node: node.clone(), ..(*queued.pod).clone() });
                self.cluster.nominations_mut().remove(&queued.pod.uid);
                self.cluster.set_pod(assumed.clone(), &node);
                match reserve(&profile, &self.guard, &mut cycle, &queued.pod, &node, &mut self.cluster) {
                    Ok(()) => {
                        let event = ClusterEvent::PodPlaced(&assumed);
                        wake(&self.profiles, &self.guard, &mut self.queue, now, &event);
                        Some(Work::Bind(Assumed { queued, node, profile, cycle }))
                    }
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

    /// The victims are told to go, or not all of them could be.
    pub fn evicted(&mut self, preemptor: &str, all: bool, now: Timestamp) {
        self.queue.let_go(preemptor, !all, now);
    }

    fn refuse(&mut self, queued: Queued, mut refusal: Refusal, now: Timestamp) -> Work {
        let pod = queued.pod.clone();
        match refusal.failed {
            true => self.queue.add_backoff(queued, now),
            false => self.queue.add_waiting(queued, refusal.plugins.clone(), now),
        }
        let eviction = refusal.room.take().map(|room| self.evict(&pod, room, now));
        match &refusal.nomination {
            Nomination::Keep => {}
            Nomination::Drop if pod.nominated.is_empty() && !self.is_nominated(&pod.uid) => {
                refusal.nomination = Nomination::Keep;
            }
            Nomination::Drop => self.nominate(&pod.uid, None, now),
            Nomination::To(node) => self.nominate(&pod.uid, Some((&pod, node)), now),
        }
        Work::Refuse(pod, refusal, eviction)
    }

    /// Notes what is to be done to make room: less important pods that wait for the same node look for another, and the pod
    /// itself is not tried before its victims have been told.
    fn evict(&mut self, preemptor: &Arc<PodInfo>, mut room: Room, now: Timestamp) -> Eviction {
        room.victims.retain(|victim| !victim.deleting);
        let kept = self.cluster.nominations().on(&room.node);
        let outbid: Vec<Arc<PodInfo>> = kept.iter().filter(|pod| pod.priority < preemptor.priority).cloned().collect();
        for pod in &outbid {
            self.cluster.nominations_mut().remove(&pod.uid);
            self.queue.release(&pod.uid, now);
        }
        if !room.victims.is_empty() {
            self.queue.hold(&preemptor.uid);
        }
        Eviction { preemptor: preemptor.clone(), room, outbid }
    }

    fn is_nominated(&self, uid: &str) -> bool {
        self.cluster.nominations().node_of(uid).is_some()
    }

    /// Keeps another node for a pod, or none. The old one may be what others wait for, unless they are more important: then
    /// it was theirs all the time.
    fn nominate(&mut self, uid: &str, to: Option<(&Arc<PodInfo>, &Arc<str>)>, now: Timestamp) {
        let nominations = self.cluster.nominations_mut();
        let old = nominations.node_of(uid).cloned();
        if old.as_ref() == to.map(|(_, node)| node) {
            return;
        }
        let freed = nominations.remove(uid);
        if let Some((pod, node)) = to {
            nominations.set(pod.clone(), node.clone());
        }
        if let Some((freed, _)) = freed {
            let event = ClusterEvent::PodFreed(&freed);
            let may_gain = |pod: &PodInfo| pod.priority <= freed.priority && pod.uid != freed.uid;
            wake_some(&self.profiles, &self.guard, &mut self.queue, now, &event, may_gain);
        }
    }

    fn pending_pod_set(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        let Some(profile) = self.profile(&pod).cloned() else { return };
        // A plugin that panics is asked again, and named, when it is the pod's turn.
        let gated = gated(&profile, &self.guard, &pod).unwrap_or(false);
        let old = self.queue.get(&pod.uid).cloned();
        self.nomination_told(old.as_ref(), &pod, now);
        match old {
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

    /// Takes over what the pod's status says of a node that is kept for it. A status that says what it said before is
    /// older than what has been decided since.
    fn nomination_told(&mut self, old: Option<&Arc<PodInfo>>, pod: &Arc<PodInfo>, now: Timestamp) {
        let said = old.map_or("", |old| &*old.nominated);
        if *said == *pod.nominated {
            self.cluster.nominations_mut().refresh(pod);
        } else {
            let to = Some((pod, &pod.nominated)).filter(|(_, node)| !node.is_empty());
            self.nominate(&pod.uid, to, now);
        }
    }

    fn profile(&self, pod: &PodInfo) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|p| p.scheduler == pod.scheduler)
    }
}

/// Moves the waiting pods that the event can help.
fn wake(profiles: &[Arc<Profile>], guard: &Guard, queue: &mut Queue, now: Timestamp, event: &ClusterEvent<'_>) {
    wake_some(profiles, guard, queue, now, event, |_| true);
}

/// The same, for those alone that may gain by it.
fn wake_some(
    profiles: &[Arc<Profile>],
    guard: &Guard,
    queue: &mut Queue,
    now: Timestamp,
    event: &ClusterEvent<'_>,
    may_gain: impl Fn(&PodInfo) -> bool,
) {
    queue.move_waiting(now, |pod, rejected_by| {
        let profile = profiles.iter().find(|p| p.scheduler == pod.scheduler).filter(|_| may_gain(pod));
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
            Ok(Err(Rejection { reasons, .. })) => Refusal::plain(reasons.join(", "), vec![plugin.name()]),
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
