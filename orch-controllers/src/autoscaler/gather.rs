//! What an autoscaler asks the API for: the scale of its target, the pods, the metrics. What goes wrong is data, too: it is
//! told in the conditions.

use super::Scale;
use crate::common::selector::go_text;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        autoscaling::v2::{CrossVersionObjectReference, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use orch_api::{Gvk, Gvr, Key, Object, label_selector::Selector, quantity::Quantity};
use orch_runtime::{
    Discovery, Target,
    autoscaling::{MetricName, MetricValue, MetricsProvider},
};
use orch_store::{
    Client,
    client::{ListOptions, Page},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const POD_METRICS: Gvr = Gvr::of("metrics.k8s.io", "v1beta1", "pods");

/// Whom to ask.
pub(super) struct Sources<'a> {
    pub(super) discovery: &'a dyn Discovery,
    pub(super) metrics: &'a dyn MetricsProvider,
    pub(super) client: &'a dyn Client,
}

/// What was answered.
pub(super) struct Observed {
    /// The scale of the target, or why there is none.
    pub(super) scale: Result<Scale, String>,
    /// The pods that the scale selects.
    pub(super) selector: Option<Selector>,
    /// Why the scale selects none.
    pub(super) bad_selector: Option<String>,
    /// The pods, or why they could not be read.
    pub(super) pods: Result<Vec<Arc<Pod>>, String>,
    /// For each metric of the spec.
    pub(super) readings: Vec<Reading>,
}

/// What is known of a metric.
pub(super) enum Reading {
    /// A value for each of some pods.
    Pods(Result<Samples, String>),
    /// The value of an object.
    Object(Result<i64, String>),
    /// The values of an external metric.
    External(Result<Vec<i64>, String>),
    /// The source is none that is known.
    Unknown,
}

/// Values by pod.
pub(super) type Samples = BTreeMap<String, Sample>;

/// A value of one pod, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) millis: i64,
    pub(super) at: Timestamp,
    pub(super) window: Duration,
}

pub(super) async fn gather(autoscaler: &HorizontalPodAutoscaler, sources: &Sources<'_>) -> Observed {
    let namespace = autoscaler.key().namespace;
    let spec = autoscaler.spec.clone();
    let scale = scale(&namespace, &spec.scale_target_ref, sources).await;
    let mut observed =
        Observed { scale, selector: None, bad_selector: None, pods: Ok(Vec::new()), readings: Vec::new() };
    let Ok(scale) = &observed.scale else { return observed };
    if !super::decide::needs_metrics(autoscaler, scale.wanted) || scale.selector.is_empty() {
        return observed;
    }
    let selector = match Selector::parse(&scale.selector) {
        Ok(selector) => selector,
        Err(error) => {
            observed.bad_selector = Some(error.to_string());
            return observed;
        }
    };
    observed.pods = pods(&namespace, &scale.selector, sources).await;
    for metric in spec.metrics.iter().flatten() {
        observed.readings.push(read(&namespace, metric, &scale.selector, &selector, sources).await);
    }
    observed.selector = Some(selector);
    observed
}

/// The scale of the target.
async fn scale(namespace: &str, target: &CrossVersionObjectReference, sources: &Sources<'_>) -> Result<Scale, String> {
    let version = target.api_version.as_deref().unwrap_or_default();
    if version.matches('/').count() > 1 {
        return Err(format!("unexpected GroupVersion string: {version}"));
    }
    let wanted = Gvk::parse(version, &target.kind);
    let same = |kind: &Gvk| kind.group == wanted.group && kind.kind == wanted.kind;
    let Some(found) = sources.discovery.served().into_iter().find(|s| same(&s.kind)) else {
        let group = if wanted.group.is_empty() { String::new() } else { format!(" in group {:?}", wanted.group) };
        return Err(format!("no matches for kind {:?}{group}", wanted.kind));
    };
    let key = Key::new(namespace, target.name.as_str());
    let stored = sources.client.get(&found.gvr, &key, Some("scale")).await.map_err(|error| error.to_string())?;
    let body: serde_json::Value = stored.parse().map_err(|error| error.to_string())?;
    let number = |path: &str| body.pointer(path).and_then(serde_json::Value::as_i64).unwrap_or(0);
    let number = |path: &str| i32::try_from(number(path)).unwrap_or(i32::MAX);
    Ok(Scale {
        wanted: number("/spec/replicas"),
        there: number("/status/replicas"),
        selector: body.pointer("/status/selector").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        target: Target { gvr: found.gvr, kind: found.kind.kind, key },
        body,
    })
}

async fn pods(namespace: &str, selector: &str, sources: &Sources<'_>) -> Result<Vec<Arc<Pod>>, String> {
    let page = list(&Pod::gvr(), namespace, selector, sources).await?;
    page.items.iter().map(|pod| pod.decode().map_err(|error| error.to_string())).collect()
}

async fn list(gvr: &Gvr, namespace: &str, selector: &str, sources: &Sources<'_>) -> Result<Page, String> {
    let options = ListOptions { namespace: namespace.into(), labels: selector.to_owned(), ..ListOptions::default() };
    sources.client.list(gvr, &options).await.map_err(|error| error.to_string())
}

async fn read(namespace: &str, spec: &MetricSpec, text: &str, selector: &Selector, sources: &Sources<'_>) -> Reading {
    match (&*spec.type_, spec) {
        ("Resource", MetricSpec { resource: Some(source), .. }) => {
            Reading::Pods(resource(namespace, &source.name, None, text, sources).await)
        }
        ("ContainerResource", MetricSpec { container_resource: Some(source), .. }) => {
            Reading::Pods(resource(namespace, &source.name, Some(&source.container), text, sources).await)
        }
        ("Pods", MetricSpec { pods: Some(source), .. }) => {
            let found = sources.metrics.of_pods(namespace, selector, &name(&source.metric)).await;
            Reading::Pods(custom(found).map(by_pod))
        }
        ("Object", MetricSpec { object: Some(source), .. }) => {
            let about = &source.described_object;
            let kind = Gvk::parse(about.api_version.as_deref().unwrap_or_default(), &about.kind);
            // A namespace cannot name another one than its own.
            let is_namespace = kind.group.is_empty() && kind.kind == "Namespace";
            let of = if is_namespace { namespace } else { &about.name };
            let found = sources.metrics.of_object(namespace, &kind, of, &name(&source.metric)).await;
            let found = found.map(|value| value.millis).map_err(|error| {
                let why = format!("unable to fetch metrics from custom metrics API: {error}");
                format!(
                    "unable to get metric {}: {why} on {} {namespace}/{}",
                    source.metric.name, about.kind, about.name
                )
            });
            Reading::Object(found)
        }
        ("External", MetricSpec { external: Some(source), .. }) => {
            let found = sources.metrics.external(namespace, &name(&source.metric)).await;
            Reading::External(external(namespace, &source.metric, found))
        }
        _ => Reading::Unknown,
    }
}

fn name(metric: &MetricIdentifier) -> MetricName {
    MetricName { name: metric.name.clone(), selector: metric.selector.clone() }
}

fn by_pod(values: Vec<MetricValue>) -> Samples {
    let sample = |v: &MetricValue| Sample { millis: v.millis, at: v.at, window: v.window };
    values.iter().map(|value| (value.object.clone(), sample(value))).collect()
}

fn custom(found: Result<Vec<MetricValue>, orch_api::StatusError>) -> Result<Vec<MetricValue>, String> {
    match found {
        Ok(values) if values.is_empty() => Err("no metrics returned from custom metrics API".into()),
        Ok(values) => Ok(values),
        Err(error) => Err(format!("unable to fetch metrics from custom metrics API: {error}")),
    }
}

fn external(
    namespace: &str,
    metric: &MetricIdentifier,
    found: Result<Vec<MetricValue>, orch_api::StatusError>,
) -> Result<Vec<i64>, String> {
    let selector: Option<&LabelSelector> = metric.selector.as_ref();
    let wrap =
        |why: String| format!("unable to get external metric {namespace}/{}/{}: {why}", metric.name, go_text(selector));
    match found {
        Ok(values) if values.is_empty() => Err(wrap("no metrics returned from external metrics API".into())),
        Ok(values) => Ok(values.iter().map(|value| value.millis).collect()),
        Err(error) => Err(wrap(format!("unable to fetch metrics from external metrics API: {error}"))),
    }
}

/// A resource of the containers of each pod together, or of the one of that name.
async fn resource(
    namespace: &str,
    resource: &str,
    container: Option<&str>,
    selector: &str,
    sources: &Sources<'_>,
) -> Result<Samples, String> {
    let page = list(&POD_METRICS, namespace, selector, sources)
        .await
        .map_err(|error| format!("unable to fetch metrics from resource metrics API: {error}"))?;
    if page.items.is_empty() {
        return Err("no metrics returned from resource metrics API".into());
    }
    let all = page.items.iter().filter_map(|stored| Some((stored.key.name.to_string(), stored.parse().ok()?)));
    Ok(all.filter_map(|(name, metrics)| Some((name, sample(&metrics, resource, container)?))).collect())
}

#[derive(Deserialize)]
struct PodMetrics {
    timestamp: Timestamp,
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

/// A pod of which a container is not measured is not measured.
fn sample(metrics: &PodMetrics, resource: &str, container: Option<&str>) -> Option<Sample> {
    let usage = |c: &ContainerMetrics| Some(Quantity::parse(c.usage.get(resource)?).ok()?.millis());
    let millis = match container {
        Some(name) => usage(metrics.containers.iter().find(|c| c.name == name)?)?,
        None if metrics.containers.is_empty() => return None,
        None => metrics.containers.iter().map(usage).sum::<Option<i64>>()?,
    };
    let window = orch_api::duration::parse(&metrics.window).unwrap_or_default();
    Some(Sample { millis, at: metrics.timestamp, window })
}
