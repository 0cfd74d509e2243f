//! Which zones endpoints are for, where a service asks for it: each zone gets as many as it has of the cluster's CPU, its own
//! ones first (`staging/src/k8s.io/endpointslice/topologycache`, `service.kubernetes.io/topology-mode: Auto`).
//!
//! What a service had before is not looked at: the same pods and nodes give the same hints.

use super::{ZONE, endpoints::PortKey};
use k8s_openapi::api::{
    core::v1::{Node, NodeCondition},
    discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice, ForZone},
};
use orch_api::{Gvr, Object, quantity::Quantity};
use orch_runtime::view::{Facts, Known};
use orch_store::{Stored, stored::Parts};
use serde::{Deserialize, de::IgnoredAny};
use std::collections::BTreeMap;

/// The annotations by which a service asks for hints; the first is of old, and wins.
const ANNOTATIONS: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];
/// By so much more than its share an endpoint may be asked.
const OVERLOAD: f64 = 0.2;

/// The endpoints of a service by their ports.
pub(super) type Groups = BTreeMap<PortKey, (Vec<EndpointPort>, Vec<Endpoint>)>;
/// The part of the cluster's CPU that each zone has; `None` where that cannot be said.
pub(super) type Shares = Option<BTreeMap<String, f64>>;

/// Whether the annotations ask for hints.
pub(super) fn are_wanted(annotations: Option<&BTreeMap<String, String>>) -> bool {
    let found = ANNOTATIONS.iter().find_map(|name| annotations?.get(*name));
    matches!(found.map(String::as_str), Some("Auto" | "auto"))
}

/// What counts of a node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeCpu {
    counts: bool,
    zone: String,
    millis: i64,
}

impl Facts for NodeCpu {
    fn gvr() -> Gvr {
        Node::gvr()
    }

    fn of(stored: &Stored) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            allocatable: BTreeMap<String, String>,
            conditions: Vec<NodeCondition>,
        }
        let status = Parts::<IgnoredAny, Status>::of(stored).status;
        let labels = &stored.meta.labels;
        let is_control_plane = ["control-plane", "master"]
            .iter()
            .any(|role| labels.get(&format!("node-role.kubernetes.io/{role}")).is_some());
        let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let cpu = status.allocatable.get("cpu").and_then(|text| Quantity::parse(text).ok());
        Self {
            counts: ready && !is_control_plane,
            zone: labels.get(ZONE).unwrap_or_default().to_owned(),
            millis: cpu.map_or(0, Quantity::millis),
        }
    }
}

/// The shares of the zones.
pub(super) fn shares(nodes: &[Known<NodeCpu>]) -> Shares {
    let mut by_zone: BTreeMap<String, i64> = BTreeMap::new();
    for node in nodes.iter().map(|node| &node.facts).filter(|node| node.counts) {
        if node.zone.is_empty() || node.millis == 0 {
            return None;
        }
        *by_zone.entry(node.zone.clone()).or_insert(0) += node.millis;
    }
    let total: i64 = by_zone.values().sum();
    let shares = by_zone.into_iter().map(|(zone, millis)| (zone, millis as f64 / total as f64)).collect();
    Some(shares).filter(|shares: &BTreeMap<_, _>| shares.len() >= 2)
}

/// Gives the endpoints their hints, or says why there are none.
pub(super) fn assign(groups: &mut Groups, shares: &Shares) -> Result<(), String> {
    let mut ready: Vec<&mut Endpoint> = groups.values_mut().flat_map(|(_, all)| all).filter(|e| is_ready(e)).collect();
    let Some(shares) = shares else {
        return Err("Insufficient Node information: allocatable CPU or zone not specified on one or more nodes".into());
    };
    let wanted = wanted(ready.len(), shares)?;
    let mut given: BTreeMap<String, f64> = wanted.keys().map(|zone| (zone.clone(), 0.0)).collect();
    for endpoint in &ready {
        let Some(zone) = endpoint.zone.clone().filter(|zone| !zone.is_empty()) else {
            return Err("One or more endpoints do not have a zone specified".into());
        };
        *given.entry(zone).or_insert(0.0) += 1.0;
    }
    let (mut giving, mut receiving) = exchange(&wanted, &given);
    for endpoint in &mut ready {
        let own = endpoint.zone.clone().unwrap_or_default();
        let taker = giving.contains_key(&own).then(|| receiving.keys().next().cloned()).flatten();
        if let Some(taker) = &taker {
            less(&mut giving, &own);
            less(&mut receiving, taker);
        }
        let name = taker.unwrap_or(own);
        endpoint.hints = Some(EndpointHints { for_zones: Some(vec![ForZone { name }]), for_nodes: None });
    }
    Ok(())
}

/// Whether any endpoint of the slices has hints.
pub(super) fn are_there(slices: &[&EndpointSlice]) -> bool {
    slices.iter().flat_map(|slice| slice.endpoints.iter().flatten()).any(|endpoint| endpoint.hints.is_some())
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|c| c.ready) == Some(true)
}

/// How many endpoints each zone should have, which is no less than what keeps its own from being overloaded.
fn wanted(endpoints: usize, shares: &BTreeMap<String, f64>) -> Result<BTreeMap<String, f64>, String> {
    let counts = || format!("({endpoints} endpoints, {} zones)", shares.len());
    if shares.len() > endpoints {
        return Err(format!("Insufficient number of endpoints {}", counts()));
    }
    let each = shares.iter().map(|(zone, share)| {
        let desired = share * endpoints as f64;
        let least = (desired / (1.0 + OVERLOAD)).ceil();
        (zone.clone(), desired.max(least), least)
    });
    let each: Vec<(String, f64, f64)> = each.collect();
    if each.iter().map(|(_, _, least)| least).sum::<f64>() > endpoints as f64 {
        let words = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
        return Err(format!("{words} {}", counts()));
    }
    Ok(each.into_iter().map(|(zone, desired, _)| (zone, desired)).collect())
}

/// How many endpoints zones give to others, and how many they take.
fn exchange(
    wanted: &BTreeMap<String, f64>,
    given: &BTreeMap<String, f64>,
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let surplus = |zone: &String| given.get(zone).copied().unwrap_or(0.0) - wanted.get(zone).copied().unwrap_or(0.0);
    let mut too_many: BTreeMap<&String, f64> =
        wanted.keys().map(|zone| (zone, surplus(zone))).filter(|z| z.1 > 0.0).collect();
    let mut too_few: BTreeMap<&String, f64> =
        wanted.keys().map(|zone| (zone, -surplus(zone))).filter(|z| z.1 > 0.0).collect();
    let most = |zones: &BTreeMap<&String, f64>| {
        zones.iter().fold(None, |best: Option<(String, f64)>, (zone, n)| match best {
            Some(best) if best.1 >= *n => Some(best),
            _ => Some(((*zone).clone(), *n)),
        })
    };
    let (mut giving, mut receiving) = (BTreeMap::new(), BTreeMap::new());
    while let (Some((from, gives)), Some((to, takes))) = (most(&too_many), most(&too_few)) {
        if (gives < 1.0 && takes < 1.0) || gives < 0.5 || takes < 0.5 {
            break;
        }
        *giving.entry(from.clone()).or_insert(0) += 1;
        *receiving.entry(to.clone()).or_insert(0) += 1;
        for (zones, zone) in [(&mut too_many, &from), (&mut too_few, &to)] {
            if let Some(left) = zones.get_mut::<String>(zone) {
                *left -= 1.0;
            }
        }
    }
    (giving, receiving)
}

fn less(zones: &mut BTreeMap<String, usize>, zone: &str) {
    if let Some(left) = zones.get_mut(zone) {
        *left -= 1;
        if *left == 0 {
            zones.remove(zone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::discovery::v1::EndpointConditions;

    fn groups(zones: &[(&str, usize)]) -> Groups {
        let endpoint = |zone: &str| Endpoint {
            addresses: vec!["10.0.0.1".into()],
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            zone: (!zone.is_empty()).then(|| zone.to_owned()),
            ..Endpoint::default()
        };
        let all = zones.iter().flat_map(|(zone, count)| std::iter::repeat_with(|| endpoint(zone)).take(*count));
        [(PortKey::new(), (Vec::new(), all.collect()))].into()
    }

    /// Zones with their CPUs and endpoints, and how many endpoints each is hinted.
    #[track_caller]
    fn check(cpus: &[(&str, f64)], endpoints: &[(&str, usize)], expected: Result<&[(&str, usize)], &str>) {
        let total: f64 = cpus.iter().map(|(_, cpu)| cpu).sum();
        let shares: BTreeMap<String, f64> = cpus.iter().map(|(zone, cpu)| ((*zone).to_owned(), cpu / total)).collect();
        let mut groups = groups(endpoints);
        let found = assign(&mut groups, &Some(shares)).map(|()| {
            let mut hints: BTreeMap<String, usize> = BTreeMap::new();
            for endpoint in groups.values().flat_map(|(_, all)| all) {
                let zone = endpoint.hints.as_ref().unwrap().for_zones.as_ref().unwrap()[0].name.clone();
                *hints.entry(zone).or_insert(0) += 1;
            }
            hints
        });
        let expected = expected.map(|all| all.iter().map(|(zone, n)| ((*zone).to_owned(), *n)).collect());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn zones_share_endpoints_by_their_cpus() {
        check(&[("a", 4.0), ("b", 4.0)], &[("a", 2), ("b", 2)], Ok(&[("a", 2), ("b", 2)]));
        check(&[("a", 4.0), ("b", 4.0)], &[("a", 4)], Ok(&[("a", 2), ("b", 2)]));
        check(&[("a", 8.0), ("b", 4.0)], &[("a", 1), ("b", 5)], Ok(&[("a", 4), ("b", 2)]));
        check(&[("a", 1.0), ("b", 1.0), ("c", 1.0)], &[("a", 5), ("b", 4)], Ok(&[("a", 3), ("b", 3), ("c", 3)]));
    }

    #[test]
    fn without_enough_of_anything_there_are_no_hints() {
        check(&[("a", 1.0), ("b", 1.0)], &[("a", 1)], Err("Insufficient number of endpoints (1 endpoints, 2 zones)"));
        check(
            &[("a", 1.0), ("b", 1.0)],
            &[("a", 2), ("", 2)],
            Err("One or more endpoints do not have a zone specified"),
        );
        let words = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (2 endpoints, 2 zones)";
        check(&[("a", 1.0), ("b", 9.0)], &[("a", 1), ("b", 1)], Err(words));
        assert!(assign(&mut groups(&[("a", 3)]), &None).is_err());
    }
}
