//! [`generate`]: the `status` of a pod as kubelet writes it (`kubelet_pods.go`, `status/generate.go`). Pure.

mod conditions;
mod containers;
mod phase;
#[cfg(test)]
mod tests;

use crate::pod::{Observed, Outcome, spec};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{HostIP, Pod, PodIP, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::net::IpAddr;

pub use phase::phase;

/// The status of a pod, given what its node sees. `host_ips` are the node's addresses, the first one first.
pub fn generate(pod: &Pod, seen: &Observed, host_ips: &[IpAddr], runtime: &str, now: Timestamp) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let mut status = PodStatus {
        observed_generation: pod.metadata.generation,
        start_time: old.start_time.clone().or_else(|| seen.accepted_at.map(time)),
        qos_class: old.qos_class.clone().or_else(|| Some(spec::qos_class(pod.spec.as_ref()?).to_owned())),
        nominated_node_name: old.nominated_node_name.clone(),
        resource_claim_statuses: old.resource_claim_statuses.clone(),
        ..PodStatus::default()
    };
    containers::fill(pod, seen, &old, runtime, now, &mut status);
    status.phase = Some(settled_phase(pod, seen, &old, &status).to_owned());
    (status.reason, status.message) = match &seen.outcome {
        Some(Outcome::Failed { reason, message }) => (Some(reason.clone()), Some(message.clone())),
        _ => (old.reason.clone(), old.message.clone()),
    };
    addresses(pod, seen, host_ips, &old, &mut status);
    conditions::fill(pod, seen, &old, now, &mut status);
    status
}

/// A terminal phase never changes again; while containers still stop, a pod that failed stays Running or Pending.
fn settled_phase<'a>(pod: &Pod, seen: &Observed, old: &'a PodStatus, status: &PodStatus) -> &'a str {
    match old.phase.as_deref() {
        Some("Failed") => return "Failed",
        Some("Succeeded") => return "Succeeded",
        _ => {}
    }
    let idle = seen.running().next().is_none();
    match &seen.outcome {
        Some(Outcome::Failed { .. }) if idle => "Failed",
        Some(Outcome::Failed { .. }) => phase::phase(pod, status, false),
        Some(Outcome::Completed) => phase::phase(pod, status, idle),
        None => phase::phase(pod, status, pod.metadata.deletion_timestamp.is_some() && idle),
    }
}

fn addresses(pod: &Pod, seen: &Observed, host_ips: &[IpAddr], old: &PodStatus, status: &mut PodStatus) {
    if let Some(first) = host_ips.first() {
        status.host_ip = Some(first.to_string());
        status.host_ips = Some(host_ips.iter().map(|ip| HostIP { ip: ip.to_string() }).collect());
    }
    let own = seen.newest().map(|s| s.ips.clone()).unwrap_or_default();
    let ips = if spec::host_network(pod) && seen.newest().is_some() { host_ips.to_vec() } else { own };
    if let Some(first) = ips.first() {
        status.pod_ip = Some(first.to_string());
        status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
    } else {
        (status.pod_ip, status.pod_ips) = (old.pod_ip.clone(), old.pod_ips.clone());
    }
}

/// A time as the API writes it, in whole seconds.
pub fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
