//! `service-ip-repair`: keeps an IPAddress for every cluster IP of a Service, and none for Services that are gone (KEP-1880,
//! `pkg/registry/core/service/ipallocator/controller/repairip.go`).
//!
//! Which address a Service gets the API server decides, and it gives none twice; this loop writes down who has which. Upstream
//! the API server writes that down first, and its loop repairs; so here a missing IPAddress is nothing to warn of.

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::Service,
        networking::v1::{IPAddress, IPAddressSpec, ParentReference},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Error, Plan, View, Watches, plan::Notice};
use orch_store::{Client, ClientExt, Stored, informer::Delta};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::service_cidr::{ALLOCATOR, MANAGED_BY};

/// Keeps the IPAddresses of Services.
pub struct ServiceIps;

/// A Service and the addresses that are, or should be, its own.
pub struct World {
    key: Key,
    /// `None` when it is gone, or needs no address.
    service: Option<Arc<Service>>,
    addresses: BTreeMap<IpAddr, Address>,
}

/// A cluster IP.
struct Address {
    /// Whether the Service has it.
    wanted: bool,
    object: Option<Arc<IPAddress>>,
    /// Whether the object names another Service, which has the address as well.
    is_of_another: bool,
}

const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
/// The index of the allocator's addresses by the Service that they name.
const PARENT: &str = "parent";

impl Controller for ServiceIps {
    const NAME: &'static str = "service-ip-repair";
    const ABOUT: &'static str = "Keeps an IPAddress for every cluster IP of a Service.";
    const COMPONENT: &'static str = "ipallocator-repair-controller";
    const DELETES: Deletes = Deletes::Others("IPAddresses that no Service has");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Service>().maps::<IPAddress>(parents).index(PARENT, parent_index)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let service: Option<Arc<Service>> = view.get(key);
        let mut addresses: BTreeMap<IpAddr, Address> = BTreeMap::new();
        for object in view.by_index::<IPAddress>(PARENT, &key.to_string()) {
            if let Ok(ip) = object.key().name.parse() {
                addresses.insert(ip, Address { wanted: false, object: Some(object), is_of_another: false });
            }
        }
        for ip in service.as_deref().map(ips).unwrap_or_default() {
            let object: Option<Arc<IPAddress>> = view.get(&Key::cluster(ip.to_string()));
            let other = object.as_deref().and_then(parent).filter(|parent| parent != key);
            let other = other.and_then(|other| view.get::<Service>(&other));
            let is_of_another = other.is_some_and(|other| ips(&other).contains(&ip));
            addresses.insert(ip, Address { wanted: true, object, is_of_another });
        }
        (!addresses.is_empty()).then_some(World { key: key.clone(), service, addresses })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            if world.service.is_none() {
                // The cache may not know it yet, and an address that is let go is anybody's.
                world.service = client.find::<Service>(&world.key).await?;
                let ips = world.service.as_deref().map(ips).unwrap_or_default();
                world.addresses.iter_mut().for_each(|(ip, address)| address.wanted = ips.contains(ip));
            }
            Ok(world)
        })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        for (ip, address) in &world.addresses {
            let service = world.service.as_deref().filter(|_| address.wanted);
            match (service, &address.object) {
                (Some(service), object) if !service.is_deleting() => {
                    keep(service, *ip, object.as_deref(), address.is_of_another, &mut plan);
                }
                (Some(_), _) | (None, None) => {}
                (None, Some(object)) => plan.delete(&**object),
            }
        }
        plan
    }
}

/// Makes an address the Service's own. What names somebody else is deleted first, and made anew when that is seen.
fn keep(service: &Service, ip: IpAddr, object: Option<&IPAddress>, is_of_another: bool, plan: &mut Plan) {
    let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
    let Some(object) = object else { return plan.ensure(&new(service, ip, family)) };
    let Key { namespace, name } = service.key();
    if parent(object).is_none_or(|parent| parent != service.key()) {
        if is_of_another {
            let words =
                format!("Cluster IP [{family}]:{ip} was assigned to multiple services; please recreate service");
            return plan.event(Notice::warning(service, "ClusterIPAlreadyAllocated", words));
        }
        let words =
            format!("the ClusterIP [{family}]: {ip} for Service {namespace}/{name} has a wrong reference; repairing");
        plan.event(Notice::warning(service, "ClusterIPNotAllocated", words));
        plan.delete(object);
    } else if object.metadata.labels.as_ref() != Some(&labels(family)) {
        plan.delete(object);
    }
}

fn new(service: &Service, ip: IpAddr, family: &str) -> IPAddress {
    let Key { namespace, name } = service.key();
    let parent_ref = ParentReference {
        group: Some(String::new()),
        resource: "services".into(),
        namespace: Some(namespace.to_string()),
        name: name.to_string(),
    };
    let metadata = ObjectMeta { name: Some(ip.to_string()), labels: Some(labels(family)), ..ObjectMeta::default() };
    IPAddress { metadata, spec: IPAddressSpec { parent_ref } }
}

fn labels(family: &str) -> BTreeMap<String, String> {
    [(FAMILY, family), (MANAGED_BY, ALLOCATOR)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The cluster IPs of a Service, if it needs any.
fn ips(service: &Service) -> Vec<IpAddr> {
    let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName")) else {
        return Vec::new();
    };
    spec.cluster_ips.iter().flatten().filter_map(|ip| ip.parse().ok()).collect()
}

/// The Service that an address names.
fn parent(address: &IPAddress) -> Option<Key> {
    let parent = &address.spec.parent_ref;
    let is_service = parent.group.as_deref().unwrap_or_default().is_empty() && parent.resource == "services";
    is_service.then(|| Key::new(parent.namespace.as_deref().unwrap_or_default(), parent.name.as_str()))
}

fn parent_index(stored: &Stored) -> Vec<Arc<str>> {
    if stored.meta.labels.get(MANAGED_BY) != Some(ALLOCATOR) {
        return Vec::new();
    }
    let address = stored.decode::<IPAddress>().ok();
    address.and_then(|address| parent(&address)).map(|parent| parent.to_string().into()).into_iter().collect()
}

/// The Services that an address names now or named before, and those that have it.
fn parents(delta: &Delta, _: &View<'_>) -> Vec<Key> {
    let both = delta.old.iter().chain(&delta.new).filter_map(|stored| stored.decode::<IPAddress>().ok());
    let mut keys: Vec<Key> = both.filter_map(|address| parent(&address)).collect();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::api::core::v1::ServiceSpec;
    use orch_runtime::testing::Objects;
    use std::slice::from_ref;

    fn service(name: &str, ip: &str) -> Service {
        let spec = ServiceSpec { cluster_ips: Some(vec![ip.into()]), ..ServiceSpec::default() };
        Service { metadata: fixtures::meta("default", name, name), spec: Some(spec), status: None }
    }

    fn address(name: &str, of: &Service) -> IPAddress {
        let mut address = new(of, name.parse().unwrap(), "IPv4");
        address.metadata.uid = Some(name.into());
        address
    }

    fn objects(services: &[Service], addresses: &[IPAddress]) -> Objects {
        let mut objects = Objects::new(&ServiceIps.watches());
        services.iter().for_each(|service| objects.insert(service));
        addresses.iter().for_each(|address| objects.insert(address));
        objects
    }

    /// What is planned for the Service `web`.
    #[track_caller]
    fn check(services: &[Service], addresses: &[IPAddress], expect: Expect) {
        let objects = objects(services, addresses);
        let world = ServiceIps.observe(&Key::new("default", "web"), &View::fixed(&objects));
        expect_plan(&world.map(|world| ServiceIps.plan(&world, now())).unwrap_or_default(), &expect);
    }

    #[test]
    fn a_service_with_a_cluster_ip_has_an_address() {
        let web = service("web", "10.96.0.7");
        check(
            from_ref(&web),
            &[],
            expect![[r#"
            create IPAddress 10.96.0.7
        "#]],
        );
        check(from_ref(&web), &[address("10.96.0.7", &web)], expect![[""]]);
        check(&[service("web", "None")], &[], expect![[""]]);
        let mut objects = objects(from_ref(&web), &[]);
        let world = ServiceIps.observe(&web.key(), &View::fixed(&objects)).unwrap();
        objects.apply(&ServiceIps.plan(&world, now()), now());
        let made = objects.typed::<IPAddress>(&Key::cluster("10.96.0.7")).unwrap();
        let expected =
            r#"{"ipaddress.kubernetes.io/ip-family":"IPv4","ipaddress.kubernetes.io/managed-by":"ipallocator.k8s.io"}"#;
        assert_eq!(serde_json::to_string(&made.metadata.labels).unwrap(), expected);
    }

    #[test]
    fn an_address_goes_with_its_service_and_when_that_has_another() {
        let web = service("web", "10.96.0.7");
        check(
            &[],
            &[address("10.96.0.7", &web)],
            expect![[r#"
            delete IPAddress 10.96.0.7
        "#]],
        );
        check(
            &[service("web", "10.96.0.8")],
            &[address("10.96.0.7", &web)],
            expect![[r#"
            delete IPAddress 10.96.0.7
            create IPAddress 10.96.0.8
        "#]],
        );
    }

    #[test]
    fn an_address_that_names_somebody_else_is_made_anew_unless_two_have_it() {
        let (web, other) = (service("web", "10.96.0.7"), service("other", "10.96.0.7"));
        check(
            from_ref(&web),
            &[address("10.96.0.7", &other)],
            expect![[r#"
            event Warning ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.96.0.7 for Service default/web has a wrong reference; repairing
            delete IPAddress 10.96.0.7
        "#]],
        );
        check(
            &[web, other.clone()],
            &[address("10.96.0.7", &other)],
            expect![[r#"
            event Warning ClusterIPAlreadyAllocated: Cluster IP [IPv4]:10.96.0.7 was assigned to multiple services; please recreate service
        "#]],
        );
    }

    #[test]
    fn an_address_without_its_labels_is_made_anew() {
        let web = service("web", "10.96.0.7");
        let mut bare = address("10.96.0.7", &web);
        bare.metadata.labels = None;
        check(
            &[web],
            &[bare],
            expect![[r#"
            delete IPAddress 10.96.0.7
        "#]],
        );
    }
}
