//! How many replicas a metric asks for (`replica_calculator.go`, `metrics/utilization.go`). Pure arithmetic; amounts are
//! thousandths, and the floating point is upstream's, so that both round alike.

use super::gather::{Sample, Samples};
use crate::common::time::plus_seconds;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Container, Pod, PodCondition},
    apimachinery::pkg::api::resource::Quantity as Text,
};
use orch_api::{quantity::Quantity, quota};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a starting pod burns says nothing (`--horizontal-pod-autoscaler-cpu-initialization-period`).
const CPU_INITIALIZATION_SECONDS: i64 = 300;
/// A pod that was unready so soon was never ready (`--horizontal-pod-autoscaler-initial-readiness-delay`).
const INITIAL_READINESS_SECONDS: i64 = 30;

/// By which part of the target usage may differ from it (`--horizontal-pod-autoscaler-tolerance`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerances {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerances {
    fn hold(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What all calculations look at.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// The pods, or why they could not be read.
    pub(super) pods: &'a Result<Vec<Arc<Pod>>, String>,
    /// `spec.replicas` of the scale.
    pub(super) wanted: i32,
    /// `status.replicas` of the scale.
    pub(super) there: i32,
    pub(super) tolerances: Tolerances,
    pub(super) now: Timestamp,
}

impl<'a> Setting<'a> {
    fn pods(&self) -> Result<&'a [Arc<Pod>], String> {
        match self.pods {
            Err(why) => Err(format!("unable to get pods while calculating replica count: {why}")),
            Ok(pods) if pods.is_empty() => {
                Err("no pods returned by selector while calculating replica count".to_owned())
            }
            Ok(pods) => Ok(pods),
        }
    }

    /// By the part of what the pods request that they use: replicas, percent used, and the amount used on average.
    pub(super) fn by_utilization(
        &self,
        samples: &Samples,
        resource: &str,
        container: Option<&str>,
        target: i32,
    ) -> Result<(i32, i32, i64), String> {
        let pods = self.pods()?;
        let groups = Groups::of(pods, samples, resource, self.now);
        let measured = groups.measured(samples)?;
        let requests = requests(pods, container, resource)?;
        let (ratio, percent, average) = utilization(&measured, &requests, target)?;
        let of_all = |pod: &String| requests.get(pod).copied().unwrap_or(0) * i64::from(target.max(100)) / 100;
        let again = |filled: &Samples| utilization(filled, &requests, target).map(|(ratio, ..)| ratio);
        let replicas = self.rescale(&groups, measured, ratio, &of_all, &again)?;
        Ok((replicas, percent, average))
    }

    /// By the amount that each pod uses on average: replicas and that amount.
    pub(super) fn by_average(&self, samples: &Samples, resource: &str, target: i64) -> Result<(i32, i64), String> {
        let groups = Groups::of(self.pods()?, samples, resource, self.now);
        let measured = groups.measured(samples)?;
        let usage = average(&measured);
        let ratio = |usage: i64| usage as f64 / target as f64;
        let again = |filled: &Samples| Ok(ratio(average(filled)));
        let replicas = self.rescale(&groups, measured, ratio(usage), &|_| target, &again)?;
        Ok((replicas, usage))
    }

    /// From a ratio of usage to replicas, where pods that are not measured are taken for what holds the scale back.
    fn rescale(
        &self,
        groups: &Groups,
        mut measured: Samples,
        ratio: f64,
        least_of: &dyn Fn(&String) -> i64,
        again: &dyn Fn(&Samples) -> Result<f64, String>,
    ) -> Result<i32, String> {
        let unready_hold_back = !groups.unready.is_empty() && ratio > 1.0;
        if !unready_hold_back && groups.missing.is_empty() {
            return Ok(if self.tolerances.hold(ratio) { self.wanted } else { ceil(ratio * groups.ready as f64) });
        }
        let sample = |millis| Sample { millis, at: self.now, window: Default::default() };
        for pod in &groups.missing {
            if ratio < 1.0 {
                measured.insert(pod.clone(), sample(least_of(pod)));
            } else if ratio > 1.0 {
                measured.insert(pod.clone(), sample(0));
            }
        }
        if unready_hold_back {
            measured.extend(groups.unready.iter().map(|pod| (pod.clone(), sample(0))));
        }
        let new = again(&measured)?;
        if self.tolerances.hold(new) || (ratio < 1.0 && new > 1.0) || (ratio > 1.0 && new < 1.0) {
            return Ok(self.wanted);
        }
        let replicas = ceil(new * measured.len() as f64);
        // A change in the number of measured pods must not turn the direction around.
        let turns = (new < 1.0 && replicas > self.wanted) || (new > 1.0 && replicas < self.wanted);
        Ok(if turns { self.wanted } else { replicas })
    }

    /// By the value of something that all pods serve together.
    pub(super) fn by_value(&self, usage: i64, target: i64) -> Result<i32, String> {
        let ratio = usage as f64 / target as f64;
        if self.wanted == 0 {
            return Ok(ceil(ratio));
        }
        if self.tolerances.hold(ratio) {
            return Ok(self.wanted);
        }
        let pods = self.pods().map_err(|why| format!("unable to calculate ready pods: {why}"))?;
        let ready = pods.iter().filter(|pod| phase(pod) == "Running" && is(ready(pod), "True")).count();
        Ok(ceil(ratio * ready as f64))
    }

    /// By the value that each pod should have of something: replicas and the value per pod that there is.
    pub(super) fn by_value_per_pod(&self, usage: i64, target: i64) -> (i32, i64) {
        let ratio = usage as f64 / (target as f64 * f64::from(self.there));
        let replicas = if self.tolerances.hold(ratio) { self.there } else { ceil(usage as f64 / target as f64) };
        (replicas, (usage as f64 / f64::from(self.there)).ceil() as i64)
    }
}

/// Rounded up; the ends of `i32` are kept, where Go would not say what happens.
fn ceil(value: f64) -> i32 {
    value.ceil() as i32
}

/// Pods by what their metrics are worth.
#[derive(Debug, Default, PartialEq)]
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

impl Groups {
    fn of(pods: &[Arc<Pod>], samples: &Samples, resource: &str, now: Timestamp) -> Self {
        let mut groups = Self::default();
        for pod in pods {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let sample = samples.get(&name);
            if pod.metadata.deletion_timestamp.is_some() || phase(pod) == "Failed" {
                groups.ignored.insert(name);
            } else if phase(pod) == "Pending" {
                groups.unready.insert(name);
            } else if let Some(sample) = sample {
                match resource == "cpu" && is_unready(pod, sample, now) {
                    true => drop(groups.unready.insert(name)),
                    false => groups.ready += 1,
                }
            } else {
                groups.missing.insert(name);
            }
        }
        groups
    }

    /// The samples that count.
    fn measured(&self, samples: &Samples) -> Result<Samples, String> {
        let mut counted = samples.clone();
        counted.retain(|pod, _| !self.ignored.contains(pod) && !self.unready.contains(pod));
        match counted.is_empty() {
            true => Err("did not receive metrics for targeted pods (pods might be unready)".into()),
            false => Ok(counted),
        }
    }
}

/// Whether the CPU time of a pod is that of its start.
fn is_unready(pod: &Pod, sample: &Sample, now: Timestamp) -> bool {
    let started = pod.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0);
    let (Some(condition), Some(started)) = (ready(pod), started) else { return true };
    let since = condition.last_transition_time.as_ref().map_or(Timestamp::MIN, |t| t.0);
    let unready = condition.status == "False";
    if plus_seconds(started, CPU_INITIALIZATION_SECONDS) > now {
        let window = SignedDuration::try_from(sample.window).unwrap_or(SignedDuration::MAX);
        return unready || sample.at < since.saturating_add(window).unwrap_or(Timestamp::MAX);
    }
    unready && plus_seconds(started, INITIAL_READINESS_SECONDS) > since
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

fn ready(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|c| c.type_ == "Ready")
}

fn is(condition: Option<&PodCondition>, status: &str) -> bool {
    condition.is_some_and(|c| c.status == status)
}

/// Usage against requests: the ratio to the target, percent, and the average amount.
fn utilization(samples: &Samples, requests: &BTreeMap<String, i64>, target: i32) -> Result<(f64, i32, i64), String> {
    let known = samples.iter().filter_map(|(pod, sample)| Some((sample.millis, *requests.get(pod)?)));
    let (used, requested, count) =
        known.fold((0_i64, 0_i64, 0_i64), |(u, r, n), (millis, request)| (u + millis, r + request, n + 1));
    if requested == 0 {
        return Err("no metrics returned matched known pods".into());
    }
    let percent = i32::try_from(used.saturating_mul(100) / requested).unwrap_or(i32::MAX);
    Ok((f64::from(percent) / f64::from(target), percent, used / count))
}

fn average(samples: &Samples) -> i64 {
    let total: i64 = samples.values().map(|sample| sample.millis).sum();
    total / i64::try_from(samples.len()).unwrap_or(i64::MAX).max(1)
}

/// What each pod requests of a resource, in thousandths: all of it, or the part of one container.
fn requests(pods: &[Arc<Pod>], container: Option<&str>, resource: &str) -> Result<BTreeMap<String, i64>, String> {
    let of = |pod: &Arc<Pod>| {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let request = match container {
            None if has_own_requests(pod) => of_pod(pod, &name, resource)?,
            _ => of_containers(pod, &name, container, resource)?,
        };
        Ok((name, request))
    };
    pods.iter().map(of).collect()
}

/// Whether the pod as a whole requests something (KEP-2837).
fn has_own_requests(pod: &Pod) -> bool {
    let own = pod.spec.as_ref().and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref());
    own.is_some_and(|own| own.keys().any(|name| matches!(&**name, "cpu" | "memory") || name.starts_with("hugepages-")))
}

fn of_pod(pod: &Pod, name: &str, resource: &str) -> Result<i64, String> {
    let tree = serde_json::to_value(pod).unwrap_or_default();
    let request = quota::pod_requests(&tree, false).get(resource);
    request.map(Quantity::millis).ok_or_else(|| format!("missing pod-level request for {resource} in Pod {name}"))
}

fn of_containers(pod: &Pod, name: &str, only: Option<&str>, resource: &str) -> Result<i64, String> {
    let Some(spec) = &pod.spec else { return Ok(0) };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let millis = |c: &Container| {
        let request: Option<&Text> = c.resources.as_ref().and_then(|r| r.requests.as_ref()?.get(resource));
        let missing = || format!("missing request for {resource} in container {} of Pod {name}", c.name);
        Ok(Quantity::parse(&request.ok_or_else(missing)?.0).unwrap_or(Quantity::ZERO).millis())
    };
    let mut containers = spec.containers.iter().chain(sidecars);
    match only {
        None => containers.map(millis).sum(),
        Some(only) => {
            let found = containers.find(|c| c.name == only);
            millis(found.ok_or_else(|| format!("container {only} not found in Pod {name}"))?)
        }
    }
}
