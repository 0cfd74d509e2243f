//! `endpointslice`: the addresses of the pods behind a service, in slices
//! (`pkg/controller/endpointslice`, `staging/src/k8s.io/endpointslice`).

mod endpoints;
mod hints;
mod place;
#[cfg(test)]
mod tests;

pub(crate) use endpoints::{addresses, port_number};

use crate::common::{
    facts::PodFacts,
    labels::{BY_LABEL, label_index, label_value},
    selector::contains_all,
    trigger_time::TriggerTimes,
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
use orch_runtime::{
    Controller, Error, Plan, View, Watches,
    plan::Notice,
    view::{Facts, Known},
};
use orch_store::{Stored, informer::Delta};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Keeps the slices of every service that selects pods.
#[derive(Default)]
pub struct EndpointSliceController {
    times: TriggerTimes,
}

/// A service, its pods and its slices.
pub struct World {
    service: Arc<Service>,
    pods: Vec<Known<PodFacts>>,
    slices: Vec<Arc<EndpointSlice>>,
    /// The zone of each node that the pods run on.
    zones: BTreeMap<Box<str>, String>,
    /// What each zone has of the cluster, where the service asks for hints by that.
    shares: Option<hints::Shares>,
    /// When that happened of which the slices do not tell yet.
    trigger: Option<Timestamp>,
}

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The index of services that ask for hints by zone, all under one value.
const HINTED: &str = "hinted";

/// The index of slices by their service.
pub(crate) const BY_SERVICE: &str = "service";

impl Controller for EndpointSliceController {
    const NAME: &'static str = "endpointslice";
    const ABOUT: &'static str = "Keeps the addresses of the pods behind a Service in EndpointSlices.";
    const COMPONENT: &'static str = "endpoint-slice-controller";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>()
            .index(BY_LABEL, first_of_selector)
            .index(HINTED, hinted_index)
            .maps::<EndpointSlice>(service_of_slice)
            .index(BY_SERVICE, service_index)
            .maps::<Pod>(services_of_pod)
            .index(BY_LABEL, label_index)
            .maps::<Node>(services_with_hints)
            .only(|delta| cpu(&delta.old) != cpu(&delta.new))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let Some(service) = view.get::<Service>(key) else {
            self.times.forget(key);
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
        let slices = slices.into_iter().filter(|s| is_managed(s) && !s.is_deleting()).collect();
        let nodes: BTreeSet<&str> = pods.iter().map(|p| &*p.facts.node).filter(|n| !n.is_empty()).collect();
        let zone = |node: &str| {
            let stored = view.stored(&Node::gvr(), &Key::cluster(node))?;
            Some((node.into(), stored.meta.labels.get(ZONE)?.to_owned()))
        };
        let zones = nodes.into_iter().filter_map(zone).collect();
        let hinted = hints::are_wanted(service.metadata.annotations.as_ref());
        let shares = hinted.then(|| hints::shares(&view.list_known::<hints::NodeCpu>("")));
        let trigger = self.times.of(&service, &pods);
        Some(World { service, pods, slices, zones, shares, trigger })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let families = families(&world.service);
        for family in &families {
            let slices: Vec<&EndpointSlice> =
                world.slices.iter().map(|s| &**s).filter(|s| s.address_type == *family).collect();
            let mut groups = endpoints::by_ports(world, family);
            if let Some(shares) = &world.shares {
                let given = hints::assign(&mut groups, shares);
                tell_of_hints(&world.service, family, hints::are_there(&slices), given, &mut plan);
            }
            place::place(&new_slice(&world.service, family), &slices, groups, world.trigger, &mut plan);
        }
        for slice in world.slices.iter().filter(|s| !families.contains(&s.address_type.as_str())) {
            plan.delete(&**slice);
        }
        plan
    }

    fn remember(&self, world: &World, _: Timestamp, _: Option<&Error>) {
        self.times.remember(&world.service, &world.pods);
    }
}

/// Says when hints begin and end.
fn tell_of_hints(service: &Service, family: &str, before: bool, given: Result<(), String>, plan: &mut Plan) {
    match given {
        Ok(()) if !before => {
            let words = format!("Topology Aware Hints has been enabled, addressType: {family}");
            plan.event(Notice::normal(service, "TopologyAwareHintsEnabled", words));
        }
        Err(why) if before => {
            let words = format!("{why}, addressType: {family}");
            plan.event(Notice::warning(service, "TopologyAwareHintsDisabled", words));
        }
        _ => {}
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

fn is_managed(slice: &EndpointSlice) -> bool {
    slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
}

pub(crate) fn service_index(stored: &Stored) -> Vec<Arc<str>> {
    let name = stored.meta.labels.get(SERVICE_NAME);
    name.map(|name| format!("{}/{name}", stored.key.namespace).into()).into_iter().collect()
}

pub(crate) fn first_of_selector(stored: &Stored) -> Vec<Arc<str>> {
    let Ok(service) = stored.decode::<Service>() else { return Vec::new() };
    let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref());
    let first = selector.and_then(|s| s.iter().next());
    first.map(|(k, v)| label_value(&stored.key.namespace, k, v).into()).into_iter().collect()
}

fn service_of_slice(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    let stored = delta.old.iter().chain(&delta.new);
    let ours = stored.filter(|s| s.meta.labels.get(MANAGED_BY) == Some(MANAGER));
    let mut keys: Vec<Key> =
        ours.filter_map(|s| Some(Key::new(s.key.namespace.clone(), s.meta.labels.get(SERVICE_NAME)?))).collect();
    keys.dedup();
    keys
}

/// The services that selected the pod before or select it now, if anything changed that slices show.
pub(crate) fn services_of_pod(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    if let (Some(old), Some(new)) = (&delta.old, &delta.new) {
        let same_meta = old.meta.labels == new.meta.labels
            && old.meta.is_deleting() == new.meta.is_deleting()
            && old.meta.uid == new.meta.uid;
        if same_meta && old.memo(PodFacts::of) == new.memo(PodFacts::of) {
            return Vec::new();
        }
    }
    let mut keys = BTreeSet::new();
    for pod in delta.old.iter().chain(&delta.new) {
        for value in label_index(pod) {
            for service in view.by_index::<Service>(BY_LABEL, &value) {
                let selector = service.spec.as_ref().and_then(|s| s.selector.as_ref());
                if selector.is_some_and(|s| contains_all(&pod.meta.labels, s)) {
                    keys.insert(service.key());
                }
            }
        }
    }
    keys.into_iter().collect()
}

fn hinted_index(stored: &Stored) -> Vec<Arc<str>> {
    let service = stored.decode::<Service>().ok();
    let hinted = service.is_some_and(|service| hints::are_wanted(service.metadata.annotations.as_ref()));
    if hinted { vec![HINTED.into()] } else { Vec::new() }
}

fn cpu(node: &Option<Arc<Stored>>) -> Option<hints::NodeCpu> {
    node.as_deref().map(hints::NodeCpu::of)
}

fn services_with_hints(_: &Delta, view: &View<'_>) -> Vec<Key> {
    view.by_index_stored(&Service::gvr(), HINTED, HINTED).iter().map(|service| service.key.clone()).collect()
}
