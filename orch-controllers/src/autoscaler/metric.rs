//! One metric of an autoscaler: what it proposes, what the status says of it, and the words when it fails
//! (`computeReplicasForMetric` and the `computeStatusFor…` functions).

use super::{calculator::Setting, gather::Reading, gather::Samples};
use crate::common::selector::go_text;
use k8s_openapi::{
    api::autoscaling::v2::{
        ContainerResourceMetricStatus, ExternalMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
        ObjectMetricStatus, PodsMetricStatus, ResourceMetricStatus,
    },
    apimachinery::pkg::api::resource::Quantity as Text,
};
use orch_api::quantity::{Format, Quantity};

/// What a metric asks for.
pub(super) struct Proposal {
    /// So many replicas.
    pub(super) replicas: i32,
    /// The metric in the words of reasons.
    pub(super) name: String,
    /// What the status says of it.
    pub(super) status: MetricStatus,
}

/// Why a metric asks for nothing.
pub(super) struct Refused {
    /// The reason of the condition and of the event.
    pub(super) reason: &'static str,
    /// In the condition and the event.
    pub(super) words: String,
    /// Among the errors of all metrics.
    pub(super) error: String,
}

pub(super) fn propose(spec: &MetricSpec, reading: &Reading, setting: &Setting<'_>) -> Result<Proposal, Refused> {
    match (reading, spec) {
        (Reading::Pods(samples), MetricSpec { resource: Some(source), .. }) => {
            let found = of_resource(samples, &source.name, None, &source.target, setting);
            let refused = refuse("FailedGetResourceMetric", format!("{} resource metric value", source.name));
            let (replicas, current, name) = found.map_err(refused)?;
            let resource = Some(ResourceMetricStatus { name: source.name.clone(), current });
            Ok(Proposal { replicas, name, status: MetricStatus { resource, ..of_type(spec) } })
        }
        (Reading::Pods(samples), MetricSpec { container_resource: Some(source), .. }) => {
            let found = of_resource(samples, &source.name, Some(&source.container), &source.target, setting);
            let value = format!("{} container metric value", source.container);
            let (replicas, current, name) = found.map_err(refuse("FailedGetContainerResourceMetric", value))?;
            let (resource, container) = (source.name.clone(), source.container.clone());
            let status = ContainerResourceMetricStatus { name: resource, container, current };
            Ok(Proposal { replicas, name, status: MetricStatus { container_resource: Some(status), ..of_type(spec) } })
        }
        (Reading::Pods(samples), MetricSpec { pods: Some(source), .. }) => {
            let samples = samples.as_ref().map_err(|why| format!("unable to get metric {}: {why}", source.metric.name));
            let found = samples.and_then(|s| setting.by_average(s, "", millis(source.target.average_value.as_ref())));
            let (replicas, usage) = found.map_err(refuse("FailedGetPodsMetric", "pods metric value".into()))?;
            let status = PodsMetricStatus { metric: source.metric.clone(), current: average(usage, "") };
            let name = format!("pods metric {}", source.metric.name);
            Ok(Proposal { replicas, name, status: MetricStatus { pods: Some(status), ..of_type(spec) } })
        }
        (Reading::Object(usage), MetricSpec { object: Some(_), .. }) => of_object(spec, usage, setting),
        (Reading::External(values), MetricSpec { external: Some(_), .. }) => of_external(spec, values, setting),
        _ => {
            let words = format!("unknown metric source type {:?}", spec.type_);
            Err(Refused { reason: "InvalidMetricSourceType", error: words.clone(), words })
        }
    }
}

fn refuse(reason: &'static str, value: String) -> impl FnOnce(String) -> Refused {
    move |words| Refused { reason, error: format!("failed to get {value}: {words}"), words }
}

fn of_type(spec: &MetricSpec) -> MetricStatus {
    MetricStatus { type_: spec.type_.clone(), ..MetricStatus::default() }
}

fn of_resource(
    samples: &Result<Samples, String>,
    resource: &str,
    container: Option<&str>,
    target: &MetricTarget,
    setting: &Setting<'_>,
) -> Result<(i32, MetricValueStatus, String), String> {
    let samples = samples.as_ref().map_err(|why| format!("unable to get metrics for resource {resource}: {why}"));
    if let Some(value) = &target.average_value {
        let found = samples.and_then(|s| setting.by_average(s, resource, millis(Some(value))));
        let (replicas, usage) = found.map_err(|why| format!("failed to get {resource} usage: {why}"))?;
        return Ok((replicas, average(usage, resource), format!("{resource} resource")));
    }
    let Some(percent) = target.average_utilization else {
        return Err(
            "invalid resource metric source: neither an average utilization target nor an average value (usage) \
                    target was set"
                .into(),
        );
    };
    let found = samples.and_then(|s| setting.by_utilization(s, resource, container, percent));
    let (replicas, percent, usage) = found.map_err(|why| format!("failed to get {resource} utilization: {why}"))?;
    let current = MetricValueStatus { average_utilization: Some(percent), ..average(usage, resource) };
    let of = if container.is_some() { "container resource" } else { "resource" };
    Ok((replicas, current, format!("{resource} {of} utilization (percentage of request)")))
}

fn of_object(spec: &MetricSpec, usage: &Result<i64, String>, setting: &Setting<'_>) -> Result<Proposal, Refused> {
    let source = spec.object.clone().unwrap_or_default();
    let refused = |words: String| refuse("FailedGetObjectMetric", "object metric value".into())(words);
    let (target, metric) = (&source.target, &source.metric);
    let (replicas, current, name) = match (&*target.type_, &target.value, &target.average_value) {
        ("Value", Some(wanted), _) => {
            let usage = usage.clone().map_err(refused)?;
            let replicas = setting.by_value(usage, millis(Some(wanted))).map_err(refused)?;
            let name = format!("{} metric {}", source.described_object.kind, metric.name);
            (replicas, MetricValueStatus { value: Some(text(usage, "")), ..MetricValueStatus::default() }, name)
        }
        ("AverageValue", _, Some(wanted)) => {
            let wrap = |why: String| {
                let words = format!("failed to get {} object metric: {why}", metric.name);
                Refused { words: why, ..refused(words) }
            };
            let usage = usage.clone().map_err(wrap)?;
            let (replicas, usage) = setting.by_value_per_pod(usage, millis(Some(wanted)));
            // Upstream calls it external here, too.
            let name = format!("external metric {}({})", metric.name, go_text(metric.selector.as_ref()));
            (replicas, average(usage, ""), name)
        }
        _ => {
            let words = "invalid object metric source: neither a value target nor an average value target was set";
            return Err(refused(words.into()));
        }
    };
    let (described_object, metric) = (source.described_object, source.metric);
    let object = Some(ObjectMetricStatus { current, described_object, metric });
    Ok(Proposal { replicas, name, status: MetricStatus { object, ..of_type(spec) } })
}

fn of_external(
    spec: &MetricSpec,
    values: &Result<Vec<i64>, String>,
    setting: &Setting<'_>,
) -> Result<Proposal, Refused> {
    let source = spec.external.clone().unwrap_or_default();
    let metric = &source.metric;
    let refused = |words: String, error: String| {
        let outer = refuse("FailedGetExternalMetric", format!("{} external metric value", metric.name));
        Refused { words, ..outer(error) }
    };
    let usage = values.as_ref().map(|values| values.iter().fold(0_i64, |sum, value| sum.saturating_add(*value)));
    let (replicas, current) = match (&source.target.average_value, &source.target.value) {
        (Some(wanted), _) => {
            let wrap =
                |why: &String| refused(why.clone(), format!("failed to get {} external metric: {why}", metric.name));
            let (replicas, usage) = setting.by_value_per_pod(usage.map_err(wrap)?, millis(Some(wanted)));
            (replicas, average(usage, ""))
        }
        (None, Some(wanted)) => {
            let wrap =
                |why: String| refused(why.clone(), format!("failed to get external metric {}: {why}", metric.name));
            let usage = usage.map_err(|why| wrap(why.clone()))?;
            let replicas = setting.by_value(usage, millis(Some(wanted))).map_err(wrap)?;
            (replicas, MetricValueStatus { value: Some(text(usage, "")), ..MetricValueStatus::default() })
        }
        (None, None) => {
            let words = "invalid external metric source: neither a value target nor an average value target was set";
            return Err(refused(words.into(), words.into()));
        }
    };
    let name = format!("external metric {}({})", metric.name, go_text(metric.selector.as_ref()));
    let external = Some(ExternalMetricStatus { current, metric: source.metric.clone() });
    Ok(Proposal { replicas, name, status: MetricStatus { external, ..of_type(spec) } })
}

fn millis(value: Option<&Text>) -> i64 {
    value.and_then(|text| Quantity::parse(&text.0).ok()).unwrap_or(Quantity::ZERO).millis()
}

fn average(millis: i64, resource: &str) -> MetricValueStatus {
    MetricValueStatus { average_value: Some(text(millis, resource)), ..MetricValueStatus::default() }
}

/// Memory is printed in powers of two, as the metrics themselves are.
fn text(millis: i64, resource: &str) -> Text {
    let format = if resource == "memory" { Format::BinarySi } else { Format::DecimalSi };
    Text(Quantity::from_millis(millis).printed_as(format).to_string())
}
