//! Services, their addresses and endpoints.

use super::*;

#[test]
fn a_service_has_ports_that_differ() {
    check("Service", json!({"spec": {}}), &["spec.ports: Required value"]);
    check(
        "Service",
        json!({"spec": {"ports": [{"port": 80}, {"port": 80, "nodePort": 30000}]}}),
        &[
            "spec.ports[0].name: Required value",
            "spec.ports[1].name: Required value",
            "spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}",
        ],
    );
    check("Service", json!({"spec": {"type": "ExternalName"}}), &["spec.externalName: Required value"]);
}

#[test]
fn the_address_of_a_service_stays() {
    let object = || json!({"spec": {"ports": [{"port": 80}], "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"], "ipFamilies": ["IPv4"]}});
    check_update("Service", object(), json!({"spec": {"ports": [{"port": 81}]}}), &[]);
    check_update(
        "Service",
        object(),
        json!({"spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"]}}),
        &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
    );
}

#[test]
fn endpoints_are_on_loopback_only_where_pods_are() {
    let kind = kind("EndpointSlice");
    let slice =
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["127.64.0.1"]}, {"addresses": ["0.0.0.0"]}]});
    let errors = create(&kind, &prepared(&kind, slice), Setting { pods_on_loopback: true });
    assert_eq!(
        lines(&errors),
        ["endpoints[1].addresses[0]: Invalid value: \"0.0.0.0\": may not be unspecified (0.0.0.0)"]
    );
}

#[test]
fn addresses_and_networks_of_services_are_written_as_usual_and_stay() {
    let parent = json!({"parentRef": {"resource": "services", "namespace": "default", "name": "web"}});
    let address = |name: &str| json!({"metadata": {"name": name}, "spec": parent});
    check("IPAddress", address("10.0.0.1"), &[]);
    check(
        "IPAddress",
        address("2001:DB8::1"),
        &["metadata.name: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"],
    );
    check("IPAddress", json!({"metadata": {"name": "10.0.0.1"}, "spec": {}}), &["spec.parentRef: Required value"]);
    check(
        "IPAddress",
        json!({"metadata": {"name": "10.0.0.1"}, "spec": {"parentRef": {"resource": "a/b"}}}),
        &[
            "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
            "spec.parentRef.name: Required value",
        ],
    );
    let cidrs = |cidrs: &[&str]| json!({"spec": {"cidrs": cidrs}});
    check("ServiceCIDR", cidrs(&["10.0.0.0/24", "2001:db8::/64"]), &[]);
    check(
        "ServiceCIDR",
        cidrs(&["10.0.0.7/24"]),
        &["spec.cidrs[0]: Invalid value: \"10.0.0.7/24\": must not have bits set beyond the prefix length"],
    );
    check("ServiceCIDR", cidrs(&[]), &["spec.cidrs: Required value: at least one CIDR required"]);
    check(
        "ServiceCIDR",
        cidrs(&["10.0.0.0/24", "10.0.1.0/24"]),
        &[
            "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.0.1.0/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ],
    );
    check_update("ServiceCIDR", cidrs(&["10.0.0.0/24"]), cidrs(&["10.0.0.0/24", "2001:db8::/64"]), &[]);
    check_update(
        "ServiceCIDR",
        cidrs(&["10.0.0.0/24"]),
        cidrs(&["10.0.1.0/24"]),
        &["spec.cidrs[0]: Invalid value: \"10.0.1.0/24\": field is immutable"],
    );
    check_update(
        "ServiceCIDR",
        cidrs(&["10.0.0.0/24", "2001:db8::/64"]),
        cidrs(&["10.0.0.0/24"]),
        &["spec.cidrs: Invalid value: [\"10.0.0.0/24\"]: field is immutable"],
    );
}
