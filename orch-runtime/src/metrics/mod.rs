//! Metrics of controllers, for any exporter: [`Meter`] is the facade, `Prometheus` (feature `serve`) an exporter.
//!
//! Names and labels are those of client-go and controller-runtime, so that dashboards and alerts made for them work.

mod names;
#[cfg(feature = "serve")]
mod prometheus;

pub use names::*;
#[cfg(feature = "serve")]
pub use prometheus::Prometheus;

use std::sync::{Arc, Weak};

/// Adds to a counter.
pub type Counter = Arc<dyn Fn(u64) + Send + Sync>;
/// Sets a gauge.
pub type Gauge = Arc<dyn Fn(f64) + Send + Sync>;
/// Records a value, such as seconds.
pub type Histogram = Arc<dyn Fn(f64) + Send + Sync>;
/// Label names and values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// What a metric is called and what it says.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// The name; Prometheus adds `_total` to counters.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

/// Where metrics go. An instrument is asked for once per controller and used often, so that a measurement is a call
/// of a function and no look-up.
///
/// # Laws
///
/// - The same metric with the same labels is the same instrument.
/// - Measuring neither waits nor fails.
/// - An exporter that is asked for the values calls [`Export::export`] of everybody first.
pub trait Meter: Send + Sync + 'static {
    /// A number that grows.
    fn counter(&self, metric: &'static Metric, labels: Labels<'_>) -> Counter;
    /// A number that goes up and down.
    fn gauge(&self, metric: &'static Metric, labels: Labels<'_>) -> Gauge;
    /// A distribution.
    fn histogram(&self, metric: &'static Metric, labels: Labels<'_>) -> Histogram;
    /// Someone who sets gauges whose values are only known at the moment of asking.
    fn on_export(&self, source: Weak<dyn Export>);
}

/// Sets gauges before they are exported.
pub trait Export: Send + Sync {
    /// Sets them.
    fn export(&self);
}

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmeasured;

impl Meter for Unmeasured {
    fn counter(&self, _: &'static Metric, _: Labels<'_>) -> Counter {
        Arc::new(|_| {})
    }

    fn gauge(&self, _: &'static Metric, _: Labels<'_>) -> Gauge {
        Arc::new(|_| {})
    }

    fn histogram(&self, _: &'static Metric, _: Labels<'_>) -> Histogram {
        Arc::new(|_| {})
    }

    fn on_export(&self, _: Weak<dyn Export>) {}
}
