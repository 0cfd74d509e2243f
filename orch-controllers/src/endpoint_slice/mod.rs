//! `endpointslice`: the addresses of the pods behind a service, in slices
//! (`pkg/controller/endpointslice`, `staging/src/k8s.io/endpointslice`).

mod endpoints;
mod hints;
mod notices;
mod place;
#[cfg(test)]
mod tests;
mod wakes;

pub(crate) use endpoints::{addresses, port_number};
pub(crate) use wakes::{BY_SERVICE, first_of_selector, service_index, services_of_pod};

use crate::{
    common::{
        facts::PodFacts,
        labels::{BY_LABEL, label_index, label_value},
        selector::contains_all,
        trigger_time::TriggerTimes,
    },
    node_lifecycle::{BY_NODE, node_index},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::{Node, Pod, Service, ServiceSpec},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Error, Plan, View, Watches, view::Known};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Keeps the slices of every service that selects pods.
#[derive(Default)]
pub struct EndpointSliceController {
    times: TriggerTimes,
    /// The services that asked for hints by zone when they were last looked at.
    hinted: Mutex<BTreeSet<Key>>,
}

/// A service, its pods and its slices.
pub struct World {
    service: Arc<Service>,
    pods: Vec<Known<PodFacts>>,
    slices: Vec<Arc<EndpointSlice>>,
    /// Slices of an earlier service of its name: those that follow them are there before they go.
    stale: Vec<Arc<EndpointSlice>>,
    /// The nodes that the pods run on, as far as they are there, with their zones.
    nodes: BTreeMap<Box<str>, Option<String>>,
    /// What each zone has of the cluster, where the service asks for hints by that.
    shares: Option<hints::Shares>,
    /// Whether the service asked for hints before.
    was_hinted: bool,
    /// When that happened of which the slices do not tell yet.
    trigger: Option<Timestamp>,
}

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";
const ZONE: &str = "topology.kubernetes.io/zone";

impl Controller for EndpointSliceController {
    const NAME: &'static str = "endpointslice";
    const ABOUT: &'static str = "Keeps the addresses of the pods behind a Service in EndpointSlices.";
    const COMPONENT: &'static str = "endpoint-slice-controller";
    const DELETES: Deletes = Deletes::Others("slices of its Services, and of those that had their names before");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>()
            .index(BY_LABEL, first_of_selector)
            .index(wakes::HINTED, wakes::hinted_index)
            .maps::<EndpointSlice>(wakes::service_of_slice)
            .index(BY_SERVICE, service_index)
            .maps::<Pod>(services_of_pod)
            .index(BY_LABEL, label_index)
            .index(BY_NODE, node_index)
            .maps::<Node>(wakes::services_of_node)
            .only(|delta| delta.old.is_none() || delta.new.is_none())
            .maps::<Node>(wakes::services_with_hints)
            .only(|delta| wakes::cpu(&delta.old) != wakes::cpu(&delta.new))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let Some(service) = view.get::<Service>(key) else {
            self.times.forget(key);
            self.hinted.lock().remove(key);
            return None;
        };
        let spec = service.spec.as_ref()?;
        let selector = spec.selector.as_ref().filter(|s| !s.is_empty())?;
        if spec.type_.as_deref() == Some("ExternalName") || service.is_deleting() {
            return None;
        }
        let (name, value) = selector.iter().next()?;
        let mut pods = view.known_by_index::<PodFacts>(BY_LABEL, &label_value(&key.namespace, name, value));
        pods.retain(|pod| contains_all(&pod.stored.meta.labels, selector));
        let slices = view.by_index::<EndpointSlice>(BY_SERVICE, &format!("{}/{}", key.namespace, key.name));
        let slices = slices.into_iter().filter(|s| is_managed(s) && !s.is_deleting());
        let (slices, stale) = slices.partition(|slice| is_owned(slice, &service));
        let nodes: BTreeSet<&str> = pods.iter().map(|p| &*p.facts.node).filter(|n| !n.is_empty()).collect();
        let known = |node: &str| {
            let stored = view.stored(&Node::gvr(), &Key::cluster(node))?;
            Some((node.into(), stored.meta.labels.get(ZONE).map(str::to_owned)))
        };
        let nodes = nodes.into_iter().filter_map(known).collect();
        let hinted = hints::are_wanted(service.metadata.annotations.as_ref());
        let shares = hinted.then(|| hints::shares(&view.list_known::<hints::NodeCpu>("")));
        let trigger = self.times.of(&service, &pods);
        let was_hinted = self.hinted.lock().contains(key);
        Some(World { service, pods, slices, stale, nodes, shares, was_hinted, trigger })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let families = families(&world.service);
        notices::tell_of_the_end_of_hints(world, &families, &mut plan);
        notices::tell_of_lost_pods(world, &mut plan);
        for family in &families {
            let slices = world.of_family(family);
            let mut groups = endpoints::by_ports(world, family);
            if let Some(shares) = &world.shares {
                let given = hints::assign(&mut groups, shares);
                notices::tell_of_hints(&world.service, family, &slices, given, &mut plan);
            }
            place::place(&new_slice(&world.service, family), &slices, groups, world.trigger, &mut plan);
        }
        let other_families = world.slices.iter().filter(|s| !families.contains(&s.address_type.as_str()));
        for slice in other_families.chain(&world.stale) {
            plan.delete(&**slice);
        }
        plan
    }

    fn remember(&self, world: &World, _: Timestamp, _: Option<&Error>) {
        self.times.remember(&world.service, &world.pods);
        let (key, mut hinted) = (world.service.key(), self.hinted.lock());
        match world.shares {
            Some(_) => hinted.insert(key),
            None => hinted.remove(&key),
        };
    }
}

impl World {
    fn of_family(&self, family: &str) -> Vec<&EndpointSlice> {
        self.slices.iter().map(|slice| &**slice).filter(|slice| slice.address_type == family).collect()
    }
}

/// The address types that the service has.
pub(crate) fn families(service: &Service) -> Vec<&'static str> {
    let spec = service.spec.as_ref();
    let named = spec.and_then(|s| s.ip_families.as_ref()).into_iter().flatten();
    let named: Vec<&'static str> = named.map(|f| if f == "IPv6" { "IPv6" } else { "IPv4" }).collect();
    let address = spec.and_then(|s| s.cluster_ip.as_deref()).unwrap_or_default();
    match (named.is_empty(), address.contains(':')) {
        (false, _) => named,
        (true, true) => vec!["IPv6"],
        (true, false) => vec!["IPv4"],
    }
}

/// An empty slice of the service, with the labels that its slices shall have.
fn new_slice(service: &Service, family: &str) -> EndpointSlice {
    let name = service.metadata.name.clone().unwrap_or_default();
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if !has_address(service.spec.as_ref()) {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![crate::common::owner::controller_ref(service)]),
            ..ObjectMeta::default()
        },
        address_type: family.into(),
        endpoints: None,
        ports: None,
    }
}

pub(crate) fn has_address(spec: Option<&ServiceSpec>) -> bool {
    !matches!(spec.and_then(|s| s.cluster_ip.as_deref()), None | Some("" | "None"))
}

/// Whether the slice is of this service, and not of an earlier one of its name.
fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|o| o.uid == service.uid() && o.kind == "Service" && o.api_version == "v1")
}

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}
