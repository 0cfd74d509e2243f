//! [`Queue`]: the pods that wait, in three places, as a synchronous data structure.
//!
//! ```text
//! active ── popped in the plugin's order
//! backoff ─ failed lately: 1 s doubling to 10 s, then active
//! waiting ─ fit nowhere: until an event helps (hints), or five minutes have passed
//! gated ─── not allowed in yet: until the pod itself changes
//! ```
//!
//! A waiting pod for which room is being made is held: what may help it is remembered until that is done, so that it is not
//! tried while only some of its victims are gone.

use jiff::{SignedDuration, Timestamp};
use orch_runtime::scheduler::{PodInfo, Queued};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(1);
const LAST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// How long a pod waits at most for an event that helps.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// The order of the active pods.
pub type Order = Arc<dyn Fn(&Queued, &Queued) -> Ordering + Send + Sync>;

/// The pods that wait to be scheduled.
pub struct Queue {
    order: Order,
    /// By UID. The order reaches decisions, so it is one that repeats.
    pods: BTreeMap<Arc<str>, Entry>,
    active: BTreeMap<Rank, Arc<str>>,
    /// Those that wait for an event: only they are looked at when there is one.
    waiting: BTreeSet<Arc<str>>,
    /// Ends of back-offs and of long waits.
    deadlines: BTreeSet<(Timestamp, Arc<str>)>,
    arrivals: u64,
}

struct Entry {
    queued: Queued,
    place: Place,
}

enum Place {
    Active(Rank),
    Backoff { until: Timestamp },
    Waiting { until: Timestamp, rejected_by: Vec<&'static str>, failed_at: Timestamp, held: Option<Held> },
    Gated,
}

/// Whether something happened that may help a pod while it was held.
#[derive(Clone, Copy, Default)]
struct Held {
    helped: bool,
}

impl Queue {
    /// An empty queue whose active pods are popped in the given order.
    pub fn new(order: Order) -> Self {
        let (pods, active) = (BTreeMap::new(), BTreeMap::new());
        Self { order, pods, active, waiting: BTreeSet::new(), deadlines: BTreeSet::new(), arrivals: 0 }
    }

    /// Adds a new pod.
    pub fn add(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        self.activate(Queued { pod, attempts: 0, since: now });
    }

    /// Adds a pod that may not be scheduled before it changes.
    pub fn add_gated(&mut self, pod: Arc<PodInfo>, now: Timestamp) {
        self.put(Queued { pod, attempts: 0, since: now }, Place::Gated);
    }

    /// Puts back a pod that was popped and fit nowhere.
    pub fn add_waiting(&mut self, queued: Queued, rejected_by: Vec<&'static str>, now: Timestamp) {
        self.put(queued, Place::Waiting { until: now + LONGEST_WAIT, rejected_by, failed_at: now, held: None });
    }

    /// Holds a waiting pod back, whatever happens, until [`Queue::let_go`].
    pub fn hold(&mut self, uid: &str) {
        if let Some(Place::Waiting { held, .. }) = self.pods.get_mut(uid).map(|entry| &mut entry.place) {
            *held = Some(Held::default());
        }
    }

    /// Holds a pod back no longer. It is released if something has happened meanwhile that may help it, or at any rate if
    /// the caller knows of a reason to try again.
    pub fn let_go(&mut self, uid: &str, try_again: bool, now: Timestamp) {
        let Some(Place::Waiting { held, .. }) = self.pods.get_mut(uid).map(|entry| &mut entry.place) else { return };
        if held.take().is_some_and(|held| held.helped || try_again) {
            self.release(uid, now);
        }
    }

    /// Puts back a pod that was popped and could not be bound.
    pub fn add_backoff(&mut self, queued: Queued, now: Timestamp) {
        let until = now + backoff(queued.attempts);
        self.put(queued, Place::Backoff { until });
    }

    /// Takes the next active pod and counts the attempt.
    pub fn pop(&mut self, now: Timestamp) -> Option<Queued> {
        self.wake(now);
        while let Some((rank, uid)) = self.active.pop_first() {
            // An order that contradicts itself may leave a rank behind whose pod has moved on.
            let waits_here = |e: &Entry| matches!(&e.place, Place::Active(own) if own.arrival == rank.arrival);
            if self.pods.get(&uid).is_some_and(waits_here)
                && let Some(Entry { mut queued, .. }) = self.pods.remove(&uid)
            {
                queued.attempts += 1;
                return Some(queued);
            }
        }
        None
    }

    /// Removes a pod. Returns it if it was here.
    pub fn remove(&mut self, uid: &str) -> Option<Queued> {
        let Entry { queued, place } = self.pods.remove(uid)?;
        self.waiting.remove(uid);
        match place {
            Place::Active(rank) => {
                self.active.remove(&rank);
            }
            Place::Backoff { until } | Place::Waiting { until, .. } => {
                self.deadlines.remove(&(until, queued.pod.uid.clone()));
            }
            Place::Gated => {}
        }
        Some(queued)
    }

    /// The pod, if it waits here.
    pub fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|e| &e.queued.pod)
    }

    /// Whether a pod waits because a PreEnqueue plugin said so.
    pub fn is_gated(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|e| matches!(e.place, Place::Gated))
    }

    /// The plugins that rejected a waiting pod; none for pods that wait for something else.
    pub fn rejected_by(&self, uid: &str) -> &[&'static str] {
        match self.pods.get(uid).map(|e| &e.place) {
            Some(Place::Waiting { rejected_by, .. }) => rejected_by,
            _ => &[],
        }
    }

    /// Takes over a pod's new form. It stays where it is; its order may change.
    pub fn refresh(&mut self, pod: Arc<PodInfo>) {
        let Some(entry) = self.pods.get_mut(&pod.uid) else { return };
        entry.queued.pod = pod.clone();
        if matches!(entry.place, Place::Active(_))
            && let Some(queued) = self.remove(&pod.uid)
        {
            self.activate(queued);
        }
    }

    /// Moves the waiting pods that an event can help, as `helps` says for the pod and the plugins that
    /// rejected it.
    pub fn move_waiting(&mut self, now: Timestamp, helps: impl Fn(&PodInfo, &[&'static str]) -> bool) {
        let is_helped = |uid: &&Arc<str>| match self.pods.get(*uid) {
            Some(Entry { queued, place: Place::Waiting { rejected_by, .. } }) => helps(&queued.pod, rejected_by),
            _ => false,
        };
        let helped: Vec<Arc<str>> = self.waiting.iter().filter(is_helped).cloned().collect();
        for uid in helped {
            self.release(&uid, now);
        }
    }

    /// Moves one waiting pod towards the active ones: at once if its back-off is over.
    pub fn release(&mut self, uid: &str, now: Timestamp) {
        let failed_at = match self.pods.get_mut(uid).map(|e| &mut e.place) {
            Some(Place::Waiting { held: Some(held), .. }) => {
                held.helped = true;
                return;
            }
            Some(Place::Waiting { failed_at, .. }) => *failed_at,
            Some(Place::Gated) => now - LAST_BACKOFF,
            _ => return,
        };
        let Some(queued) = self.remove(uid) else { return };
        let until = failed_at + backoff(queued.attempts);
        if until > now { self.put(queued, Place::Backoff { until }) } else { self.activate(queued) }
    }

    /// When [`Queue::pop`] is worth calling again although nothing is active.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many pods wait: active, in back-off, for an event, gated.
    pub fn depths(&self) -> [usize; 4] {
        let mut depths = [0; 4];
        for entry in self.pods.values() {
            let i = match entry.place {
                Place::Active(_) => 0,
                Place::Backoff { .. } => 1,
                Place::Waiting { .. } => 2,
                Place::Gated => 3,
            };
            depths[i] += 1;
        }
        depths
    }

    fn wake(&mut self, now: Timestamp) {
        while let Some((at, uid)) = self.deadlines.first().cloned()
            && at <= now
        {
            self.deadlines.remove(&(at, uid.clone()));
            match self.pods.get_mut(&uid).map(|entry| &mut entry.place) {
                Some(Place::Waiting { held: Some(held), until, .. }) => {
                    held.helped = true;
                    *until = now + LONGEST_WAIT;
                    self.deadlines.insert((*until, uid));
                }
                _ => {
                    if let Some(queued) = self.remove(&uid) {
                        self.activate(queued);
                    }
                }
            }
        }
    }

    fn activate(&mut self, queued: Queued) {
        self.arrivals += 1;
        let rank = Rank { order: self.order.clone(), queued: queued.clone(), arrival: self.arrivals };
        self.active.insert(rank.clone(), queued.pod.uid.clone());
        self.put(queued, Place::Active(rank));
    }

    fn put(&mut self, queued: Queued, place: Place) {
        let uid = queued.pod.uid.clone();
        if let Place::Backoff { until } | Place::Waiting { until, .. } = place {
            self.deadlines.insert((until, uid.clone()));
        }
        if matches!(place, Place::Waiting { .. }) {
            self.waiting.insert(uid.clone());
        }
        self.pods.insert(uid, Entry { queued, place });
    }
}

fn backoff(attempts: u32) -> SignedDuration {
    let doubled = FIRST_BACKOFF * 2_i32.saturating_pow(attempts.saturating_sub(1).min(10));
    doubled.min(LAST_BACKOFF)
}

/// The place of a pod among the active ones. Earlier arrivals win ties.
#[derive(Clone)]
struct Rank {
    order: Order,
    queued: Queued,
    arrival: u64,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order)(&self.queued, &other.queued).then(self.arrival.cmp(&other.arrival))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rank {}
