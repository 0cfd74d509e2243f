//! Into which slice an endpoint goes. Slices change as little as can be: what stays in place is not moved,
//! and at most the one fullest slice with room is touched for what is new.

use super::endpoints::{PortKey, port_key};
use crate::common::trigger_time::tell;
use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use orch_runtime::Plan;
use std::collections::BTreeMap;

/// The most endpoints of a slice.
pub(super) const MAX_ENDPOINTS: usize = 100;

/// Plans the slices of one address type. `empty` carries the labels and owner that all of them shall have, `trigger` is since
/// when what changes has been due.
pub(super) fn place(
    empty: &EndpointSlice,
    existing: &[&EndpointSlice],
    mut groups: BTreeMap<PortKey, (Vec<EndpointPort>, Vec<Endpoint>)>,
    trigger: Option<Timestamp>,
    plan: &mut Plan,
) {
    if groups.is_empty() {
        // A service without endpoints keeps one empty slice, so that everyone can see that it has none.
        groups.insert(PortKey::new(), (Vec::new(), Vec::new()));
    }
    let mut spare: Vec<&EndpointSlice> = Vec::new();
    let mut by_ports: BTreeMap<PortKey, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in existing {
        let key = port_key(slice.ports.as_deref().unwrap_or_default());
        match groups.contains_key(&key) {
            true => by_ports.entry(key).or_default().push(slice),
            false => spare.push(slice),
        }
    }
    let mut made = Vec::new();
    for (key, (ports, endpoints)) in groups {
        let slices = by_ports.remove(&key).unwrap_or_default();
        let outcome = fill(slices, endpoints);
        for (slice, endpoints) in outcome.kept {
            update(slice, with(slice.clone(), empty, &ports, endpoints), trigger, plan);
        }
        spare.extend(outcome.emptied);
        made.extend(outcome.added.into_iter().map(|endpoints| with(empty.clone(), empty, &ports, endpoints)));
    }
    // A slice that is no longer needed becomes one that is: an update instead of a delete and a create.
    let mut spare = spare.into_iter();
    for mut slice in made {
        match spare.next() {
            Some(old) => {
                update(old, labelled(EndpointSlice { metadata: old.metadata.clone(), ..slice }, empty), trigger, plan);
            }
            None => {
                tell(&mut slice.metadata, trigger);
                plan.create(&slice);
            }
        }
    }
    for old in spare {
        plan.delete(old);
    }
}

/// Where anything about a slice changes, it is told since when that has been due.
fn update(old: &EndpointSlice, mut new: EndpointSlice, trigger: Option<Timestamp>, plan: &mut Plan) {
    if *old != new {
        tell(&mut new.metadata, trigger);
        plan.update(old, &new);
    }
}

#[derive(Default)]
struct Outcome<'a> {
    kept: Vec<(&'a EndpointSlice, Vec<Endpoint>)>,
    emptied: Vec<&'a EndpointSlice>,
    added: Vec<Vec<Endpoint>>,
}

fn fill(slices: Vec<&EndpointSlice>, endpoints: Vec<Endpoint>) -> Outcome<'_> {
    let nothing = endpoints.is_empty();
    let mut wanted: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    // 1. Endpoints that stand in a slice stay there, updated; the others leave it.
    let mut outcome = Outcome::default();
    let mut changed = Vec::new();
    for slice in slices {
        let old = slice.endpoints.as_deref().unwrap_or_default();
        let stay: Vec<Endpoint> = old.iter().filter_map(|e| wanted.remove(&identity(e))).collect();
        changed.push(stay != old);
        outcome.kept.push((slice, stay));
    }
    // 2. New endpoints first fill the slices that change anyhow.
    let mut fresh = wanted.into_values().collect::<Vec<_>>().into_iter();
    for ((_, stay), _) in outcome.kept.iter_mut().zip(&changed).filter(|(_, changed)| **changed) {
        stay.extend(fresh.by_ref().take(MAX_ENDPOINTS.saturating_sub(stay.len())));
    }
    // 3. The rest goes to the fullest slice that has room for all of it, or to new slices.
    let mut rest: Vec<Endpoint> = fresh.collect();
    while !rest.is_empty() {
        let room = |stay: &Vec<Endpoint>| stay.len() + rest.len() <= MAX_ENDPOINTS;
        let fullest = outcome.kept.iter_mut().filter(|(_, stay)| room(stay)).max_by_key(|(_, stay)| stay.len());
        match fullest {
            Some((_, stay)) => stay.append(&mut rest),
            None => outcome.added.push(rest.drain(..rest.len().min(MAX_ENDPOINTS)).collect()),
        }
    }
    // 4. Empty slices go, but for one if there is nothing else.
    let mut keep_one = nothing;
    outcome.kept.retain(|(slice, stay)| {
        let keep = !stay.is_empty() || std::mem::take(&mut keep_one);
        if !keep {
            outcome.emptied.push(slice);
        }
        keep
    });
    if keep_one {
        outcome.added.push(Vec::new());
    }
    outcome
}

fn with(
    slice: EndpointSlice,
    empty: &EndpointSlice,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
) -> EndpointSlice {
    // Where the server left an empty list out, an empty list is no change.
    let list = |new: Vec<Endpoint>, old: &Option<Vec<Endpoint>>| (!new.is_empty() || old.is_some()).then_some(new);
    let ports = (!ports.is_empty() || slice.ports.is_some()).then(|| ports.to_vec());
    let same_ports =
        port_key(slice.ports.as_deref().unwrap_or_default()) == port_key(ports.as_deref().unwrap_or_default());
    let endpoints = list(endpoints, &slice.endpoints);
    let ports = if same_ports { slice.ports.clone() } else { ports };
    labelled(EndpointSlice { endpoints, ports, ..slice }, empty)
}

fn labelled(mut slice: EndpointSlice, like: &EndpointSlice) -> EndpointSlice {
    slice.metadata.labels = like.metadata.labels.clone();
    slice
}

/// What makes an endpoint the same one although its conditions change.
fn identity(endpoint: &Endpoint) -> String {
    let target = endpoint.target_ref.as_ref();
    let name = target.and_then(|t| t.name.as_deref()).unwrap_or_default();
    let uid = target.and_then(|t| t.uid.as_deref()).unwrap_or_default();
    format!("{name}|{uid}|{}|{}", endpoint.addresses.join(","), endpoint.hostname.as_deref().unwrap_or_default())
}
