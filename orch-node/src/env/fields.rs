//! Fields of a pod and resources of a container, for the environment and the downward API
//! (`fieldpath/fieldpath.go`, `api/v1/resource/helpers.go`).

use super::ConfigError;
use crate::quantity::milli;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use std::{collections::BTreeMap, net::IpAddr};

/// What a pod's fields need beside the pod.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The pod's addresses.
    pub pod_ips: Vec<IpAddr>,
    /// The node's addresses.
    pub host_ips: Vec<IpAddr>,
    /// The node's allocatable resources, for containers without a limit.
    pub allocatable: BTreeMap<String, String>,
}

/// The value of a field path such as `metadata.labels['app']`.
pub fn field(pod: &Pod, facts: &Facts, path: &str) -> Result<String, ConfigError> {
    let (meta, spec) = (&pod.metadata, pod.spec.as_ref());
    let joined = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let first = |ips: &[IpAddr]| ips.first().map(ToString::to_string).unwrap_or_default();
    Ok(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => listed(meta.labels.as_ref()),
        "metadata.annotations" => listed(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|s| s.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => joined(&facts.pod_ips),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => joined(&facts.host_ips),
        _ => return entry(pod, path).ok_or_else(|| ConfigError(format!("unsupported fieldPath: {path}"))),
    })
}

/// `metadata.labels['key']` and `metadata.annotations['key']`.
fn entry(pod: &Pod, path: &str) -> Option<String> {
    let (map, subscript) = match path.strip_prefix("metadata.labels") {
        Some(rest) => (&pod.metadata.labels, rest),
        None => (&pod.metadata.annotations, path.strip_prefix("metadata.annotations")?),
    };
    let key = subscript.strip_prefix("['")?.strip_suffix("']")?;
    Some(map.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default())
}

fn listed(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<_> = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}")).collect();
    lines.join("\n")
}

/// The value of `limits.cpu` and its like, in units of the divisor, rounded up.
pub fn resource(container: &Container, facts: &Facts, what: &ResourceFieldSelector) -> Result<String, ConfigError> {
    let unknown = || ConfigError(format!("unsupported container resource : {}", what.resource));
    let (list, name) = what.resource.split_once('.').ok_or_else(unknown)?;
    let resources = container.resources.clone().unwrap_or_default();
    let limit = resources.limits.as_ref().and_then(|l| l.get(name)).map(|q| milli(&q.0));
    let request = resources.requests.as_ref().and_then(|l| l.get(name)).map(|q| milli(&q.0));
    let value = match list {
        "limits" => limit.filter(|v| *v > 0).unwrap_or_else(|| facts.allocatable.get(name).map_or(0, |q| milli(q))),
        "requests" => request.unwrap_or(0),
        _ => return Err(unknown()),
    };
    let divisor = what.divisor.as_ref().map_or(0, |q| milli(&q.0));
    let divisor = if divisor > 0 { divisor } else { 1000 };
    Ok((value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)).to_string())
}
