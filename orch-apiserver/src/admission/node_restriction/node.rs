//! What a kubelet may write into its node.

use super::{Operation, Review};
use crate::core::json;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const RESTRICTED: &str = "node-restriction.kubernetes.io";
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];

pub(super) fn check(review: &Review<'_>, node: &str, object: &Value) -> Result<(), String> {
    let name = match &*review.key.name {
        "" => json::meta(object, "name"),
        name => name,
    };
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    let old = review.old.unwrap_or(&Value::Null);
    let forbidden = forbidden(&modified(object, old));
    let labels = forbidden.iter().copied().collect::<Vec<_>>().join(", ");
    match review.operation {
        Operation::Create if !labels.is_empty() => {
            Err(format!("node {node:?} is not allowed to set the following labels: {labels}"))
        }
        Operation::Update => {
            let same = |path: &[&str]| json::items(old, path) == json::items(object, path);
            if !same(&["spec", "taints"]) {
                return Err(format!("node {node:?} is not allowed to modify taints"));
            }
            if !same(&["metadata", "ownerReferences"]) {
                return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
            }
            if labels.is_empty() { Ok(()) } else { Err(format!("is not allowed to modify labels: {labels}")) }
        }
        _ => Ok(()),
    }
}

/// The labels that are new, gone or different.
fn modified<'a>(new: &'a Value, old: &'a Value) -> BTreeSet<&'a str> {
    fn labels(object: &Value) -> Option<&Map<String, Value>> {
        json::at(object, &["metadata", "labels"])?.as_object()
    }
    let (new, old) = (labels(new), labels(old));
    let keys = new.into_iter().chain(old).flat_map(Map::keys);
    let value = |labels: Option<&'a Map<String, Value>>, key: &str| labels.and_then(|labels| labels.get(key));
    keys.filter(|key| value(new, key) != value(old, key)).map(|key| &**key).collect()
}

fn forbidden<'a>(labels: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let below = |domain: &str, parent: &str| {
        domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
    };
    let is_forbidden = |label: &str| {
        let domain = label.split_once('/').map_or("", |(domain, _)| domain);
        let is_kubernetes = below(domain, "kubernetes.io") || below(domain, "k8s.io");
        let is_kubelets = KUBELET_LABELS.contains(&label)
            || below(domain, "kubelet.kubernetes.io")
            || below(domain, "node.kubernetes.io");
        below(domain, RESTRICTED) || (is_kubernetes && !is_kubelets)
    };
    labels.iter().copied().filter(|label| is_forbidden(label)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelets_set_their_own_labels_and_none_that_others_trust() {
        let check = |label: &str, expected: bool| {
            assert_eq!(forbidden(&BTreeSet::from([label])).contains(label), expected, "{label}");
        };
        check("example.com/rack", false);
        check("plain", false);
        check("kubernetes.io/hostname", false);
        check("node.kubernetes.io/anything", false);
        check("x.kubelet.kubernetes.io/anything", false);
        check("node-role.kubernetes.io/control-plane", true);
        check("node-restriction.kubernetes.io/fips", true);
        check("x.node-restriction.kubernetes.io/fips", true);
        check("foo.k8s.io/bar", true);
        check("notkubernetes.io/bar", false);
    }
}
