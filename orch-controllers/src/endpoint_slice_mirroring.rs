//! `endpointslice-mirroring-controller`: Endpoints that somebody else keeps, in slices (`pkg/controller/endpointslicemirroring`).

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::{EndpointAddress, EndpointPort as Port, Endpoints, Service},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object, owner::controller_reference};
use orch_runtime::{Controller, Plan, View, Watches, plan::Notice};
use orch_store::{Stored, informer::Delta};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    common::trigger_time::TRIGGER_TIME,
    endpoint_slice::{BY_SERVICE, MANAGED_BY, SERVICE_NAME, service_index},
    endpoints::repack,
};

/// Mirrors Endpoints of services that select nothing.
pub struct EndpointSliceMirroring;

/// Endpoints and the slices that mirror them.
pub struct World {
    /// Absent where there is nothing to mirror.
    endpoints: Option<Arc<Endpoints>>,
    slices: Vec<Arc<EndpointSlice>>,
}

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Annotations that slices do not take over.
const OWN_ANNOTATIONS: [&str; 2] = [TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration"];
/// The most addresses of a subset that are mirrored (`--mirroring-max-endpoints-per-subset`).
const MOST: usize = 1000;

impl Controller for EndpointSliceMirroring {
    const NAME: &'static str = "endpointslice-mirroring-controller";
    const ABOUT: &'static str = "Mirrors Endpoints that somebody keeps by hand in EndpointSlices.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Endpoints>()
            .maps::<Service>(|delta, _| {
                delta.new.as_ref().or(delta.old.as_ref()).map(|s| s.key.clone()).into_iter().collect()
            })
            .maps::<EndpointSlice>(endpoints_of_slice)
            .index(BY_SERVICE, service_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let slices = view.by_index::<EndpointSlice>(BY_SERVICE, &format!("{}/{}", key.namespace, key.name));
        let ours = |slice: &Arc<EndpointSlice>| {
            slice.metadata.labels.as_ref().and_then(|l| l.get(MANAGED_BY)).is_some_and(|by| by == MANAGER)
        };
        let slices: Vec<_> = slices.into_iter().filter(|s| ours(s) && !s.is_deleting()).collect();
        let service: Option<Arc<Service>> = view.get(key);
        let selector = |service: &Arc<Service>| service.spec.as_ref()?.selector.clone();
        let selects = service.as_ref().is_none_or(|s| selector(s).is_some_and(|labels| !labels.is_empty()));
        let endpoints: Option<Arc<Endpoints>> = view.get(key);
        let endpoints = endpoints.filter(|e| !selects && is_mirrored(e));
        (endpoints.is_some() || !slices.is_empty()).then_some(World { endpoints, slices })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let Some(endpoints) = world.endpoints.as_deref().filter(|e| !e.is_deleting()) else {
            world.slices.iter().for_each(|slice| plan.delete(&**slice));
            return plan;
        };
        let mirrored = mirror(endpoints);
        let mut spare: Vec<&EndpointSlice> = Vec::new();
        let mut by_group: BTreeMap<String, &EndpointSlice> = BTreeMap::new();
        for slice in &world.slices {
            let group = group(&slice.address_type, slice.ports.as_deref().unwrap_or_default());
            if mirrored.groups.contains_key(&group) && !by_group.contains_key(&group) {
                by_group.insert(group, slice);
            } else {
                spare.push(slice);
            }
        }
        let mut spare = spare.into_iter();
        for (group, wanted) in &mirrored.groups {
            // A slice that is needed no more becomes one that is; its address type alone cannot change.
            let old = by_group.get(group).copied().or_else(|| {
                let at = spare.as_slice().iter().position(|s| s.address_type == wanted.address_type)?;
                let found = spare.as_slice()[at];
                let rest: Vec<&EndpointSlice> =
                    spare.as_slice().iter().filter(|s| !std::ptr::eq(**s, found)).copied().collect();
                spare = rest.into_iter();
                Some(found)
            });
            match old {
                Some(old) => drop(plan.update(old, &merged(old, wanted))),
                None => plan.create(wanted),
            }
        }
        spare.for_each(|slice| plan.delete(slice));
        if !plan.is_empty() {
            mirrored.report(endpoints, &mut plan);
        }
        plan
    }
}

fn is_mirrored(endpoints: &Endpoints) -> bool {
    let label = endpoints.metadata.labels.as_ref().and_then(|l| l.get(SKIP));
    let leads = endpoints.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(LEADER));
    label.is_none_or(|skip| skip != "true") && !leads
}

/// What the slices should be, and what could not be mirrored.
struct Mirrored {
    groups: BTreeMap<String, EndpointSlice>,
    invalid: usize,
    skipped: usize,
}

impl Mirrored {
    fn report(&self, endpoints: &Endpoints, plan: &mut Plan) {
        if self.invalid > 0 {
            let words = format!("Skipped {} invalid IP addresses when mirroring to EndpointSlices", self.invalid);
            plan.event(Notice::warning(endpoints, "InvalidIPAddress", words));
        }
        if self.skipped > self.invalid {
            let words = format!(
                "A max of {MOST} addresses can be mirrored to EndpointSlices per Endpoints subset. {} addresses were skipped",
                self.skipped
            );
            plan.event(Notice::warning(endpoints, "TooManyAddressesToMirror", words));
        }
    }
}

fn mirror(endpoints: &Endpoints) -> Mirrored {
    let mut mirrored = Mirrored { groups: BTreeMap::new(), invalid: 0, skipped: 0 };
    for subset in repack(endpoints.subsets.as_deref().unwrap_or_default()) {
        let ports: Vec<EndpointPort> = subset.ports.iter().flatten().map(slice_port).collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        let all: Vec<_> = ready.chain(unready).collect();
        let mut added = 0;
        for (address, ready) in &all {
            if added >= MOST {
                break;
            }
            let Ok(ip) = address.ip.parse::<IpAddr>() else {
                mirrored.invalid += 1;
                continue;
            };
            added += 1;
            let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
            let slice = mirrored.groups.entry(group(family, &ports));
            let slice = slice.or_insert_with(|| empty(endpoints, family, &ports));
            slice.endpoints.get_or_insert_default().push(endpoint(address, ip, *ready));
        }
        mirrored.skipped += all.len() - added;
    }
    for slice in mirrored.groups.values_mut() {
        slice.endpoints.get_or_insert_default().sort_by(|a, b| a.addresses.cmp(&b.addresses));
    }
    mirrored
}

fn empty(endpoints: &Endpoints, family: &str, ports: &[EndpointPort]) -> EndpointSlice {
    let name = endpoints.metadata.name.clone().unwrap_or_default();
    let mut labels = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.clone());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|a| !a.is_empty()),
            owner_references: Some(vec![controller_reference(endpoints)]),
            ..ObjectMeta::default()
        },
        address_type: family.into(),
        endpoints: None,
        ports: (!ports.is_empty()).then(|| ports.to_vec()),
    }
}

/// The slice as it should be, in its own order where that says the same.
fn merged(old: &EndpointSlice, wanted: &EndpointSlice) -> EndpointSlice {
    let mut metadata = old.metadata.clone();
    metadata.labels = wanted.metadata.labels.clone();
    metadata.annotations = wanted.metadata.annotations.clone();
    metadata.owner_references = wanted.metadata.owner_references.clone();
    let texts = |slice: &EndpointSlice| -> BTreeSet<String> {
        let each = slice.endpoints.iter().flatten().map(|e| serde_json::to_string(e).unwrap_or_default());
        each.collect()
    };
    let same = texts(old) == texts(wanted);
    let endpoints = if same { old.endpoints.clone() } else { wanted.endpoints.clone() };
    let (old_ports, new_ports) =
        (old.ports.as_deref().unwrap_or_default(), wanted.ports.as_deref().unwrap_or_default());
    let same = group("", old_ports) == group("", new_ports);
    let ports = if same { old.ports.clone() } else { wanted.ports.clone() };
    EndpointSlice { metadata, endpoints, ports, address_type: old.address_type.clone() }
}

fn group(family: &str, ports: &[EndpointPort]) -> String {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    let port = |p: &EndpointPort| {
        format!("{}/{}/{}/{}", text(&p.name), p.port.unwrap_or(0), text(&p.protocol), text(&p.app_protocol))
    };
    let mut all: Vec<String> = ports.iter().map(port).collect();
    all.sort();
    format!("{family}-{}", all.join(","))
}

fn slice_port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    }
}

fn endpoint(address: &EndpointAddress, ip: IpAddr, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        target_ref: address.target_ref.clone(),
        node_name: address.node_name.clone(),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        ..Endpoint::default()
    }
}

fn endpoints_of_slice(delta: &Delta, _view: &View<'_>) -> Vec<Key> {
    let both = delta.old.iter().chain(&delta.new);
    let ours = both.filter(|s: &&Arc<Stored>| s.meta.labels.get(MANAGED_BY) == Some(MANAGER));
    let mut keys: Vec<Key> =
        ours.filter_map(|s| Some(Key::new(s.key.namespace.clone(), s.meta.labels.get(SERVICE_NAME)?))).collect();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;
    use serde_json::{Value, json};

    fn endpoints(subsets: Value) -> Endpoints {
        serde_json::from_value(
            json!({"metadata": {"name": "web", "namespace": "default", "uid": "e", "labels": {"a": "b"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "c": "d"}}, "subsets": subsets}),
        )
        .unwrap()
    }

    fn service(selector: Option<&str>) -> Service {
        let mut service = Service { metadata: fixtures::meta("default", "web", "s"), ..Service::default() };
        service.spec.get_or_insert_default().selector = selector.map(|app| fixtures::labels(&[("app", app)]));
        service
    }

    fn two() -> Value {
        json!([{"addresses": [{"ip": "10.0.0.2"}, {"ip": "fd00::1"}], "notReadyAddresses": [{"ip": "10.0.0.1"}],
            "ports": [{"port": 80, "name": "http", "protocol": "TCP"}]}])
    }

    #[track_caller]
    fn check(mut objects: Objects, expect: Expect) -> Objects {
        let key = Key::new("default", "web");
        let world = EndpointSliceMirroring.observe(&key, &View::fixed(&objects)).unwrap();
        let plan = EndpointSliceMirroring.plan(&world, now());
        expect_plan(&plan, &expect);
        objects.apply(&plan, now());
        let again = EndpointSliceMirroring.observe(&key, &View::fixed(&objects));
        let again = again.map(|world| EndpointSliceMirroring.plan(&world, now())).unwrap_or_default();
        expect_plan(&again, &expect![[""]]);
        objects
    }

    #[test]
    fn each_address_family_has_a_slice_and_changes_stay_in_it() {
        let objects = Objects::new(&EndpointSliceMirroring.watches()).with(&service(None)).with(&endpoints(two()));
        let mut objects = check(
            objects,
            expect![[r#"
            create EndpointSlice default/web-*
            create EndpointSlice default/web-*
        "#]],
        );
        let slices = objects.list(&EndpointSlice::gvr(), "default");
        let first: Arc<EndpointSlice> = slices[0].decode().unwrap();
        let annotations = first.metadata.annotations.clone().unwrap();
        assert_eq!(annotations.keys().collect::<Vec<_>>(), ["c"]);
        assert_eq!(first.endpoints.as_ref().unwrap().len(), 2);
        let moved = json!([{"addresses": [{"ip": "10.0.0.3"}], "ports": [{"port": 81, "protocol": "TCP"}]}]);
        objects.insert(&endpoints(moved));
        check(
            objects,
            expect![[r#"
            update EndpointSlice default/web-2 endpoints=[{"addresses":["10.0.0.3"],"conditions":{"ready":true}}] ports[].name="" ports[].port=81 ports[].protocol=TCP -ports[http]
            delete EndpointSlice default/web-3
        "#]],
        );
    }

    #[test]
    fn a_service_whose_selector_is_empty_selects_nothing() {
        let mut service = service(None);
        service.spec.as_mut().unwrap().selector = Some(BTreeMap::new());
        check(
            Objects::new(&EndpointSliceMirroring.watches()).with(&service).with(&endpoints(two())),
            expect![[r#"
            create EndpointSlice default/web-*
            create EndpointSlice default/web-*
        "#]],
        );
    }

    #[test]
    fn a_service_that_selects_pods_has_no_mirror() {
        let objects = Objects::new(&EndpointSliceMirroring.watches()).with(&service(None)).with(&endpoints(two()));
        let mut objects = check(
            objects,
            expect![[r#"
            create EndpointSlice default/web-*
            create EndpointSlice default/web-*
        "#]],
        );
        objects.insert(&service(Some("web")));
        check(
            objects,
            expect![[r#"
            delete EndpointSlice default/web-2
            delete EndpointSlice default/web-3
        "#]],
        );
    }

    #[test]
    fn who_asks_not_to_be_mirrored_is_not() {
        let mut skipped = endpoints(two());
        skipped.metadata.labels = Some(fixtures::labels(&[(SKIP, "true")]));
        let objects = Objects::new(&EndpointSliceMirroring.watches()).with(&service(None)).with(&skipped);
        assert!(EndpointSliceMirroring.observe(&skipped.key(), &View::fixed(&objects)).is_none());
    }

    #[test]
    fn what_is_no_address_is_reported() {
        let odd = json!([{"addresses": [{"ip": "nowhere"}, {"ip": "10.0.0.1"}]}]);
        let objects = Objects::new(&EndpointSliceMirroring.watches()).with(&service(None)).with(&endpoints(odd));
        check(
            objects,
            expect![[r#"
            create EndpointSlice default/web-*
            event Warning InvalidIPAddress: Skipped 1 invalid IP addresses when mirroring to EndpointSlices
        "#]],
        );
    }
}
