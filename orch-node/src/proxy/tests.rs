use super::*;
use serde_json::json;

fn service(spec: serde_json::Value) -> Service {
    serde_json::from_value(json!({ "metadata": { "name": "web", "namespace": "default" }, "spec": spec })).unwrap()
}

fn slice(endpoints: serde_json::Value) -> Slice {
    serde_json::from_value(json!({
        "metadata": { "name": "web-1", "namespace": "default", "labels": { "kubernetes.io/service-name": "web" } },
        "ports": [{ "name": "", "protocol": "TCP", "port": 8080 }],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn text(rules: &Ruleset) -> String {
    let line = |(front, rule): (&Front, &Rule)| {
        let backends: String = rule.backends.iter().map(|b| format!(" {}:{}", b.address, b.port)).collect();
        format!("{front} ->{backends}\n")
    };
    rules.iter().map(line).collect()
}

#[track_caller]
fn check(spec: serde_json::Value, endpoints: serde_json::Value, expected: &str) {
    let expected: String = expected.lines().map(|l| format!("{}\n", l.trim())).collect();
    assert_eq!(
        text(&plan([&service(spec)].into_iter(), [&slice(endpoints)].into_iter(), &["n1".to_owned()].into())),
        expected
    );
}

#[test]
fn a_cluster_ip_leads_to_the_ready_endpoints() {
    check(
        json!({ "clusterIP": "10.96.0.5", "ports": [{ "port": 80, "protocol": "TCP" }] }),
        json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"], "conditions": { "ready": false } }]),
        "tcp 10.96.0.5:80 -> 10.0.0.1:8080",
    );
}

#[test]
fn terminating_endpoints_serve_when_nobody_else_does() {
    check(
        json!({ "clusterIP": "10.96.0.5", "ports": [{ "port": 80 }] }),
        json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": false, "serving": true, "terminating": true } }]),
        "tcp 10.96.0.5:80 -> 10.0.0.1:8080",
    );
}

#[test]
fn a_node_port_is_a_front_of_its_own() {
    check(
        json!({ "type": "NodePort", "clusterIP": "10.96.0.5", "ports": [{ "port": 80, "nodePort": 30080 }] }),
        json!([{ "addresses": ["10.0.0.1"] }]),
        "tcp node:30080 -> 10.0.0.1:8080
         tcp 10.96.0.5:80 -> 10.0.0.1:8080",
    );
}

#[test]
fn a_local_policy_keeps_to_the_node() {
    check(
        json!({ "clusterIP": "10.96.0.5", "internalTrafficPolicy": "Local", "ports": [{ "port": 80 }] }),
        json!([{ "addresses": ["10.0.0.1"], "nodeName": "n1" }, { "addresses": ["10.0.0.2"], "nodeName": "n2" }]),
        "tcp 10.96.0.5:80 -> 10.0.0.1:8080",
    );
}

#[test]
fn a_service_without_endpoints_still_has_a_front() {
    check(json!({ "clusterIP": "10.96.0.5", "ports": [{ "port": 80 }] }), json!([]), "tcp 10.96.0.5:80 ->");
}

#[test]
fn headless_and_external_name_services_have_no_front() {
    check(json!({ "clusterIP": "None", "ports": [{ "port": 80 }] }), json!([{ "addresses": ["10.0.0.1"] }]), "");
    check(json!({ "type": "ExternalName", "externalName": "x.org" }), json!([]), "");
}
