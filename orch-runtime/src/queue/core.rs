//! [`Core`]: the decisions of the queue, with time as a parameter.

use super::{Backoff, Priority, RateLimit, limit::Bucket};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;

/// The state of a queue.
///
/// Every waiting key stands in exactly one of `ready` and `delayed`; a key that is worked on and was
/// added again stands in `again` instead.
#[derive(Debug)]
pub struct Core<K> {
    /// Keys to hand out, by rank (see [`Core::rank`]).
    ready: BTreeSet<(Instant, K)>,
    /// Keys to make ready at an instant.
    delayed: BTreeSet<(Instant, K)>,
    /// Where each waiting key stands.
    waiting: HashMap<K, Place>,
    /// Keys that workers hold.
    processing: HashSet<K>,
    /// Keys that workers hold and that were added again.
    again: HashMap<K, Again>,
    failures: HashMap<K, Failures>,
    backoff: Backoff,
    bucket: Option<Bucket>,
    closed: bool,
}

/// What failing in a row has brought a key.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// Before that it is not handed out, whatever happens.
    held: Instant,
    /// Then it comes back by itself.
    retry: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Ready(Instant),
    Delayed(Instant),
}

#[derive(Clone, Copy, Debug)]
enum Again {
    Now(Priority),
    At(Instant),
}

impl<K: Clone + Eq + Hash + Ord> Core<K> {
    /// By how much one level of priority counts as earlier arrival.
    pub const AGEING: Duration = Duration::from_secs(10);

    /// An empty queue.
    pub fn new(backoff: Backoff) -> Self {
        Self {
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            waiting: HashMap::new(),
            processing: HashSet::new(),
            again: HashMap::new(),
            failures: HashMap::new(),
            backoff,
            bucket: None,
            closed: false,
        }
    }

    /// The same, with a limit to what it hands out.
    #[must_use]
    pub fn with_limit(mut self, limit: Option<RateLimit>) -> Self {
        self.bucket = limit.map(Bucket::new);
        self
    }

    /// Makes the key ready, or delayed while events are held back.
    pub fn add(&mut self, key: K, priority: Priority, now: Instant) {
        if let Some(at) = self.held_until(&key, now) {
            return self.add_at(key, at, now);
        }
        if self.closed {
            return;
        }
        if self.processing.contains(&key) {
            let priority = match self.again.get(&key) {
                Some(Again::Now(earlier)) => priority.max(*earlier),
                _ => priority,
            };
            self.again.insert(key, Again::Now(priority));
            return;
        }
        let rank = Self::rank(priority, now);
        match self.waiting.get(&key) {
            Some(Place::Ready(earlier)) if *earlier <= rank => {}
            _ => self.place(key, Place::Ready(rank)),
        }
    }

    /// Makes the key ready at an instant, or when events are let through again, unless it is due earlier already.
    pub fn add_at(&mut self, key: K, at: Instant, now: Instant) {
        let at = self.held_until(&key, now).map_or(at, |held| held.max(at));
        if at <= now {
            return self.add(key, Priority::Normal, now);
        }
        if self.closed {
            return;
        }
        if self.processing.contains(&key) {
            match self.again.get(&key) {
                Some(Again::Now(_)) => {}
                Some(Again::At(earlier)) if *earlier <= at => {}
                _ => drop(self.again.insert(key, Again::At(at))),
            }
            return;
        }
        match self.waiting.get(&key) {
            Some(Place::Ready(_)) => {}
            Some(Place::Delayed(earlier)) if *earlier <= at => {}
            _ => self.place(key, Place::Delayed(at)),
        }
    }

    /// Counts a failure; the key comes back after its backoff. Events, also those that came during the attempt, bring it
    /// back earlier, but not before [`Backoff::hold`] is over.
    pub fn fail(&mut self, key: K, now: Instant) -> Duration {
        let count = self.failures.get(&key).map_or(0, |known| known.count).saturating_add(1);
        let delay = self.backoff.after(count);
        let (held, retry) = (now + delay.min(self.backoff.hold), now + delay);
        self.failures.insert(key.clone(), Failures { count, held, retry });
        let is_wanted = matches!(self.again.get(&key), Some(Again::Now(_)));
        if is_wanted {
            self.again.remove(&key);
        }
        if matches!(self.waiting.get(&key), Some(Place::Ready(_))) {
            self.remove(&key);
        }
        self.add_at(key, if is_wanted { held } else { retry }, now);
        delay
    }

    /// Ends the key's backoff. A key that waits only because of it becomes ready.
    pub fn forget(&mut self, key: &K, now: Instant) {
        let Some(Failures { held, retry, .. }) = self.failures.remove(key) else { return };
        if matches!(self.waiting.get(key), Some(Place::Delayed(at)) if [held, retry].contains(at)) {
            self.add(key.clone(), Priority::Normal, now);
        }
    }

    /// Hands out the key of the best rank.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        if self.closed {
            return None;
        }
        self.ripen(now);
        if self.bucket.is_some_and(|bucket| bucket.next(now).is_some()) {
            return None;
        }
        let (_, key) = self.ready.pop_first()?;
        self.bucket.iter_mut().for_each(|bucket| bucket.take(now));
        self.waiting.remove(&key);
        self.processing.insert(key.clone());
        Some(key)
    }

    /// The worker is done with the key; if it was added meanwhile it waits again.
    pub fn done(&mut self, key: &K, now: Instant) {
        self.processing.remove(key);
        match self.again.remove(key) {
            Some(Again::Now(priority)) => self.add(key.clone(), priority, now),
            Some(Again::At(at)) => self.add_at(key.clone(), at, now),
            None => {}
        }
    }

    /// Keys that could be handed out.
    pub fn depth(&self) -> usize {
        self.ready.len()
    }

    /// When the next delayed key becomes ready.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// When it is worth to ask again after nothing was handed out.
    pub fn next_chance(&self, now: Instant) -> Option<Instant> {
        let limited = self.bucket.filter(|_| !self.ready.is_empty()).and_then(|bucket| bucket.next(now));
        self.next_deadline().into_iter().chain(limited).min()
    }

    /// Hands out nothing more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the queue was closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The instant that orders ready keys: arrival, earlier by [`Self::AGEING`] per level of priority.
    fn rank(priority: Priority, now: Instant) -> Instant {
        match priority {
            Priority::High => now,
            Priority::Normal => now + Self::AGEING,
            Priority::Low => now + 2 * Self::AGEING,
        }
    }

    fn held_until(&self, key: &K, now: Instant) -> Option<Instant> {
        self.failures.get(key).map(|known| known.held).filter(|held| *held > now)
    }

    fn ripen(&mut self, now: Instant) {
        while self.delayed.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, key)) = self.delayed.pop_first() {
                self.waiting.remove(&key);
                self.place(key, Place::Ready(Self::rank(Priority::Normal, at)));
            }
        }
    }

    fn place(&mut self, key: K, place: Place) {
        self.remove(&key);
        match place {
            Place::Ready(rank) => self.ready.insert((rank, key.clone())),
            Place::Delayed(at) => self.delayed.insert((at, key.clone())),
        };
        self.waiting.insert(key, place);
    }

    fn remove(&mut self, key: &K) {
        match self.waiting.remove(key) {
            Some(Place::Ready(rank)) => drop(self.ready.remove(&(rank, key.clone()))),
            Some(Place::Delayed(at)) => drop(self.delayed.remove(&(at, key.clone()))),
            None => {}
        }
    }
}
