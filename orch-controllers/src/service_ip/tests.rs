use super::{service::new, *};
use crate::fixtures::{self, expect_plan, now};
use expect_test::{Expect, expect};
use jiff::SignedDuration;
use k8s_openapi::{api::core::v1::ServiceSpec, apimachinery::pkg::apis::meta::v1::Time};
use orch_runtime::testing::Objects;
use std::slice::from_ref;

fn service(name: &str, ips: &[&str]) -> Service {
    let cluster_ips = Some(ips.iter().map(|ip| (*ip).to_owned()).collect());
    let mut metadata = fixtures::meta("default", name, name);
    metadata.creation_timestamp = Some(Time(ago(600)));
    Service { metadata, spec: Some(ServiceSpec { cluster_ips, ..ServiceSpec::default() }), status: None }
}

fn external(mut service: Service) -> Service {
    service.spec = Some(ServiceSpec { type_: Some("ExternalName".into()), ..ServiceSpec::default() });
    service
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

/// An address of a Service that was made so many seconds ago.
fn address(ip: &str, of: &Service, seconds: i64) -> IPAddress {
    let mut address = new(of, ip.parse().unwrap());
    address.metadata.uid = Some(ip.into());
    address.metadata.creation_timestamp = Some(Time(ago(seconds)));
    address
}

fn of_gateway(mut address: IPAddress) -> IPAddress {
    address.spec.parent_ref.group = Some("gateway.networking.k8s.io".into());
    address.spec.parent_ref.resource = "gateways".into();
    address
}

fn objects(services: &[Service], addresses: &[IPAddress]) -> Objects {
    let mut objects = Objects::new(&ServiceIps.watches());
    let network =
        serde_json::json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00::/64"]}});
    objects.insert(&serde_json::from_value::<ServiceCIDR>(network).unwrap());
    services.iter().for_each(|service| objects.insert(service));
    addresses.iter().for_each(|address| objects.insert(address));
    objects
}

#[track_caller]
fn check_key(key: &Key, services: &[Service], addresses: &[IPAddress], expect: &Expect) {
    let objects = objects(services, addresses);
    let world = ServiceIps.observe(key, &View::fixed(&objects));
    expect_plan(&world.map(|world| ServiceIps.plan(&world, now())).unwrap_or_default(), expect);
}

/// What is planned for the Service `web`.
#[track_caller]
fn check(services: &[Service], addresses: &[IPAddress], expect: Expect) {
    check_key(&Key::new("default", "web"), services, addresses, &expect);
}

/// What is planned for the address `10.96.0.7`.
#[track_caller]
fn check_address(services: &[Service], address: IPAddress, expect: Expect) {
    check_key(&Key::cluster("10.96.0.7"), services, &[address], &expect);
}

#[test]
fn a_service_and_its_addresses_that_belong_together_are_left_alone() {
    let web = service("web", &["10.96.0.7", "fd00::7"]);
    let addresses = [address("10.96.0.7", &web, 60), address("fd00::7", &web, 60)];
    check(from_ref(&web), &addresses, expect![[""]]);
    check_address(from_ref(&web), address("10.96.0.7", &web, 3600), expect![[""]]);
    check(&[service("web", &["None"])], &[], expect![[""]]);
    check(&[external(web)], &[], expect![[""]]);
}

#[test]
fn an_address_that_is_missing_is_made_again() {
    let web = service("web", &["10.96.0.7", "fd00::7"]);
    check(
        from_ref(&web),
        &[address("10.96.0.7", &web, 60)],
        expect![[r#"
        event Warning ClusterIPNotAllocated: Cluster IP [IPv6]: fd00::7 is not allocated; repairing
        create IPAddress fd00::7
    "#]],
    );
    let mut objects = objects(from_ref(&web), &[]);
    let world = ServiceIps.observe(&Key::new("default", "web"), &View::fixed(&objects)).unwrap();
    objects.apply(&ServiceIps.plan(&world, now()), now());
    let made = objects.typed::<IPAddress>(&Key::cluster("fd00::7")).unwrap();
    let expected =
        r#"{"ipaddress.kubernetes.io/ip-family":"IPv6","ipaddress.kubernetes.io/managed-by":"ipallocator.k8s.io"}"#;
    assert_eq!(serde_json::to_string(&made.metadata.labels).unwrap(), expected);
}

#[test]
fn a_service_that_waits_for_its_finalizers_keeps_its_address() {
    let going = fixtures::deleting(service("web", &["10.96.0.7"]));
    check(
        from_ref(&going),
        &[],
        expect![[r#"
            event Warning ClusterIPNotAllocated: Cluster IP [IPv4]: 10.96.0.7 is not allocated; repairing
            create IPAddress 10.96.0.7
        "#]],
    );
    check_address(from_ref(&going), address("10.96.0.7", &going, 3600), expect![[""]]);
}

#[test]
fn an_address_that_no_network_gives_is_told_of() {
    for ip in ["10.1.0.7", "10.96.255.255"] {
        let web = service("web", &[ip]);
        let objects = objects(from_ref(&web), &[]);
        let world = ServiceIps.observe(&Key::new("default", "web"), &View::fixed(&objects)).unwrap();
        let expected = format!(
            "event Warning ClusterIPOutOfRange: Cluster IP [IPv4]: {ip} is not within any configured Service CIDR; please recreate service\n"
        );
        assert_eq!(ServiceIps.plan(&world, now()).to_string(), expected);
    }
}

#[test]
fn what_is_no_address_is_told_of() {
    check(
        &[service("web", &["nowhere"])],
        &[],
        expect![[r#"
            event Warning ClusterIPNotValid: Cluster IP <nil> is not a valid IP; please recreate Service
        "#]],
    );
}

#[test]
fn an_address_that_names_something_else_is_made_anew() {
    let (web, gone) = (service("web", &["10.96.0.7"]), service("gone", &[]));
    check(
        from_ref(&web),
        &[of_gateway(address("10.96.0.7", &web, 60))],
        expect![[r#"
        event Warning ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.96.0.7 for Service default/web has a wrong reference; repairing
        delete IPAddress 10.96.0.7
        create IPAddress 10.96.0.7
    "#]],
    );
    check(
        from_ref(&web),
        &[address("10.96.0.7", &gone, 60)],
        expect![[r#"
        event Warning ClusterIPNotAllocated: the ClusterIP [IPv4]: 10.96.0.7 for Service default/web has a wrong reference; repairing
        delete IPAddress 10.96.0.7
        create IPAddress 10.96.0.7
    "#]],
    );
}

#[test]
fn two_services_with_one_address_are_for_people_to_settle() {
    let (web, other) = (service("web", &["10.96.0.7"]), service("other", &["10.96.0.7"]));
    check(
        &[web, other.clone()],
        &[address("10.96.0.7", &other, 60)],
        expect![[r#"
        event Warning ClusterIPAlreadyAllocated: Cluster IP [IPv4]:10.96.0.7 was assigned to multiple services; please recreate service
    "#]],
    );
}

#[test]
fn an_address_of_a_service_that_does_not_have_it_goes_first() {
    let (web, other) = (service("web", &["10.96.0.7"]), service("other", &["10.96.0.8"]));
    let misplaced = address("10.96.0.7", &other, 60);
    check(&[web.clone(), other.clone()], from_ref(&misplaced), expect![[""]]);
    check_address(
        &[web, other],
        misplaced,
        expect![[r#"
        event Warning IPAddressWrongReference: IPAddress: 10.96.0.7 for Service default/other has a wrong reference; cleaning up
        delete IPAddress 10.96.0.7
    "#]],
    );
}

#[test]
fn an_address_without_its_labels_is_made_anew() {
    let web = service("web", &["10.96.0.7"]);
    let mut bare = address("10.96.0.7", &web, 60);
    bare.metadata.labels = None;
    check(
        &[web],
        &[bare],
        expect![[r#"
        delete IPAddress 10.96.0.7
        create IPAddress 10.96.0.7
    "#]],
    );
}

#[test]
fn an_address_whose_service_is_gone_has_a_minute() {
    let gone = service("gone", &[]);
    check_address(
        &[],
        address("10.96.0.7", &gone, 20),
        expect![[r#"
        requeue after 41s
    "#]],
    );
    check_address(
        &[],
        address("10.96.0.7", &gone, 61),
        expect![[r#"
        event Warning IPAddressNotAllocated: IPAddress: 10.96.0.7 for Service default/gone appears to have leaked: cleaning up
        delete IPAddress 10.96.0.7
    "#]],
    );
}

#[test]
fn an_address_that_its_service_does_not_have_waits_for_a_write_that_may_be_under_way() {
    let web = service("web", &["10.96.0.8"]);
    check_address(
        from_ref(&web),
        address("10.96.0.7", &web, 2),
        expect![[r#"
        requeue after 3s
    "#]],
    );
    check_address(
        from_ref(&web),
        address("10.96.0.7", &web, 6),
        expect![[r#"
        event Warning IPAddressWrongReference: IPAddress: 10.96.0.7 for Service default/web has a wrong reference; cleaning up
        delete IPAddress 10.96.0.7
    "#]],
    );
    check_address(
        &[external(web.clone())],
        address("10.96.0.7", &web, 6),
        expect![[r#"
        requeue after 54s
    "#]],
    );
}

#[test]
fn an_address_of_the_allocator_must_name_a_service_and_others_are_let_be() {
    let web = service("web", &["10.96.0.8"]);
    let strange = of_gateway(address("10.96.0.7", &web, 600));
    check_address(
        from_ref(&web),
        strange.clone(),
        expect![[r#"
        event Warning IPAddressNotAllocated: IPAddress 10.96.0.7 appears to have been modified, not referencing a Service &{gateway.networking.k8s.io gateways default web}: cleaning up
        delete IPAddress 10.96.0.7
    "#]],
    );
    let mut foreign = strange;
    foreign.metadata.labels = None;
    check_address(from_ref(&web), foreign, expect![[""]]);
}
