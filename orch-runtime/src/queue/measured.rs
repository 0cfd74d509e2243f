//! [`Measured`]: any queue, with client-go's metrics of it (`client-go/util/workqueue/metrics.go`).

use super::{Priority, WorkQueue};
use crate::metrics::{self, Counter, Export, Gauge, Histogram, Meter};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::Instant;

/// A queue around another, which counts and measures what passes.
pub struct Measured<K> {
    inner: Arc<dyn WorkQueue<K>>,
    times: Mutex<Times<K>>,
    adds: Counter,
    retries: Counter,
    latency: Histogram,
    work: Histogram,
    depth: Gauge,
    oldest: Gauge,
    unfinished: Gauge,
    longest: Gauge,
}

struct Times<K> {
    /// Since when each waiting key is due; in the future where it was delayed.
    due: HashMap<K, Instant>,
    /// Before when a failed key is not due, whoever asks for it.
    held: HashMap<K, Instant>,
    /// Since when each key is worked on.
    begun: HashMap<K, Instant>,
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static> Measured<K> {
    /// Measures a queue under the name of its controller.
    pub fn new(name: &str, inner: Arc<dyn WorkQueue<K>>, meter: &dyn Meter) -> Arc<Self> {
        let labels = [("name", name), ("controller", name)];
        let measured = Arc::new(Self {
            inner,
            times: Mutex::new(Times { due: HashMap::new(), held: HashMap::new(), begun: HashMap::new() }),
            adds: meter.counter(&metrics::QUEUE_ADDS, &labels),
            retries: meter.counter(&metrics::QUEUE_RETRIES, &labels),
            latency: meter.histogram(&metrics::QUEUE_LATENCY, &labels),
            work: meter.histogram(&metrics::QUEUE_WORK, &labels),
            depth: meter.gauge(&metrics::QUEUE_DEPTH, &labels),
            oldest: meter.gauge(&metrics::QUEUE_OLDEST, &labels),
            unfinished: meter.gauge(&metrics::QUEUE_UNFINISHED, &labels),
            longest: meter.gauge(&metrics::QUEUE_LONGEST, &labels),
        });
        let weak: Weak<Self> = Arc::downgrade(&measured);
        meter.on_export(weak);
        measured
    }

    fn wanted(&self, key: &K, at: Instant) {
        let mut times = self.times.lock();
        let at = times.held.get(key).map_or(at, |held| at.max(*held));
        match times.due.get_mut(key) {
            Some(due) => *due = at.min(*due),
            None => drop(times.due.insert(key.clone(), at)),
        }
    }
}

/// What is only known at the moment of asking.
impl<K: Clone + Eq + Hash + Send + Sync + 'static> Export for Measured<K> {
    fn export(&self) {
        let now = Instant::now();
        let times = self.times.lock();
        let age = |since: &Instant| now.saturating_duration_since(*since).as_secs_f64();
        (self.depth)(self.inner.depth() as f64);
        (self.oldest)(times.due.values().map(age).fold(0.0, f64::max));
        (self.unfinished)(times.begun.values().map(age).sum());
        (self.longest)(times.begun.values().map(age).fold(0.0, f64::max));
    }
}

#[async_trait]
impl<K: Clone + Eq + Hash + Send + Sync + 'static> WorkQueue<K> for Measured<K> {
    fn add(&self, key: K, priority: Priority) {
        (self.adds)(1);
        self.wanted(&key, Instant::now());
        self.inner.add(key, priority);
    }

    fn add_after(&self, key: K, delay: Duration) {
        (self.adds)(1);
        self.wanted(&key, Instant::now() + delay);
        self.inner.add_after(key, delay);
    }

    fn fail(&self, key: K) -> Duration {
        (self.retries)(1);
        let delay = self.inner.fail(key.clone());
        let due = Instant::now() + delay;
        let mut times = self.times.lock();
        times.held.insert(key.clone(), due);
        // Who asked for the key meanwhile waits for its backoff, too.
        times.due.insert(key, due);
        delay
    }

    fn forget(&self, key: &K) {
        let mut times = self.times.lock();
        let held = times.held.remove(key);
        // It becomes ready now, if it waits for nothing but that.
        if let Some(due) = times.due.get_mut(key).filter(|due| Some(**due) == held) {
            *due = Instant::now().min(*due);
        }
        drop(times);
        self.inner.forget(key);
    }

    async fn next(&self) -> Option<K> {
        let key = self.inner.next().await?;
        let now = Instant::now();
        let due = {
            let mut times = self.times.lock();
            times.begun.insert(key.clone(), now);
            times.held.remove(&key);
            times.due.remove(&key)
        };
        (self.latency)(due.map_or(0.0, |due| now.saturating_duration_since(due).as_secs_f64()));
        Some(key)
    }

    fn done(&self, key: &K) {
        let begun = self.times.lock().begun.remove(key);
        if let Some(begun) = begun {
            (self.work)(begun.elapsed().as_secs_f64());
        }
        self.inner.done(key);
    }

    fn depth(&self) -> usize {
        self.inner.depth()
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::Prometheus,
        queue::{Backoff, Queue},
    };

    fn measured() -> (Arc<Measured<&'static str>>, Prometheus) {
        let prometheus = Prometheus::new();
        let backoff =
            Backoff { base: Duration::from_secs(60), max: Duration::from_secs(60), hold: Duration::from_secs(60) };
        (Measured::new("q", Arc::new(Queue::new(backoff)), &prometheus), prometheus)
    }

    async fn failed(queue: &Measured<&'static str>) {
        queue.add("a", Priority::Normal);
        assert_eq!(queue.next().await, Some("a"));
        queue.fail("a");
        queue.done(&"a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_in_its_backoff_is_not_late_whoever_asks_for_it() {
        let (queue, prometheus) = measured();
        failed(&queue).await;
        queue.add("a", Priority::High);
        tokio::time::sleep(Duration::from_secs(30)).await;
        let text = prometheus.text();
        assert!(text.contains("workqueue_oldest_item_age_seconds{name=\"q\",controller=\"q\"} 0.0"), "{text}");
        assert_eq!(queue.next().await, Some("a"));
        let text = prometheus.text();
        assert!(text.contains("workqueue_queue_duration_seconds_sum{name=\"q\",controller=\"q\"} 0.0"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_whose_backoff_is_lifted_is_due_then() {
        let (queue, prometheus) = measured();
        failed(&queue).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        queue.forget(&"a");
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(queue.next().await, Some("a"));
        let text = prometheus.text();
        assert!(text.contains("workqueue_queue_duration_seconds_sum{name=\"q\",controller=\"q\"} 7.0"), "{text}");
    }
}
