use super::*;
use serde_json::json;

fn zone() -> Zone {
    let mut zone = Zone::new("cluster.local");
    let services = json!([
        { "metadata": { "name": "web", "namespace": "default" },
          "spec": { "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"], "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] } },
        { "metadata": { "name": "db", "namespace": "default" },
          "spec": { "clusterIP": "None", "clusterIPs": ["None"], "ports": [{ "name": "sql", "port": 5432, "protocol": "TCP" }] } },
        { "metadata": { "name": "empty", "namespace": "default" }, "spec": { "clusterIP": "None" } },
        { "metadata": { "name": "out", "namespace": "other" }, "spec": { "type": "ExternalName", "externalName": "example.org" } },
    ]);
    for service in services.as_array().unwrap() {
        zone.set_service(serde_json::from_value(service.clone()).unwrap());
    }
    let slice = json!({
        "metadata": { "name": "db-1", "namespace": "default", "labels": { "kubernetes.io/service-name": "db" } },
        "ports": [{ "name": "sql", "protocol": "TCP", "port": 5432 }],
        "endpoints": [
            { "addresses": ["10.244.0.3"], "hostname": "db-0", "conditions": { "ready": true } },
            { "addresses": ["10.244.0.4"], "conditions": { "ready": true } },
            { "addresses": ["10.244.0.5"], "hostname": "db-2", "conditions": { "ready": false } },
        ],
    });
    zone.set_slice(orch_api::Key::new("default", "db-1"), serde_json::from_value(slice).unwrap());
    zone
}

#[track_caller]
fn check(name: &str, expected: &str) {
    let text = match zone().look_up(name) {
        Answer::Elsewhere => "elsewhere".to_owned(),
        Answer::NoSuchName => "no such name".to_owned(),
        Answer::Found(data) => {
            let text = |d: &Data| match d {
                Data::Address(a) => a.to_string(),
                Data::Alias(a) => format!("alias {a}"),
                Data::Port(port, host, address) => format!("{host}:{port} ({address})"),
                Data::Pointer(name) => format!("pointer {name}"),
            };
            data.iter().map(text).collect::<Vec<_>>().join(" ")
        }
    };
    assert_eq!(text, expected, "{name}");
}

#[test]
fn a_service_has_its_cluster_ip() {
    check("web.default.svc.cluster.local.", "10.96.0.5");
    check("WEB.Default.svc.cluster.local", "10.96.0.5");
    check("web.other.svc.cluster.local.", "no such name");
}

#[test]
fn a_headless_service_has_its_ready_pods() {
    check("db.default.svc.cluster.local.", "10.244.0.3 10.244.0.4");
    check("empty.default.svc.cluster.local.", "no such name");
}

#[test]
fn pods_of_a_headless_service_have_names_of_their_own() {
    check("db-0.db.default.svc.cluster.local.", "10.244.0.3");
    check("10-244-0-4.db.default.svc.cluster.local.", "10.244.0.4");
    check("db-2.db.default.svc.cluster.local.", "no such name");
    check("db-0.web.default.svc.cluster.local.", "no such name");
}

#[test]
fn named_ports_have_service_records() {
    check("_http._tcp.web.default.svc.cluster.local.", "web.default.svc.cluster.local.:80 (10.96.0.5)");
    check(
        "_sql._tcp.db.default.svc.cluster.local.",
        "db-0.db.default.svc.cluster.local.:5432 (10.244.0.3) 10-244-0-4.db.default.svc.cluster.local.:5432 (10.244.0.4)",
    );
    check("_http._udp.web.default.svc.cluster.local.", "no such name");
}

#[test]
fn an_external_name_is_an_alias() {
    check("out.other.svc.cluster.local.", "alias example.org");
}

#[test]
fn every_pod_address_has_a_name() {
    check("10-244-0-9.default.pod.cluster.local.", "10.244.0.9");
    check("nonsense.default.pod.cluster.local.", "no such name");
}

#[test]
fn cluster_addresses_point_back() {
    check("5.0.96.10.in-addr.arpa.", "pointer web.default.svc.cluster.local.");
    check("8.8.8.8.in-addr.arpa.", "elsewhere");
}

#[test]
fn other_domains_are_elsewhere() {
    check("example.org.", "elsewhere");
    check("notcluster.local.", "elsewhere");
    check("svc.cluster.local.", "");
}

#[test]
fn name_servers_are_read_from_resolv_conf() {
    let text = "# comment\nnameserver 10.0.0.2\nsearch x\nnameserver fe80::1%eth0\nnameserver ::1\n";
    let servers: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.2:53", "[::1]:53"]);
}
