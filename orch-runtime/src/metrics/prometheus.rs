//! [`Prometheus`]: the exporter for Prometheus and OpenMetrics.

use super::{Counter, Export, Gauge, Histogram, Labels, Meter, Metric};
use parking_lot::Mutex;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter as Count,
        family::{Family, MetricConstructor},
        gauge::Gauge as Level,
        histogram::Histogram as Buckets,
    },
    registry::Registry,
};
use std::{
    collections::HashMap,
    sync::{Arc, Weak, atomic::AtomicU64},
};

/// A registry of metrics, as text for Prometheus. Cheap to clone. Metrics appear with their first use; those of your
/// own are a `static` [`Metric`] away, or go into [`Prometheus::register`].
#[derive(Clone, Default)]
pub struct Prometheus(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    registry: Registry,
    families: HashMap<&'static str, AnyFamily>,
    exports: Vec<Weak<dyn Export>>,
}

type Set = Vec<(&'static str, String)>;
type Number = Level<f64, AtomicU64>;

enum AnyFamily {
    Counter(Family<Set, Count>),
    Gauge(Family<Set, Number>),
    Histogram(Family<Set, Buckets, Bounds>),
}

#[derive(Clone)]
struct Bounds(&'static [f64]);

impl MetricConstructor<Buckets> for Bounds {
    fn new_metric(&self) -> Buckets {
        Buckets::new(self.0.iter().copied())
    }
}

impl Prometheus {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds metrics of your own to the registry.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.0.lock().registry);
    }

    /// All metrics in the text format of OpenMetrics, which Prometheus reads.
    pub fn text(&self) -> String {
        let sources: Vec<Arc<dyn Export>> = {
            let mut inner = self.0.lock();
            inner.exports.retain(|source| source.strong_count() > 0);
            inner.exports.iter().filter_map(Weak::upgrade).collect()
        };
        sources.iter().for_each(|source| source.export());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.0.lock().registry);
        text
    }
}

impl Inner {
    /// The family of a metric; `None` where the same name is used for metrics of two kinds.
    fn family(&mut self, metric: &'static Metric, make: impl FnOnce(&mut Registry) -> AnyFamily) -> &AnyFamily {
        self.families.entry(metric.name).or_insert_with(|| make(&mut self.registry))
    }
}

fn set(labels: Labels<'_>) -> Set {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// Registers a family under the metric's name; the registry ends the help with a full stop.
fn register<F: Clone + prometheus_client::registry::Metric>(registry: &mut Registry, metric: &Metric, family: F) -> F {
    registry.register(metric.name, metric.help, family.clone());
    family
}

impl Meter for Prometheus {
    fn counter(&self, metric: &'static Metric, labels: Labels<'_>) -> Counter {
        let mut inner = self.0.lock();
        let family = inner.family(metric, |r| AnyFamily::Counter(register(r, metric, Family::default())));
        let AnyFamily::Counter(family) = family else { return Arc::new(|_| {}) };
        let counter = family.get_or_create_owned(&set(labels));
        Arc::new(move |by| {
            counter.inc_by(by);
        })
    }

    fn gauge(&self, metric: &'static Metric, labels: Labels<'_>) -> Gauge {
        let mut inner = self.0.lock();
        let family = inner.family(metric, |r| AnyFamily::Gauge(register(r, metric, Family::default())));
        let AnyFamily::Gauge(family) = family else { return Arc::new(|_| {}) };
        let gauge = family.get_or_create_owned(&set(labels));
        Arc::new(move |value| {
            gauge.set(value);
        })
    }

    fn histogram(&self, metric: &'static Metric, labels: Labels<'_>) -> Histogram {
        let mut inner = self.0.lock();
        let bounds = Bounds(metric.buckets);
        let make = |r: &mut Registry| AnyFamily::Histogram(register(r, metric, Family::new_with_constructor(bounds)));
        let AnyFamily::Histogram(family) = inner.family(metric, make) else { return Arc::new(|_| {}) };
        let histogram = family.get_or_create_owned(&set(labels));
        Arc::new(move |value| histogram.observe(value))
    }

    fn on_export(&self, source: Weak<dyn Export>) {
        self.0.lock().exports.push(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{QUEUE_ADDS, QUEUE_DEPTH, QUEUE_WORK};

    #[test]
    fn the_text_has_the_names_of_client_go() {
        let prometheus = Prometheus::new();
        let labels = [("name", "web")];
        prometheus.counter(&QUEUE_ADDS, &labels)(2);
        prometheus.counter(&QUEUE_ADDS, &labels)(1);
        prometheus.histogram(&QUEUE_WORK, &labels)(0.5);
        let text = prometheus.text();
        assert!(text.contains("workqueue_adds_total{name=\"web\"} 3"), "{text}");
        assert!(text.contains("workqueue_work_duration_seconds_bucket{le=\"1.0\",name=\"web\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn gauges_are_set_when_somebody_asks_and_no_longer_when_their_owner_is_gone() {
        struct Asked(Gauge);
        impl Export for Asked {
            fn export(&self) {
                (self.0)(7.0);
            }
        }
        let prometheus = Prometheus::new();
        let asked: Arc<dyn Export> = Arc::new(Asked(prometheus.gauge(&QUEUE_DEPTH, &[("name", "web")])));
        prometheus.on_export(Arc::downgrade(&asked));
        assert!(prometheus.text().contains("workqueue_depth{name=\"web\"} 7.0"), "{}", prometheus.text());
        drop(asked);
        prometheus.text();
        assert!(prometheus.0.lock().exports.is_empty());
    }
}
