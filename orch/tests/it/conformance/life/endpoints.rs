//! `test/e2e/network/{endpointslice,endpointslicemirroring,endpoints}.go`.

use super::*;
use k8s_openapi::api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
};

fn service(name: &str, selector: Value, ports: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"selector": selector, "ports": ports}})
}

fn of(service: &str) -> String {
    format!("kubernetes.io/service-name={service}")
}

/// [sig-network] EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods
/// [Conformance]; [sig-network] EndpointsController should create and delete Endpoints for a Service with a selector that
/// matches no pods [Conformance]
#[tokio::test(start_paused = true)]
async fn a_service_without_pods_has_endpoints_of_its_own() {
    let here = World::start().await;
    here.kind::<Service>()
        .create(service(
            "empty",
            json!({"does-not-match-anything": "endpoints-and-endpoint-slices-should-still-be-created"}),
            json!([{"name": "example", "port": 80}]),
        ))
        .await;
    here.kind::<Endpoints>()
        .until_one("endpoints", "empty", |e| e["subsets"].as_array().is_none_or(Vec::is_empty))
        .await;
    let slices = here.kind::<EndpointSlice>().until("a slice", &of("empty"), |all| all.len() == 1).await;
    assert!(slices[0]["endpoints"].as_array().is_none_or(Vec::is_empty));
    here.kind::<Service>().delete("empty").await;
    here.kind::<Endpoints>().until_gone("empty").await;
    here.kind::<EndpointSlice>().until("no slice", &of("empty"), <[Value]>::is_empty).await;
}

/// [sig-network] EndpointSlice should create Endpoints and EndpointSlices for Pods matching a Service [Conformance];
/// [sig-network] EndpointsController should create Endpoints for Pods matching a Service [Conformance]
#[tokio::test(start_paused = true)]
async fn pods_that_a_service_selects_are_its_endpoints() {
    let here = World::start().await;
    let with_port = |name: &str, number: i32| {
        let mut pod = pod(name, json!({"foo.com/app": name, "both": "yes"}));
        pod["spec"]["containers"][0]["ports"] = json!([{"name": "example-name", "containerPort": number}]);
        pod
    };
    here.kind::<Pod>().create(with_port("pod1", 3000)).await;
    here.kind::<Pod>().create(with_port("pod2", 3001)).await;
    let numbered = json!([{"name": "example", "port": 80, "targetPort": 3000}]);
    let named = json!([{"name": "http", "port": 80, "targetPort": "example-name"}]);
    here.kind::<Service>().create(service("int-port", json!({"foo.com/app": "pod1"}), numbered)).await;
    here.kind::<Service>().create(service("named-port", json!({"both": "yes"}), named)).await;
    here.running("pod1").await;
    here.running("pod2").await;
    let ip = |pod: &Value| pod["status"]["podIP"].as_str().unwrap().to_owned();
    let (first, second) = (ip(&here.kind::<Pod>().get("pod1").await), ip(&here.kind::<Pod>().get("pod2").await));
    let (wanted, other) = (first.clone(), second.clone());
    here.kind::<Endpoints>()
        .until_one("the address of the pod", "int-port", move |e| {
            let subset = &e["subsets"][0];
            subset["addresses"][0]["ip"] == wanted.as_str() && subset["ports"][0]["port"] == 3000
        })
        .await;
    here.kind::<Endpoints>()
        .until_one("a subset for each number", "named-port", move |e| {
            let subsets = e["subsets"].as_array().cloned().unwrap_or_default();
            let has = |ip: &str, port: i32| {
                subsets.iter().any(|s| s["addresses"][0]["ip"] == ip && s["ports"][0]["port"] == port)
            };
            subsets.len() == 2 && has(&first, 3000) && has(&other, 3001)
        })
        .await;
    let ready = |slice: &Value| slice["endpoints"][0]["conditions"]["ready"] == true;
    let slices = here
        .kind::<EndpointSlice>()
        .until("two slices", &of("named-port"), |all| all.len() == 2 && all.iter().all(ready))
        .await;
    let ports: Vec<i64> = slices.iter().map(|s| s["ports"][0]["port"].as_i64().unwrap()).collect();
    assert!(ports.contains(&3000) && ports.contains(&3001));
}

/// [sig-network] EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete [Conformance]
#[tokio::test(start_paused = true)]
async fn endpoints_by_hand_are_mirrored() {
    let here = World::start().await;
    here.kind::<Service>()
        .create(service("custom", Value::Null, json!([{"name": "example", "port": 80, "protocol": "TCP"}])))
        .await;
    let endpoints = |ip: &str| {
        json!({"metadata": {"name": "custom", "namespace": "default"},
        "subsets": [{"ports": [{"port": 80}], "addresses": [{"ip": ip}]}]})
    };
    here.kind::<Endpoints>().create(endpoints("10.1.2.3")).await;
    let shows = |ip: &'static str| {
        move |all: &[Value]| {
            all.len() == 1 && all[0]["ports"][0]["port"] == 80 && all[0]["endpoints"][0]["addresses"] == json!([ip])
        }
    };
    here.kind::<EndpointSlice>().until("a mirror", &of("custom"), shows("10.1.2.3")).await;
    here.kind::<Endpoints>().replace(endpoints("10.2.3.4")).await;
    here.kind::<EndpointSlice>().until("the new address", &of("custom"), shows("10.2.3.4")).await;
    here.kind::<Endpoints>().delete("custom").await;
    here.kind::<EndpointSlice>().until("no mirror", &of("custom"), <[Value]>::is_empty).await;
}

/// [sig-network] Endpoints should test the lifecycle of an Endpoint [Conformance]
#[tokio::test(start_paused = true)]
async fn endpoints_of_no_service_stay_until_they_are_deleted() {
    let here = World::start().await;
    let mut endpoints = json!({"metadata": {"name": "testservice", "namespace": "default",
        "labels": {"test-endpoint-static": "true"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]});
    here.kind::<Endpoints>().create(endpoints.clone()).await;
    assert_eq!(here.kind::<Endpoints>().everywhere().list("test-endpoint-static=true").await.len(), 1);
    endpoints["metadata"]["labels"]["test-service"] = "updated".into();
    here.kind::<Endpoints>().replace(endpoints).await;
    let patch = json!({"metadata": {"labels": {"test-service": "patched"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{"name": "http-test", "port": 8080}]}]});
    here.kind::<Endpoints>().merge("testservice", patch).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let found = here.kind::<Endpoints>().get("testservice").await;
    assert_eq!(found["subsets"][0]["addresses"][0]["ip"], "10.0.0.25");
    here.kind::<Endpoints>().delete_all("test-endpoint-static=true").await;
    here.kind::<Endpoints>().until_gone("testservice").await;
}
