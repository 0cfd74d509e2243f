//! [`MetricsProvider`]: the plug point behind `custom.metrics.k8s.io` and `external.metrics.k8s.io`, for the metrics by
//! which workloads are scaled and which no node measures.

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use orch_api::{Gvk, Reason, StatusError, label_selector::Selector};
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};

/// Knows metrics that are not those of containers. Asked once for every metric of every autoscaler at each of its looks.
///
/// # Laws
///
/// - An answer without values is an error at the caller: nobody scales by what is not there.
/// - Values are thousandths, as quantities are compared.
/// - A refusal says in a [`StatusError`] what the API would have answered.
#[async_trait]
pub trait MetricsProvider: Send + Sync + 'static {
    /// The metric of every pod of a namespace that the selector selects.
    async fn of_pods(
        &self,
        namespace: &str,
        pods: &Selector,
        metric: &MetricName,
    ) -> Result<Vec<MetricValue>, StatusError>;

    /// The metric of one object. A Namespace is an object of the cluster and is asked for by its own name.
    async fn of_object(
        &self,
        namespace: &str,
        kind: &Gvk,
        name: &str,
        metric: &MetricName,
    ) -> Result<MetricValue, StatusError>;

    /// The values of a metric that belongs to no object of the cluster.
    async fn external(&self, namespace: &str, metric: &MetricName) -> Result<Vec<MetricValue>, StatusError>;
}

/// A metric, and which of its series are meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricName {
    /// Its name.
    pub name: String,
    /// Which series; all when unset.
    pub selector: Option<LabelSelector>,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricValue {
    /// The object that it describes; empty for an external metric.
    pub object: String,
    /// Thousandths of it.
    pub millis: i64,
    /// When it was measured.
    pub at: Timestamp,
    /// Over how long.
    pub window: Duration,
}

/// There are no such metrics: what a cluster without an adapter answers.
pub struct NoMetrics;

#[async_trait]
impl MetricsProvider for NoMetrics {
    async fn of_pods(&self, _: &str, _: &Selector, _: &MetricName) -> Result<Vec<MetricValue>, StatusError> {
        Err(no_custom())
    }

    async fn of_object(&self, _: &str, _: &Gvk, _: &str, _: &MetricName) -> Result<MetricValue, StatusError> {
        Err(no_custom())
    }

    async fn external(&self, _: &str, metric: &MetricName) -> Result<Vec<MetricValue>, StatusError> {
        Err(not_found(&format!("{}.external.metrics.k8s.io", metric.name)))
    }
}

/// Metrics that this process sets: for tests, and for programs that know themselves how busy they are. Series are not
/// told apart by their labels. Cheap to share behind an `Arc`.
#[derive(Default)]
pub struct FixedMetrics {
    values: Mutex<BTreeMap<(String, String), Vec<MetricValue>>>,
}

impl FixedMetrics {
    /// Sets the values of a metric in a namespace; those with the name of an object are that object's.
    pub fn set(&self, namespace: &str, metric: &str, values: Vec<MetricValue>) {
        self.values.lock().insert((namespace.into(), metric.into()), values);
    }

    fn get(&self, namespace: &str, metric: &MetricName) -> Option<Vec<MetricValue>> {
        self.values.lock().get(&(namespace.to_owned(), metric.name.clone())).cloned()
    }
}

#[async_trait]
impl MetricsProvider for FixedMetrics {
    async fn of_pods(&self, ns: &str, _: &Selector, metric: &MetricName) -> Result<Vec<MetricValue>, StatusError> {
        Ok(self.get(ns, metric).unwrap_or_default())
    }

    async fn of_object(&self, ns: &str, _: &Gvk, name: &str, metric: &MetricName) -> Result<MetricValue, StatusError> {
        let values = self.get(ns, metric).unwrap_or_default();
        let found = values.into_iter().find(|value| value.object == name);
        found.ok_or_else(|| not_found(&format!("{}.custom.metrics.k8s.io {name}", metric.name)))
    }

    async fn external(&self, ns: &str, metric: &MetricName) -> Result<Vec<MetricValue>, StatusError> {
        self.get(ns, metric).ok_or_else(|| not_found(&format!("{}.external.metrics.k8s.io", metric.name)))
    }
}

fn no_custom() -> StatusError {
    StatusError::new(Reason::NotFound, "no custom metrics API (custom.metrics.k8s.io) registered")
}

fn not_found(what: &str) -> StatusError {
    StatusError::new(Reason::NotFound, format!("the server could not find the requested resource (get {what})"))
}
