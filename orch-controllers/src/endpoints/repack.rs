//! Subsets in their one form: ports that the same addresses have stand together (`RepackSubsets` of
//! `pkg/api/v1/endpoints/util.go`).

use super::subsets::port_text;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};
use std::collections::BTreeMap;

/// Address and UID: pods of several hosts may have one address.
type Place = (String, String);

/// The subsets in their one form. An address that is not ready for a port in one of them is not ready for it.
pub(crate) fn repack(subsets: &[EndpointSubset]) -> Vec<EndpointSubset> {
    let mut addresses: BTreeMap<Place, &EndpointAddress> = BTreeMap::new();
    // By the text of the port, so that the same one has one entry; empty for addresses without ports.
    let mut by_port: BTreeMap<String, (Option<&EndpointPort>, BTreeMap<Place, bool>)> = BTreeMap::new();
    for subset in subsets {
        let ports = subset.ports.as_deref().filter(|ports| !ports.is_empty());
        let ports: Vec<Option<&EndpointPort>> = ports.map_or_else(|| vec![None], |all| all.iter().map(Some).collect());
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(unready) {
            addresses.entry(place(address)).or_insert(address);
            for port in &ports {
                let entry = by_port.entry(port.map(port_text).unwrap_or_default());
                let (_, places) = entry.or_insert_with(|| (*port, BTreeMap::new()));
                *places.entry(place(address)).or_insert(true) &= ready;
            }
        }
    }
    let mut groups: BTreeMap<BTreeMap<Place, bool>, Vec<EndpointPort>> = BTreeMap::new();
    for (port, places) in by_port.into_values() {
        groups.entry(places).or_default().extend(port.cloned());
    }
    let some = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
    let mut repacked: Vec<EndpointSubset> = groups
        .into_iter()
        .map(|(places, ports)| {
            let (ready, unready): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, ready)| *ready);
            let of = |places: Vec<(Place, bool)>| {
                some(places.iter().filter_map(|(place, _)| Some((*addresses.get(place)?).clone())).collect())
            };
            let ports = (!ports.is_empty()).then_some(ports);
            EndpointSubset { addresses: of(ready), not_ready_addresses: of(unready), ports }
        })
        .collect();
    repacked.sort_by_cached_key(|subset| subset.ports.iter().flatten().map(port_text).collect::<Vec<_>>());
    repacked
}

fn place(address: &EndpointAddress) -> Place {
    let uid = address.target_ref.as_ref().and_then(|target| target.uid.clone());
    (address.ip.clone(), uid.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[track_caller]
    fn check(subsets: Value, expected: Value) {
        let subsets: Vec<EndpointSubset> = from_value(subsets).unwrap();
        assert_eq!(json!(repack(&subsets)), expected);
    }

    fn subset(ready: &[&str], unready: &[&str], ports: &[i32]) -> Value {
        let list = |ips: &[&str]| ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>();
        let ports: Vec<Value> = ports.iter().map(|port| json!({"port": port})).collect();
        let mut subset = json!({});
        for (field, list) in [("addresses", list(ready)), ("notReadyAddresses", list(unready)), ("ports", ports)] {
            if !list.is_empty() {
                subset[field] = json!(list);
            }
        }
        subset
    }

    #[test]
    fn ports_of_the_same_addresses_stand_together() {
        check(
            json!([subset(&["1.1.1.1"], &[], &[80]), subset(&["1.1.1.1"], &[], &[443])]),
            json!([subset(&["1.1.1.1"], &[], &[443, 80])]),
        );
        check(
            json!([subset(&["1.1.1.1"], &[], &[80, 9]), subset(&["1.1.1.2"], &[], &[81, 9])]),
            json!([
                subset(&["1.1.1.1"], &[], &[80]),
                subset(&["1.1.1.2"], &[], &[81]),
                subset(&["1.1.1.1", "1.1.1.2"], &[], &[9]),
            ]),
        );
    }

    #[test]
    fn not_ready_trumps_ready_for_the_same_port_alone() {
        check(
            json!([subset(&["1.1.1.1"], &[], &[80, 81]), subset(&[], &["1.1.1.1"], &[80])]),
            json!([subset(&[], &["1.1.1.1"], &[80]), subset(&["1.1.1.1"], &[], &[81])]),
        );
    }

    #[test]
    fn addresses_without_ports_are_kept() {
        check(json!([subset(&["1.1.1.2", "1.1.1.1"], &[], &[])]), json!([subset(&["1.1.1.1", "1.1.1.2"], &[], &[])]));
        check(json!([]), json!([]));
    }
}
